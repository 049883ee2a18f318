"""Checkout sessions of the stand-in: what may be asked for, and the open session with its page."""

from typing import Any

from tests.sandbox import stripe_discounts as discounts
from tests.sandbox import stripe_lifecycle as lifecycle
from tests.sandbox import stripe_prices as prices
from tests.sandbox import stripe_shapes
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import ApiError, Obj, merge_metadata, need, truth, whole

DAY = 86_400
_COPIED = ("billing_address_collection", "cancel_url", "client_reference_id", "customer_email", "locale", "submit_type")
_DATA = {"subscription": "subscription_data", "payment": "payment_intent_data", "setup": "setup_intent_data"}


def open_session(acc: Account, params: Obj) -> Obj:
    """An open session with its page's address; Stripe makes customer and subscription only when it is paid."""
    mode = params.get("mode") or "subscription"
    need(params, "success_url")
    _check_mode(params, mode)
    _check_buyer(acc, params)
    lines = _lines(acc, params, mode)
    session = stripe_shapes.session(
        acc,
        success_url=params["success_url"],
        amount=sum(line["amount_total"] for line in lines),
        currency=_currency(acc, params, lines) or "",
        expires_at=_expiry(acc, params),
        mode=mode,
        customer=params.get("customer") or None,
        allow_promotion_codes=truth(params, "allow_promotion_codes") or None,
        **_collected(params, mode),
        **{name: params.get(name) or None for name in _COPIED},
    )
    _set_texts(acc, session, params)
    data = params.get(_DATA[mode]) or {}
    acc.hidden[session["id"]] = {"lines": lines, "data": data, "member": params.get("client_reference_id")}
    _add_up(acc, session, data)
    for wanted in params.get("discounts") or []:
        discounts.preset(acc, session, wanted)
    acc.add(session)
    acc.history.add("stripe_session_created", session=session["id"], member=session["client_reference_id"])
    return session


def _collected(params: Obj, mode: str) -> Obj:
    """What the page asks for besides the money."""
    shown: Obj = {}
    if mode == "payment":
        shown["customer_creation"] = None if params.get("customer") else params.get("customer_creation", "if_required")
        shown["payment_method_collection"] = "if_required"
    elif params.get("payment_method_collection"):
        shown["payment_method_collection"] = params["payment_method_collection"]
    if params.get("tax_id_collection"):
        enabled = truth(params["tax_id_collection"], "enabled")
        shown["tax_id_collection"] = {"enabled": enabled, "required": "never"}
    return shown


def _set_texts(acc: Account, session: Obj, params: Obj) -> None:
    session["custom_text"].update(params.get("custom_text") or {})
    if params.get("consent_collection"):
        consents = stripe_shapes.blank("payment_method_reuse_agreement promotions terms_of_service")
        session["consent_collection"] = consents | params["consent_collection"]
    if truth(params.get("automatic_tax") or {}, "enabled"):
        session["automatic_tax"].update(enabled=True, provider="stripe", status="complete")
    merge_metadata(session, params)


def _add_up(acc: Account, session: Obj, data: Obj) -> None:
    trial = session["mode"] == "subscription" and trial_end(acc, data)
    if trial:
        session["amount_subtotal"] = 0
    if session["mode"] == "setup":
        session.update(amount_subtotal=None, amount_total=None, payment_status="no_payment_required")
        session["currency"] = session["currency"] or None
        return
    discounts.add_up(acc, session)


def set_quantity(acc: Account, session: Obj, quantity: int) -> None:
    """The first line that lets the buyer choose has this quantity, within its bounds, and the session adds up."""
    for line in acc.secret(session["id"])["lines"]:
        bounds = line["adjustable_quantity"]
        if bounds and bounds["enabled"]:
            if not bounds["minimum"] <= quantity <= bounds["maximum"]:
                raise ApiError(400, f"Choose between {bounds['minimum']} and {bounds['maximum']}.", param="quantity")
            amount = prices.unit(acc, line["price"], line["currency"]) * quantity
            line.update(quantity=quantity, amount_subtotal=amount, amount_total=amount)
            if session["amount_subtotal"]:
                session["amount_subtotal"] = sum(row["amount_total"] for row in acc.secret(session["id"])["lines"])
            discounts.again(acc, session)
            return


# --- what is refused


def _check_mode(params: Obj, mode: str) -> None:
    if mode not in _DATA:
        raise ApiError(400, "Invalid mode: must be one of payment, setup, or subscription", param="mode")
    if params.get("ui_mode", "hosted_page") != "hosted_page":
        raise ApiError(400, "The sandbox knows only hosted pages.", param="ui_mode")
    for other, name in _DATA.items():
        if other != mode and params.get(name):
            raise ApiError(400, f"You can not pass `{name}` in `{mode}` mode.", param=name)
    if params.get("customer_creation") and mode == "subscription":
        message = "`customer_creation` can only be used in `payment` and `setup` mode."
        raise ApiError(400, message, param="customer_creation")
    if params.get("payment_method_collection") and mode != "subscription":
        message = "You can only set `payment_method_collection` if there are recurring prices."
        raise ApiError(400, message, param="payment_method_collection")
    if params.get("discounts") and "allow_promotion_codes" in params:
        message = "You may only specify one of these parameters: allow_promotion_codes, discounts."
        raise ApiError(400, message, param="discounts")


