"""Money that was taken back: what Stripe says of the payments of a subscription, and which payments it says it of."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from webhooks.payments import stripe_lists, stripe_objects, stripe_wire


class Hold(NamedTuple):
    """Why a subscription that looks paid is not (as in `rule.Snapshot.hold`), and its payments with claims."""

    word: str
    claims: tuple[str, ...]


async def hold(held: Any, subscription: Mapping[str, Any], known: Iterable[str]) -> Hold:
    """What stands against the subscription: its first payment is open, or money of it went back or is disputed.

    A full refund counts for the latest payment, a dispute for each; `known` are claims from before.
    """
    if stripe_objects.is_first_and_open(subscription.get("latest_invoice")):
        return Hold("pending", tuple(known))
    word, claims = "", dict.fromkeys(known)
    latest = stripe_objects.payment_intents(subscription.get("latest_invoice"))
    if not latest and not stripe_objects.is_first(subscription.get("latest_invoice")):
        # The latest invoice brought no money, or none yet: what counts is the payment before it, if there was one.
        bills = await _invoices(held, subscription)
        latest = next(filter(None, map(stripe_objects.payment_intents, bills)), [])
        if not latest and any(map(stripe_objects.is_first_and_open, bills)):
            return Hold("pending", tuple(known))
    for intent in latest:
        found = await stripe_wire.read(held, "payment_intents", intent, expand=["latest_charge"])
        charge = found.get("latest_charge") or {}
        if charge.get("refunded"):
            word = "refunded"
        if charge.get("amount_refunded") or charge.get("disputed"):
            claims[intent] = None
    for intent in claims:
        if not word and await _disputed(held, intent):
            word = "disputed"
    return Hold(word, tuple(claims))


async def _invoices(held: Any, subscription: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The subscription's invoices, the newest first, each with its payments."""
    wanted = {"subscription": subscription["id"], "expand": ["data.payments"], "limit": 100}
    rows = await stripe_wire.read(held, "invoices", **wanted)
    found: list[dict[str, Any]] = rows.get("data", [])
    return found


async def _disputed(held: Any, intent: str) -> bool:
    rows = await stripe_wire.read(held, "disputes", payment_intent=intent)
    return stripe_objects.is_disputed(rows.get("data", []))


async def since(held: Any, moment: datetime) -> frozenset[str]:
    """The payments of which something was refunded or disputed since then."""
    wanted = {"created": {"gte": int(moment.timestamp())}}
    found: set[str] = set()
    for path in ("refunds", "disputes"):
        async for rows in stripe_lists.pages(held, path, wanted):
            found.update(intent for row in rows if (intent := stripe_objects.intent(row)))
    return frozenset(found)
