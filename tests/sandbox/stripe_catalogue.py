"""The routes that create and change what stands still: products, prices, customers, coupons, portal, endpoints."""

from typing import Any

from tests.sandbox import stripe_lifecycle as lifecycle
from tests.sandbox import stripe_money, stripe_shapes
from tests.sandbox import stripe_prices as prices
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_routes import route
from tests.sandbox.stripe_wire import ApiError, Obj, merge_metadata, missing, need, truth, whole


def _copied(target: Obj, params: Obj, names: str) -> Obj:
    for name in names.split():
        if name in params:
            target[name] = params[name] if params[name] != "" else None
    merge_metadata(target, params)
    return target


@route("POST /v1/products")
def _product(acc: Account, params: Obj, _: str) -> Obj:
    product = prices.add_product(acc, params)
    if params.get("default_price_data"):
        made = prices.add(acc, {**params["default_price_data"], "product": product["id"]})
        product["default_price"] = made["id"]
    return product


@route("POST /v1/products/{id}")
def _change_product(acc: Account, params: Obj, object_id: str) -> Obj:
    with acc.changing(acc.get("product", object_id), "product.updated") as product:
        _copied(product, params, "name description default_price statement_descriptor unit_label url")
        product["active"] = truth(params, "active", product["active"])
    return product


@route("POST /v1/prices")
def _price(acc: Account, params: Obj, _: str) -> Obj:
    return prices.add(acc, params)


@route("POST /v1/prices/{id}")
def _change_price(acc: Account, params: Obj, object_id: str) -> Obj:
    return prices.change(acc, acc.get("price", object_id), params)


_CUSTOMER = "address description email name phone shipping"


@route("POST /v1/customers")
def _customer(acc: Account, params: Obj, _: str) -> Obj:
    customer = acc.add(_copied(stripe_shapes.customer(acc), params, _CUSTOMER))
    acc.emit("customer.created", customer)
    return customer


@route("POST /v1/customers/{id}")
def _change_customer(acc: Account, params: Obj, object_id: str) -> Obj:
    with acc.changing(acc.get("customer", object_id), "customer.updated") as customer:
        _copied(customer, params, _CUSTOMER)
    return customer


@route("DELETE /v1/customers/{id}")
def _delete_customer(acc: Account, params: Obj, object_id: str) -> Obj:
    """Stripe ends all subscriptions of a deleted customer at once."""
    customer = acc.get("customer", object_id)
    for sub in acc.having("subscription", "customer", object_id):
        lifecycle.end(acc, sub, "cancellation_requested")
    acc.emit("customer.deleted", customer)
    return _deleted(acc, "customer", object_id)


def _deleted(acc: Account, kind: str, object_id: str) -> Obj:
    acc.get(kind, object_id)
    del acc.tables[kind][object_id]
    return {"id": object_id, "object": kind, "deleted": True}


@route("POST /v1/coupons")
def _coupon(acc: Account, params: Obj, _: str) -> Obj:
    percent, amount = params.get("percent_off"), whole(params, "amount_off")
    if bool(percent) == bool(amount):
        raise ApiError(400, "Must provide exactly one of percent_off or amount_off", param="percent_off")
    if amount:
        need(params, "currency")
    duration = params.get("duration") or "once"
    if duration == "repeating":
        need(params, "duration_in_months")
    fields: dict[str, Any] = {name: whole(params, name) for name in ("duration_in_months", "max_redemptions")}
    fields |= {"redeem_by": whole(params, "redeem_by"), "amount_off": amount, "name": params.get("name")}
    fields |= {"percent_off": float(percent) if percent else None, "currency": params.get("currency")}
    coupon = stripe_shapes.coupon(acc, id=params.get("id"), duration=duration, **fields)
    merge_metadata(coupon, params)
    others = {name.lower(): whole(one, "amount_off") for name, one in (params.get("currency_options") or {}).items()}
    acc.secret(coupon["id"])["options"] = others
    acc.emit("coupon.created", acc.add(coupon))
    return coupon


@route("POST /v1/promotion_codes")
def _promotion_code(acc: Account, params: Obj, _: str) -> Obj:
    need(params, "promotion")
    need(params["promotion"], "coupon", "type")
    coupon = acc.get("coupon", params["promotion"]["coupon"], "promotion[coupon]", 400)
    text = params.get("code") or acc.new_id("x", 8)[2:].upper()
    if any(row["code"].lower() == text.lower() and row["active"] for row in acc.all("promotion_code")):
        raise ApiError(400, f"An active promotion code with `code: {text}` already exists.", param="code")
    limits = {name: whole(params, name) for name in ("expires_at", "max_redemptions")}
    code = stripe_shapes.promotion_code(acc, coupon["id"], text, customer=params.get("customer"), **limits)
    code["active"] = truth(params, "active", True)
    wanted = params.get("restrictions") or {}
    code["restrictions"].update(
        minimum_amount=whole(wanted, "minimum_amount"),
        minimum_amount_currency=wanted.get("minimum_amount_currency"),
        first_time_transaction=truth(wanted, "first_time_transaction"),
    )
    merge_metadata(code, params)
    acc.emit("promotion_code.created", acc.add(code))
    return code


@route("POST /v1/promotion_codes/{id}")
def _change_code(acc: Account, params: Obj, object_id: str) -> Obj:
    with acc.changing(acc.get("promotion_code", object_id), "promotion_code.updated") as code:
        code["active"] = truth(params, "active", code["active"])
        merge_metadata(code, params)
    return code


# --- the portal


