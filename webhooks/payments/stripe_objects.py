"""Stripe's objects, read: what an event is about, and what a subscription says. Pure, no network, no SDK.

Objects come as plain dicts in the shape of any API version: since 2025-03-31 the period stands on the items, and an
invoice names its subscription under `parent`. A field that is missing says nothing: neither "expired" nor "for ever".
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from core.billing import plans, subscriptions
from webhooks import payments

Obj = Mapping[str, Any]
MEMBER, PLAN, PORTAL = "signalstack_member", "signalstack_plan", "signalstack_portal"
# Of a dispute only these leave the money with us; an inquiry (warning_…) is a question, not a dispute.
_HARMLESS = {"won", "prevented", "warning_needs_response", "warning_under_review", "warning_closed"}


def subject(kind: str, body: bytes) -> payments.Subject:
    """What the event is about; nothing for an event of which no access follows."""
    obj = _object(body)
    match kind.split("."):
        case ["customer", "subscription", _]:
            return payments.Subject(subscription=_id(obj.get("id")))
        case ["checkout", "session", _]:
            return payments.Subject(session=_id(obj.get("id")))
        case ["invoice", *_]:
            return payments.Subject(subscription=invoice_subscription(obj))
        case ["charge", "refunded" | "refund" | "dispute", *_] | ["refund", _]:
            invoice, paid = _id(obj.get("invoice")), intent(obj)
            claims = (paid,) if paid else ()
            return payments.Subject(invoice=invoice, payment="" if invoice else paid, claims=claims)
        case ["price" | "product", _]:
            return payments.Subject(prices=True)
    return payments.Subject()


def complaint(body: bytes, version: str) -> str:
    """What is to be said of an event that is written in another version than the one we speak; empty when it is not."""
    said = orjson.loads(body).get("api_version")
    if not isinstance(said, str) or said == version:
        return ""
    return (
        f"Stripe's endpoint sends events of API version {said[:40]}; we speak {version}. They are understood, but "
        "please make a new endpoint with 'signalstack stripe setup' before they are not."
    )


def _object(body: bytes) -> Obj:
    data = orjson.loads(body).get("data")
    obj = data.get("object") if isinstance(data, dict) else None
    return obj if isinstance(obj, dict) else {}


def intent(obj: Obj) -> str:
    """The payment that a charge, a refund or a dispute is about."""
    return _id(obj.get("payment_intent"))


def invoice_subscription(invoice: Obj) -> str:
    """The subscription that the invoice bills, in the old shape and the new; empty for other invoices."""
    parent = invoice.get("parent") or {}
    details = parent.get("subscription_details") or {}
    return _id(invoice.get("subscription")) or _id(details.get("subscription"))


def session_state(session: Obj) -> str:
    """What became of a checkout, in the words of `core.billing.checkouts`."""
    if session.get("status") == "expired":
        return "expired"
    if session.get("status") != "complete":
        return "open"
    return "paid" if session.get("payment_status") in {"paid", "no_payment_required"} else "pending"


def payment_intents(invoice: Any, status: str = "paid") -> list[str]:
    """The payments with which this invoice was paid; with the status "open", those that it waits for."""
    if not isinstance(invoice, Mapping) or invoice.get("status") != status:
        return []
    new = [(row.get("payment") or {}).get("payment_intent") for row in (invoice.get("payments") or {}).get("data", [])]
    return [found for found in map(_id, [*new, invoice.get("payment_intent")]) if found]


def is_first(invoice: Any) -> bool:
    """Whether this is the very first invoice of its subscription."""
    return isinstance(invoice, Mapping) and invoice.get("billing_reason") == "subscription_create"


def is_first_and_open(invoice: Any) -> bool:
    """Whether the money of the very first invoice has not arrived (bank debits take days and may be refused)."""
    return is_first(invoice) and invoice.get("status") in {"draft", "open", "uncollectible", "void"}


def is_disputed(disputes: Iterable[Obj]) -> bool:
    """Whether any of these disputes is open or was lost; one in a state we do not know counts as open."""
    return any(dispute.get("status") not in _HARMLESS for dispute in disputes)


def listed(subscription: Obj, *, known: frozenset[str], read_at: datetime) -> payments.Listed:
    """The subscription as it stands in a list, with its latest invoice."""
    hold = "pending" if is_first_and_open(subscription.get("latest_invoice")) else ""
    found = snapshot(subscription, known=known, hold=hold, read_at=read_at)
    return payments.Listed(found, tuple(payment_intents(subscription.get("latest_invoice"))))


def snapshot(
    subscription: Obj,
    *,
    known: Iterable[str],
    hold: str,
    read_at: datetime,
    session: Obj | None = None,
    claims: tuple[str, ...] = (),
) -> subscriptions.Snapshot:
    """The subscription as core understands it; `known` are the price ids that open something."""
    item = _granting(subscription, frozenset(known))
    price = item.get("price") or {}
    metadata = subscription.get("metadata") or {}
    session = session or {}
    member = metadata.get(MEMBER) or (session.get("metadata") or {}).get(MEMBER) or session.get("client_reference_id")
    return subscriptions.Snapshot(
        provider="stripe",
        external_id=_id(subscription),
        customer_id=_id(subscription.get("customer")),
        member_id=_number(member),
        price_id=_id(price),
        status=str(subscription.get("status") or "unknown")[:40],
        period_start=_start(item) or _start(subscription),
        period_end=_end(item) or _end(subscription),
        cancel_at_period_end=bool(subscription.get("cancel_at_period_end")),
        cancel_at=_moment(subscription.get("cancel_at")),
        ended_at=_moment(subscription.get("ended_at")),
        trial_end=_moment(subscription.get("trial_end")),
        collection_paused=bool(subscription.get("pause_collection")),
        hold=hold,
        created_at=_moment(subscription.get("created")) or read_at,
        read_at=read_at,
        session_id=_id(session),
        plan=str((price.get("metadata") or {}).get(PLAN) or ""),
        item_id=_id(item),
        claims=claims,
        **_cost(item, str(subscription.get("currency") or "")),
        **_card(subscription),
    )


def _cost(item: Obj, currency: str) -> dict[str, Any]:
    """What the line costs, as far as it is said: a price names its own currency's amount only."""
    price, cycle = item.get("price") or {}, (item.get("price") or {}).get("recurring") or {}
    quantity, amount, every = item.get("quantity"), price.get("unit_amount"), cycle.get("interval_count")
    return {
        "quantity": quantity if isinstance(quantity, int) and quantity > 0 else 1,
        "amount": amount if isinstance(amount, int) and currency in {"", price.get("currency")} else None,
        "currency": str(currency or price.get("currency") or "")[:3].upper(),
        "interval": str(cycle.get("interval") or "")[:8],
        "interval_count": every if isinstance(every, int) and every > 0 else 1,
    }