def _check_buyer(acc: Account, params: Obj) -> None:
    known = params.get("customer")
    for other in ("customer_email", "customer_creation"):
        if known and params.get(other):
            message = f"You may only specify one of these parameters: customer, {other}."
            raise ApiError(400, message, param="customer")
    if params.get("customer_update") and not known:
        raise ApiError(400, "`customer_update` can only be used with `customer`.", param="customer_update")
    taxed = truth(params.get("automatic_tax") or {}, "enabled")
    if taxed and not acc.tax_active:
        message = "You must have Stripe Tax switched on to use `automatic_tax`: set your origin address first."
        raise ApiError(400, message, param="automatic_tax")
    if not known:
        return
    buyer, update = acc.get("customer", known, "customer", 400), params.get("customer_update") or {}
    if taxed and not buyer["address"] and "address" not in update:
        message = (
            "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid address to the"
            " Customer or set either `customer_update[address]` to 'auto' or `customer_update[shipping]` to 'auto'."
        )
        raise ApiError(400, message, code="customer_tax_location_invalid", param="automatic_tax")
    if truth(params.get("tax_id_collection") or {}, "enabled") and update.get("name") != "auto":
        message = (
            "Tax ID collection requires updating business name on the customer. To enable tax ID collection for an"
            " existing customer, please set `customer_update[name]` to `auto`."
        )
        raise ApiError(400, message, param="tax_id_collection")


# --- lines


def _lines(acc: Account, params: Obj, mode: str) -> list[Obj]:
    if mode == "setup":
        if params.get("line_items"):
            raise ApiError(400, "You can not pass `line_items` in `setup` mode.", param="line_items")
        return []
    need(params, "line_items")
    lines = [_line(acc, params, place) for place in range(len(params["line_items"]))]
    recurring = [bool(line["price"]["recurring"]) for line in lines]
    if mode == "subscription" and not any(recurring):
        raise ApiError(400, "You must provide at least one recurring price in `subscription` mode.", param="line_items")
    if mode == "payment" and any(recurring):
        message = (
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use"
            " only one-time prices."
        )
        raise ApiError(400, message, param="line_items")
    if len({line["currency"] for line in lines}) > 1:
        raise ApiError(400, "All line items must have the same currency.", param="line_items")
    return lines


def _line(acc: Account, params: Obj, place: int) -> Obj:
    line, param = params["line_items"][place], f"line_items[{place}][price]"
    if bool(line.get("price")) == bool(line.get("price_data")):
        message = f"You must specify either `price` or `price_data` for `line_items[{place}]`."
        raise ApiError(400, message, param=param)
    price = acc.get("price", line["price"], param, 400) if line.get("price") else prices.inline(acc, line["price_data"])
    if line.get("price") and not price["active"]:
        raise ApiError(400, "The price specified is inactive. This field only accepts active prices.", param=param)
    name = acc.get("product", price["product"])["name"]
    currency = (params.get("currency") or price["currency"]).lower()
    quantity = whole(line, "quantity", 1) or 1
    amount = prices.unit(acc, price, currency) * quantity
    shown = stripe_shapes.session_line(acc, price, quantity, name, line.get("metadata") or {})
    shown.update(currency=currency, amount_subtotal=amount, amount_total=amount)
    shown["adjustable_quantity"] = _bounds(line.get("adjustable_quantity"))
    return shown


def _bounds(wanted: Obj | None) -> Obj | None:
    if not wanted:
        return None
    least, most = whole(wanted, "minimum", 0), whole(wanted, "maximum", 99)
    return {"enabled": truth(wanted, "enabled"), "maximum": most, "minimum": least}


def _currency(acc: Account, params: Obj, lines: list[Obj]) -> str | None:
    found: str | None = lines[0]["currency"] if lines else params.get("currency")
    buyer: Any = acc.tables.get("customer", {}).get(params.get("customer") or "")
    if not buyer or not found or params.get("mode") != "subscription":
        return found
    for sub in acc.having("subscription", "customer", buyer["id"]):
        if sub["status"] not in lifecycle.OVER and sub["currency"] != found:
            message = (
                "You cannot combine currencies on a single customer. This customer has an active subscription with"
                f" currency {sub['currency']}."
            )
            raise ApiError(400, message)
    return found


def _expiry(acc: Account, params: Obj) -> int:
    wanted = whole(params, "expires_at") or acc.now() + DAY
    if not 1800 - 60 <= wanted - acc.now() <= DAY + 60:
        message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation."
        raise ApiError(400, message, param="expires_at")
    return wanted


def trial_end(acc: Account, data: Obj) -> int | None:
    """When the trial that was asked for ends, counted from now; None without a trial."""
    days = whole(data, "trial_period_days")
    if days is not None and days < 1:
        raise ApiError(400, "The minimum number of trial period days is 1.", param="subscription_data")
    return acc.now() + days * DAY if days else whole(data, "trial_end")
