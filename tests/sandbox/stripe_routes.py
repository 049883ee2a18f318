"""Every route of the stand-in's API: what it does, and what its lists can be filtered by."""

import re
from collections.abc import Callable
from typing import Any

from tests.sandbox import stripe_billing as billing
from tests.sandbox import stripe_checkout as checkout
from tests.sandbox import stripe_claims as claims
from tests.sandbox import stripe_events, stripe_params, stripe_wire
from tests.sandbox import stripe_lifecycle as lifecycle
from tests.sandbox import stripe_paying as paying
from tests.sandbox import stripe_prices as prices
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import ApiError, Obj, merge_metadata, need, truth, whole

Action = Callable[[Account, Obj, str], Obj]
Filter = Callable[[Obj, Any], bool]
ACTIONS: dict[str, Action] = {}


def route(name: str) -> Callable[[Action], Action]:
    """The function answers this route; it gets the account, the nested parameters and the id of the path."""

    def keep(action: Action) -> Action:
        ACTIONS[name] = action
        return action

    return keep


_PATTERNS = {
    name: re.compile(name.replace("{id}", r"([A-Za-z0-9_\-]+)")) for name in stripe_params.TOP if "{id}" in name
}


def match(method: str, path: str) -> tuple[str, str]:
    """The route's name and the id in the path, or ApiError 404."""
    if f"{method} {path}" in stripe_params.TOP:
        return f"{method} {path}", ""
    for name, pattern in _PATTERNS.items():
        if hit := pattern.fullmatch(f"{method} {path}"):
            return name, hit.group(1)
    raise ApiError(404, f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs")


# --- what can be read

KINDS = {
    "products": "product",
    "prices": "price",
    "customers": "customer",
    "checkout/sessions": "checkout.session",
    "subscriptions": "subscription",
    "invoices": "invoice",
    "invoice_payments": "invoice_payment",
    "billing_portal/configurations": "billing_portal.configuration",
    "coupons": "coupon",
    "promotion_codes": "promotion_code",
    "webhook_endpoints": "webhook_endpoint",
    "events": "event",
    "charges": "charge",
    "refunds": "refund",
    "disputes": "dispute",
    "payment_intents": "payment_intent",
    "payment_methods": "payment_method",
    "setup_intents": "setup_intent",
}
_PLAIN = {"expand", "limit", "starting_after", "ending_before", "query", "page"}


def _status(row: Obj, wanted: Any) -> bool:
    if row["object"] != "subscription" or wanted not in {"all", "ended"}:
        return bool(row["status"] == wanted)
    return wanted == "all" or row["status"] in lifecycle.OVER


def _of_subscription(row: Obj, wanted: Any) -> bool:
    if row["object"] == "invoice":
        return bool((row["parent"]["subscription_details"] or {}).get("subscription") == wanted)
    return bool(row["subscription"] == wanted)


def _ends(field: str) -> Filter:
    return lambda row, wanted: any(stripe_wire.within(i[field], wanted) for i in row["items"]["data"])


FILTERS: dict[str, Filter] = {
    "active": lambda row, wanted: row["active"] == (wanted == "true"),
    "is_default": lambda row, wanted: row["is_default"] == (wanted == "true"),
    "created": lambda row, wanted: stripe_wire.within(row["created"], wanted),
    "ids": lambda row, wanted: row["id"] in wanted,
    "lookup_keys": lambda row, wanted: row["lookup_key"] in wanted,
    "recurring": lambda row, wanted: all((row["recurring"] or {}).get(k) == v for k, v in wanted.items()),
    "customer_details": lambda row, wanted: (row["customer_details"] or {}).get("email") == wanted.get("email"),
    "status": _status,
    "subscription": _of_subscription,
    "price": lambda row, wanted: any(item["price"]["id"] == wanted for item in row["items"]["data"]),
    "current_period_end": _ends("current_period_end"),
    "current_period_start": _ends("current_period_start"),
    "payment": lambda row, wanted: all(row["payment"].get(k) == v for k, v in wanted.items()),
    "coupon": lambda row, wanted: row["promotion"]["coupon"] == wanted,
    "type": lambda row, wanted: _type_fits(row["type"], wanted),
    "types": lambda row, wanted: any(_type_fits(row["type"], one) for one in wanted),
    "delivery_success": lambda row, wanted: (row["pending_webhooks"] == 0) == (wanted == "true"),
}


def _type_fits(actual: str, wanted: str) -> bool:
    return actual == wanted or (wanted.endswith("*") and actual.startswith(wanted[:-1]))


def rows(acc: Account, kind: str, params: Obj) -> list[Obj]:
    """All objects of this kind that the filters let through, newest first; lists forget events after 30 days."""
    chosen = acc.all(kind)
    if kind == "subscription" and "status" not in params:
        chosen = [row for row in chosen if row["status"] not in lifecycle.OVER]
    if kind == "event":
        chosen = [row for row in chosen if row["created"] > acc.now() - 30 * billing.DAY]
    for name, wanted in params.items():
        if name in _PLAIN:
            continue
        fits = FILTERS.get(name)
        chosen = [row for row in chosen if (fits(row, wanted) if fits else row.get(name) == wanted)]
    return chosen


def read(acc: Account, name: str, params: Obj, object_id: str) -> Obj:
    """The answer of a GET route: one object, a list, or a search result."""
    path = name.removeprefix("GET /v1/")
    if path.endswith("/{id}"):
        return _shown(acc, acc.get(KINDS[path.removesuffix("/{id}")], object_id))
    if path.endswith("/search"):
        kind = KINDS[path.removesuffix("/search")]
        return stripe_wire.found(acc.all(kind), params, f"/v1/{path}")
    if path.endswith("/payment_methods"):
        held = rows(acc, "payment_method", {**params, "customer": object_id})
        return stripe_wire.page(held, params, f"/v1/customers/{object_id}/payment_methods")
    if path.endswith("/line_items"):
        lines = acc.secret(acc.get("checkout.session", object_id)["id"])["lines"]
        return stripe_wire.page(lines, params, f"/v1/checkout/sessions/{object_id}/line_items")
    listed = stripe_wire.page(rows(acc, KINDS[path], params), params, f"/v1/{path}")
    return {**listed, "data": [_shown(acc, row) for row in listed["data"]]}


def _shown(acc: Account, row: Obj) -> Obj:
    """An event keeps the shape of the version it was made in, whatever the request's version is."""
    if row["object"] != "event":
        return row
    return {**row, "data": stripe_events.in_version(row["data"], row["api_version"], acc)}


def answer(acc: Account, method: str, path: str, flat: list[tuple[str, str]]) -> Obj:
    """What this request answers, with the expansions it asks for; it has had its whole effect, or ApiError."""
    name, object_id = match(method, path)
    stripe_params.check(name, [key for key, _ in flat])
    params = stripe_wire.nest(flat)
    action = ACTIONS.get(name)
    result = action(acc, params, object_id) if action else read(acc, name, params, object_id)
    return stripe_wire.expanded(result, params.get("expand"), acc.find, lambda node, field: _extra(acc, node, field))


def _extra(acc: Account, node: Obj, field: str) -> Any:
    """Lists that Stripe includes only when asked."""
    found: list[Obj] | None = None
    if (node.get("object"), field) == ("price", "currency_options"):
        return prices.options(acc, node)
    if (node.get("object"), field) == ("checkout.session", "line_items"):
        found = acc.secret(node["id"])["lines"]
    elif (node.get("object"), field) == ("charge", "refunds"):
        found = rows(acc, "refund", {"charge": node["id"]})
    elif (node.get("object"), field) == ("invoice", "payments"):
        found = rows(acc, "invoice_payment", {"invoice": node["id"]})
    elif (node.get("object"), field) == ("customer", "subscriptions"):
        found = rows(acc, "subscription", {"customer": node["id"]})
    return None if found is None else stripe_wire.page(found, {}, f"/v1/{field}")


# --- what sells and what is paid


@route("POST /v1/checkout/sessions")
def _open(acc: Account, params: Obj, _: str) -> Obj:
    return checkout.open_session(acc, params)


@route("POST /v1/checkout/sessions/{id}")
def _change_session(acc: Account, params: Obj, object_id: str) -> Obj:
    session = acc.get("checkout.session", object_id)
    merge_metadata(session, params)
    return session


@route("POST /v1/checkout/sessions/{id}/expire")
def _expire(acc: Account, params: Obj, object_id: str) -> Obj:
    session = acc.get("checkout.session", object_id)
    paying.expire(acc, session)
    return session


@route("POST /v1/subscriptions/{id}")
def _change_subscription(acc: Account, params: Obj, object_id: str) -> Obj:
    sub = acc.get("subscription", object_id)
    if sub["status"] in lifecycle.OVER and set(params) - {"metadata", "cancellation_details", "expand"}:
        raise ApiError(400, "A canceled subscription can only update its cancellation_details and metadata.")
    details = params.get("cancellation_details") or {}
    if "cancel_at_period_end" in params:
        planned = truth(params, "cancel_at_period_end")
        lifecycle.plan_end(acc, sub, billing.period_end(sub) if planned else None, flag=planned, details=details)
    elif "cancel_at" in params:
        lifecycle.plan_end(acc, sub, _cancel_at(sub, params), flag=False, details=details)
    with acc.changing(sub, lifecycle.UPDATED):
        merge_metadata(sub, params)
        for name in set(params) & {"description", "default_payment_method"}:
            sub[name] = params[name] or None
        if "pause_collection" in params:
            sub["pause_collection"] = _paused(params)
        _change_items(acc, sub, params)
    return sub


def _cancel_at(sub: Obj, params: Obj) -> int | None:
    ends = [int(item["current_period_end"]) for item in sub["items"]["data"]]
    named = {"min_period_end": min(ends), "max_period_end": max(ends)}
    return named.get(params["cancel_at"]) or whole(params, "cancel_at")


def _paused(params: Obj) -> Obj | None:
    wanted = params["pause_collection"]
    if not wanted:
        return None
    if wanted.get("behavior") not in {"keep_as_draft", "mark_uncollectible", "void"}:
        raise ApiError(400, "Invalid pause_collection[behavior]", param="pause_collection[behavior]")
    return {"behavior": wanted["behavior"], "resumes_at": whole(wanted, "resumes_at")}


def _change_items(acc: Account, sub: Obj, params: Obj) -> None:
    for change in params.get("items") or []:
        need(change, "id")
        item = next((row for row in sub["items"]["data"] if row["id"] == change["id"]), None)
        if item is None:
            raise stripe_wire.missing("subscription_item", change["id"], "items[0][id]", 400)
        item["quantity"] = whole(change, "quantity", item["quantity"])
        if change.get("price"):
            lifecycle.reprice(acc, sub, item, acc.get("price", change["price"], "items[0][price]", 400))


@route("DELETE /v1/subscriptions/{id}")
def _cancel(acc: Account, params: Obj, object_id: str) -> Obj:
    sub = acc.get("subscription", object_id)
    if sub["status"] in lifecycle.OVER:
        raise stripe_wire.missing("subscription", object_id)
    lifecycle.end(acc, sub, "cancellation_requested", params.get("cancellation_details"))
    return sub


@route("POST /v1/subscriptions/{id}/pause")
def _pause(acc: Account, params: Obj, object_id: str) -> Obj:
    sub = acc.get("subscription", object_id)
    lifecycle.pause(acc, sub, paused=True)
    return sub


@route("POST /v1/subscriptions/{id}/resume")
def _resume(acc: Account, params: Obj, object_id: str) -> Obj:
    sub = acc.get("subscription", object_id)
    if sub["status"] != "paused":
        raise ApiError(400, "Only a paused subscription can be resumed.")
    lifecycle.pause(acc, sub, paused=False)
    return sub


@route("POST /v1/invoices/{id}/pay")
def _pay_invoice(acc: Account, params: Obj, object_id: str) -> Obj:
    invoice = acc.get("invoice", object_id)
    if invoice["status"] != "open":
        raise ApiError(400, f"Invoice is already {invoice['status']}", code="invoice_not_open")
    sub = acc.get("subscription", invoice["parent"]["subscription_details"]["subscription"])
    if not lifecycle.collect(acc, sub, invoice):
        raise ApiError(402, "Your card was declined.", type="card_error", code="card_declined")
    return invoice


@route("POST /v1/refunds")
def _refund(acc: Account, params: Obj, _: str) -> Obj:
    ref = params.get("charge") or params.get("payment_intent")
    if not ref:
        raise ApiError(400, "One of the following params should be provided: `payment_intent` or `charge`.")
    given = claims.refund(acc, ref, whole(params, "amount"), params.get("reason"))
    merge_metadata(given, params)
    return given


@route("POST /v1/disputes/{id}/close")
def _accept_dispute(acc: Account, params: Obj, object_id: str) -> Obj:
    return claims.dispute(acc, acc.get("dispute", object_id)["charge"], "lost")