def _card(subscription: Obj) -> dict[str, Any]:
    """The card that will be charged: the subscription's own, or else its customer's; nothing for other ways to pay."""
    customer = subscription.get("customer")
    usual = (customer.get("invoice_settings") or {}) if isinstance(customer, Mapping) else {}
    method = subscription.get("default_payment_method") or usual.get("default_payment_method")
    card = method.get("card") if isinstance(method, Mapping) else None
    if not isinstance(card, Mapping):
        return {}
    year, month = card.get("exp_year"), card.get("exp_month")
    return {
        "card": f"{str(card.get('brand') or 'card').capitalize()} {card.get('last4') or ''}".strip()[:40],
        "card_expires": f"{year:04}-{month:02}" if isinstance(year, int) and isinstance(month, int) else "",
        "fingerprint": str(card.get("fingerprint") or ""),
    }


def _granting(subscription: Obj, known: frozenset[str]) -> Obj:
    """The item that opens something and ends last; when none does, the one that ends last."""
    items: list[Obj] = list((subscription.get("items") or {}).get("data") or [])
    granting = [item for item in items if _id(item.get("price")) in known]
    return max(granting or items, key=lambda item: item.get("current_period_end") or 0, default={})


def prices(obj: Obj, plan: str) -> list[plans.Priced]:
    """The price in each of its currencies; none for one that cannot be charged every period at one amount."""
    cycle = obj.get("recurring") or {}
    if not obj.get("active") or not isinstance(obj.get("unit_amount"), int) or not cycle.get("interval"):
        return []
    main = str(obj["currency"])
    amounts = {main: obj["unit_amount"]}
    for currency, option in (obj.get("currency_options") or {}).items():
        if isinstance(option, Mapping) and isinstance(option.get("unit_amount"), int):
            amounts.setdefault(currency, option["unit_amount"])
    every = (str(cycle["interval"]), int(cycle.get("interval_count") or 1))
    return [plans.Priced(plan, _id(obj), amount, name, *every, name == main) for name, amount in amounts.items()]


def is_our_portal(configuration: Obj) -> bool:
    """Whether `signalstack stripe setup` made this configuration of the billing portal."""
    return (configuration.get("metadata") or {}).get(PORTAL) == "yes"


def _start(obj: Obj) -> datetime | None:
    return _moment(obj.get("current_period_start"))


def _end(obj: Obj) -> datetime | None:
    return _moment(obj.get("current_period_end"))


def _moment(value: Any) -> datetime | None:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) else None


def _id(value: Any) -> str:
    """The id of an object that is given as such or by its id alone."""
    found = value.get("id") if isinstance(value, Mapping) else value
    return found if isinstance(found, str) else ""


def _number(value: Any) -> int | None:
    text = str(value or "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None