@route("POST /v1/billing_portal/sessions")
def _portal(acc: Account, params: Obj, _: str) -> Obj:
    need(params, "customer")
    acc.get("customer", params["customer"], "customer", 400)
    wanted = params.get("configuration")
    if wanted:
        configuration = acc.get("billing_portal.configuration", wanted, "configuration", 400)
    else:
        configuration = default_configuration(acc)
    back = params.get("return_url") or configuration["default_return_url"]
    flow = _flow(acc, params["customer"], params["flow_data"]) if params.get("flow_data") else None
    return acc.add(
        stripe_money.portal_session(
            acc, params["customer"], configuration["id"], back, flow=flow, locale=params.get("locale")
        )
    )


def _flow(acc: Account, customer: str, wanted: Obj) -> Obj:
    need(wanted, "type")
    if wanted["type"].startswith("subscription_"):
        need(wanted, wanted["type"])
        sub = acc.get("subscription", wanted[wanted["type"]]["subscription"], "flow_data", 400)
        if sub["customer"] != customer:
            raise missing("subscription", sub["id"], "flow_data", 400)
    names = "customer_update subscription_cancel subscription_pause subscription_update subscription_update_confirm"
    flow = stripe_shapes.blank(names, type=wanted["type"]) | {k: v for k, v in wanted.items() if k in names.split()}
    if flow["subscription_cancel"]:
        flow["subscription_cancel"].setdefault("retention", None)
    if flow["subscription_update_confirm"]:
        flow["subscription_update_confirm"].setdefault("discounts", None)
        for item in flow["subscription_update_confirm"]["items"]:
            item.update(price=item.get("price"), quantity=whole(item, "quantity"))
    after = {"type": "portal_homepage", **(wanted.get("after_completion") or {})}
    return flow | {"after_completion": stripe_shapes.blank("hosted_confirmation redirect") | after}


def default_configuration(acc: Account) -> Obj:
    """The configuration used when a session names none; made at its first use."""
    kept = next((row for row in acc.all("billing_portal.configuration") if row["is_default"]), None)
    return kept or acc.add(stripe_money.portal_configuration(acc, is_default=True))


@route("POST /v1/billing_portal/configurations")
def _configuration(acc: Account, params: Obj, _: str) -> Obj:
    need(params, "features")
    fresh = stripe_money.portal_configuration(acc, name=params.get("name"))
    fresh["features"]["subscription_cancel"]["enabled"] = False
    return acc.add(_configure(fresh, params))


@route("POST /v1/billing_portal/configurations/{id}")
def _change_configuration(acc: Account, params: Obj, object_id: str) -> Obj:
    return _configure(acc.get("billing_portal.configuration", object_id), params)


def _configure(target: Obj, params: Obj) -> Obj:
    _copied(target, params, "default_return_url name")
    target["business_profile"].update(params.get("business_profile") or {})
    for feature, wanted in (params.get("features") or {}).items():
        shown = target["features"].setdefault(feature, {})
        shown.update({key: _plain(value) for key, value in wanted.items()})
    _list_products(target["features"]["subscription_update"])
    for name in ("login_page", "active"):
        if name in params:
            target[name] = _plain(params[name])
    target["login_page"].setdefault("url", None)
    return target


def _list_products(update: Obj) -> None:
    """What members may change to, as the portal's configuration shows it; it is shown only where changes are on."""
    bounds = {"enabled": False, "maximum": None, "minimum": 1}
    for row in update.get("products") or []:
        row["adjustable_quantity"] = bounds | {
            key: int(value) if isinstance(value, str) else value
            for key, value in (row.get("adjustable_quantity") or {}).items()
        }
    for name in ("products", "default_allowed_updates"):
        update[name] = update.get(name) or []


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


# --- endpoints


@route("POST /v1/webhook_endpoints")
def _endpoint(acc: Account, params: Obj, _: str) -> Obj:
    need(params, "url", "enabled_events")
    if not params["url"].startswith(("http://", "https://")):
        raise ApiError(400, "Invalid URL: must begin with http:// or https://", code="url_invalid", param="url")
    version, text = params.get("api_version"), params.get("description")
    endpoint = stripe_shapes.webhook_endpoint(acc, params["url"], params["enabled_events"], version, description=text)
    merge_metadata(endpoint, params)
    secret = f"whsec_{acc.new_id('w', 32)[2:]}"
    acc.secret(endpoint["id"])["secrets"] = [secret]
    return {**acc.add(endpoint), "secret": secret}


@route("POST /v1/webhook_endpoints/{id}")
def _change_endpoint(acc: Account, params: Obj, object_id: str) -> Obj:
    endpoint = _copied(acc.get("webhook_endpoint", object_id), params, "url enabled_events description")
    if "disabled" in params:
        endpoint["status"] = "disabled" if truth(params, "disabled") else "enabled"
    return endpoint


@route("DELETE /v1/webhook_endpoints/{id}")
def _delete_endpoint(acc: Account, params: Obj, object_id: str) -> Obj:
    return _deleted(acc, "webhook_endpoint", object_id)


@route("GET /v1/tax/settings")
def _tax_settings(acc: Account, params: Obj, _: str) -> Obj:
    address = stripe_shapes.blank("city country line1 line2 postal_code state")
    pending = {"missing_fields": ["head_office", "defaults.tax_behavior"]}
    return {
        "object": "tax.settings",
        "defaults": {"provider": "stripe", "tax_behavior": "inferred_by_currency", "tax_code": "txcd_10000000"},
        "head_office": {"address": address | {"country": "DE"}} if acc.tax_active else None,
        "livemode": False,
        "status": "active" if acc.tax_active else "pending",
        "status_details": {"active": {}} if acc.tax_active else {"pending": pending},
    }
