"""What can be read of the stand-in: one object, lists with their filters, searches, and lists inside objects."""

from collections.abc import Callable
from typing import Any

from tests.sandbox import stripe_billing as billing
from tests.sandbox import stripe_events, stripe_wire
from tests.sandbox import stripe_lifecycle as lifecycle
from tests.sandbox import stripe_prices as prices
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import Obj

Filter = Callable[[Obj, Any], bool]

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


def included(acc: Account, node: Obj, field: str) -> Any:
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
