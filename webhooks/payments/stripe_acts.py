"""What we have Stripe do to a subscription or a checkout; doing it again changes nothing."""

import itertools
from typing import Any

from core import errors
from core.billing import errands
from webhooks.payments import stripe_objects, stripe_wire


async def do(v1: Any, errand: errands.Errand) -> None:
    """The errand is done, or was not needed any more; raises as `payments.Provider` says."""
    options = {"idempotency_key": errand.key}
    match errand.act:
        case "cancel":
            # One that has ended already is as unknown to this call as one that never was.
            await stripe_wire.answered(v1.subscriptions.cancel_async(errand.target, {"prorate": False}, options))
        case "refund":
            await _refund(v1, errand)
        case "end_trial":
            if (await _subscription(v1, errand.target)).get("status") == "trialing":
                await stripe_wire.answered(v1.subscriptions.update_async(errand.target, {"trial_end": "now"}, options))
        case "expire":
            session = stripe_wire.plain(await stripe_wire.answered(v1.checkout.sessions.retrieve_async(errand.target)))
            if session.get("status") == "open":
                await stripe_wire.answered(v1.checkout.sessions.expire_async(errand.target, {}, options))
        case _:
            raise errors.RefusedError(f"nobody here knows what '{errand.act}' is")


async def _refund(v1: Any, errand: errands.Errand) -> None:
    """Every payment of the subscription went back whole; what went back in part, the rest of it.

    There is one, or a second one of a change on the first day. Raises UnreachableError while another is on its way, as
    bank debits are for days: it can go back only when it has arrived.
    """
    listed: Any = {"subscription": errand.target, "expand": ["data.payments"], "limit": 100}
    bills = stripe_wire.plain(await stripe_wire.answered(v1.invoices.list_async(listed))).get("data", [])
    for intent in itertools.chain.from_iterable(map(stripe_objects.payment_intents, bills)):
        payment = await _payment(v1, intent)
        if (payment.get("latest_charge") or {}).get("refunded"):
            continue
        wanted: Any = {"payment_intent": intent, "reason": "duplicate"}
        options = {"idempotency_key": f"{errand.key}-{intent}"}
        await stripe_wire.answered(v1.refunds.create_async(wanted, options), making=True)
    for intent in itertools.chain.from_iterable(stripe_objects.payment_intents(bill, "open") for bill in bills):
        if (await _payment(v1, intent)).get("status") == "processing":
            raise errors.UnreachableError("Another payment is on its way; it goes back when it has arrived.")


async def _payment(v1: Any, intent: str) -> dict[str, Any]:
    expanded: Any = {"expand": ["latest_charge"]}
    return stripe_wire.plain(await stripe_wire.answered(v1.payment_intents.retrieve_async(intent, expanded)))


async def _subscription(v1: Any, found: str) -> dict[str, Any]:
    return stripe_wire.plain(await stripe_wire.answered(v1.subscriptions.retrieve_async(found)))
