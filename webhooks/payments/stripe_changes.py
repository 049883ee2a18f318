"""Changes of a running subscription at Stripe: shown by a preview, and made with the same moment, so it costs the same.

What is `now` is invoiced at once; what is `later` waits for the next invoice; during a trial nothing is counted.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from core import errors
from core.billing import changes
from webhooks.payments import stripe_wire

Obj = Mapping[str, Any]
_BEHAVIOUR = {"now": "always_invoice", "later": "create_prorations", "trial": "none"}


async def preview(api: Any, change: changes.Change) -> changes.Quote:
    """What the change costs, as Stripe works it out; nothing is made."""
    wanted = {"subscription": change.subscription, "subscription_details": _wanted(change)}
    invoice = stripe_wire.plain(await stripe_wire.answered(api.invoices.create_preview_async(wanted)))
    if not invoice:
        raise errors.RefusedError("Stripe knows no next invoice of this subscription.")
    return quote(invoice, change)


async def make(api: Any, change: changes.Change, key: str) -> None:
    """The subscription is changed and what is due was paid; raises DeclinedError when it was not, and all is as before.

    The same key changes it once.
    """
    wanted = {**_wanted(change), "payment_behavior": "error_if_incomplete"}
    making = api.subscriptions.update_async(change.subscription, wanted, {"idempotency_key": key})
    await stripe_wire.answered(making, making=True)


def _wanted(change: changes.Change) -> dict[str, Any]:
    items = [{"id": change.item, "price": change.price_id, "quantity": change.quantity}]
    counted = {} if change.timing == "trial" else {"proration_date": int(change.at.timestamp())}
    return {"items": items, "proration_behavior": _BEHAVIOUR[change.timing], **counted}


def quote(invoice: Obj, change: changes.Change) -> changes.Quote:
    """What the preview says: the invoice that is made at once, or the next one with what is credited on it."""
    lines = list((invoice.get("lines") or {}).get("data") or [])
    currency, due = str(invoice.get("currency") or "").upper(), int(invoice.get("amount_due") or 0)
    # What an invoice that is not final yet leaves as credit, it does not say.
    left = max(0, -int(invoice.get("total") or 0) - int(invoice.get("starting_balance") or 0))
    counted = [line for line in lines if change.timing == "now" or _prorated(line)]
    credit = -sum(line["amount"] for line in counted if line["amount"] < 0)
    cost = sum(line["amount"] for line in counted if line["amount"] > 0)
    if change.timing == "now":
        # What is credited reaches to the end of the period that is left behind.
        begun = [line for line in lines if line["amount"] > 0]
        return changes.Quote(currency, due, credit, cost, left, next_at=_latest(begun or lines))
    at = _moment(invoice.get("period_end"))
    return changes.Quote(currency, 0, credit, cost, left, next_amount=due, next_at=at)


def _prorated(line: Obj) -> bool:
    """Whether the line stands for a part of a period, in the old shape and the new."""
    parent = line.get("parent") or {}
    details = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    return bool(details.get("proration") or line.get("proration"))


def _latest(lines: Iterable[Obj]) -> datetime | None:
    """The end of the period that the lines reach into: what comes next is charged then."""
    ends = [(line.get("period") or {}).get("end") for line in lines]
    return _moment(max((end for end in ends if isinstance(end, int)), default=None))


def _moment(value: Any) -> datetime | None:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else None
