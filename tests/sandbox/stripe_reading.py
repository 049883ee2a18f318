"""What can be read of the stand-in: one object, lists with their filters, searches, and lists inside objects."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from tests.sandbox import stripe_billing as billing
from tests.sandbox import stripe_lifecycle as lifecycle
from tests.sandbox import stripe_prices as prices
from tests.sandbox import stripe_versions, stripe_wire
from tests.sandbox.stripe_account import INDEXED, Account
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


def fits(acc: Account, kind: str, params: Obj) -> Callable[[Obj], bool]:
    """Whether an object is let through by the filters; a list of subscriptions shows ended ones only when asked."""
    tests: list[Callable[[Obj], bool]] = []
    if kind == "subscription" and "status" not in params:
        tests.append(lambda row: row["status"] not in lifecycle.OVER)
    for name, wanted in params.items():
        if name not in _PLAIN:
            tests.append(_test(name, wanted))
    return lambda row: all(test(row) for test in tests)


def _test(name: str, wanted: Any) -> Callable[[Obj], bool]:
    found = FILTERS.get(name)
    return (lambda row: found(row, wanted)) if found else (lambda row: bool(row.get(name) == wanted))


def _narrowed(acc: Account, kind: str, params: Obj) -> list[str] | None:
    for field in INDEXED.get(kind, ()):
        if field in params:
            return acc.index.get((kind, field, params[field]), [])
    intent = params.get("payment", {}).get("payment_intent") if kind == "invoice_payment" else None
    if intent:
        return acc.index.get((kind, "invoice", acc.secret(intent).get("invoice")), [])
    return None


def rows(acc: Account, kind: str, params: Obj) -> list[Obj]:
    """All objects of this kind that the filters let through, newest first."""
    wanted = fits(acc, kind, params)
    return [row for row in acc.newest(kind, _narrowed(acc, kind, params)) if wanted(row)]


def listed(acc: Account, kind: str, params: Obj, url: str) -> Obj:
    """One page of the objects that the filters let through; only what stands on it is looked at, if it can be."""
    limit, wanted, narrowed = stripe_wire.limit_of(params), fits(acc, kind, params), _narrowed(acc, kind, params)
    before, after = params.get("ending_before"), params.get("starting_after")
    for name, edge in (("starting_after", after), ("ending_before", before)):
        if edge and (edge not in acc.tables.get(kind, {}) or (narrowed is not None and edge not in narrowed)):
            raise stripe_wire.missing(kind, edge, name, 400)
    walk = acc.oldest(kind, narrowed, before) if before else acc.newest(kind, narrowed, after)
    if kind == "event" and not before:
        walk = _since(walk, max(acc.now() - 30 * billing.DAY + 1, _least(params.get("created"))))
    found = list(itertools.islice((row for row in walk if wanted(row)), limit + 1))
    more, found = len(found) > limit, found[:limit]
    return {"object": "list", "data": found[::-1] if before else found, "has_more": more, "url": url}


def _since(walk: Iterator[Obj], at: int) -> Iterator[Obj]:
    """Events stand in the order of their times: nothing older follows an older one. Lists forget them after 30 days."""
    return itertools.takewhile(lambda row: row["created"] >= at, walk)


def _least(created: Any) -> int:
    if not isinstance(created, dict):
        return 0
    return max(int(created.get("gte", 0)), int(created.get("gt", 0)))


def read(acc: Account, name: str, params: Obj, object_id: str) -> Obj:
    """The answer of a GET route: one object, a list, or a search result."""
    path = name.removeprefix("GET /v1/")
    if path.endswith("/{id}"):
        return _shown(acc, acc.get(KINDS[path.removesuffix("/{id}")], object_id))
    if path.endswith("/search"):
        kind = KINDS[path.removesuffix("/search")]
        return stripe_wire.found(acc.all(kind), params, f"/v1/{path}")
    if path.endswith("/payment_methods"):
        acc.get("customer", object_id)
        wanted = {**params, "customer": object_id}
        return listed(acc, "payment_method", wanted, f"/v1/customers/{object_id}/payment_methods")
    if path.endswith("/line_items"):
        lines = acc.secret(acc.get("checkout.session", object_id)["id"])["lines"]
        return stripe_wire.page(lines, params, f"/v1/checkout/sessions/{object_id}/line_items")
    shown = listed(acc, KINDS[path], params, f"/v1/{path}")
    return {**shown, "data": [_shown(acc, row) for row in shown["data"]]}


def _shown(acc: Account, row: Obj) -> Obj:
    """An event keeps the shape of the version it was made in, whatever the request's version is."""
    if row["object"] != "event":
        return row
    return {**row, "data": stripe_versions.in_version(row["data"], row["api_version"], acc)}


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
