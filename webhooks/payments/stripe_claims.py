"""Money that was taken back: what Stripe says of the payments of a subscription, and which payments it says it of."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from webhooks.payments import stripe_lists, stripe_objects, stripe_wire


class Hold(NamedTuple):
    """Why a subscription that looks paid is not (as in `rule.Snapshot.hold`), and its payments with claims."""

    word: str
    claims: tuple[str, ...]


async def hold(v1: Any, subscription: Mapping[str, Any], known: Iterable[str]) -> Hold:
    """What stands against the subscription: its first payment is open, or money of it went back or is disputed.

    A full refund counts for the latest payment, a dispute for each; `known` are claims from before.
    """
    if stripe_objects.is_first_and_open(subscription.get("latest_invoice")):
        return Hold("pending", tuple(known))
    word, claims = "", dict.fromkeys(known)
    latest = stripe_objects.payment_intents(subscription.get("latest_invoice"))
    if not latest and not stripe_objects.is_first(subscription.get("latest_invoice")):
        # The latest invoice brought no money, or none yet: what counts is the payment before it, if there was one.
        bills = await _invoices(v1, subscription)
        latest = next(filter(None, map(stripe_objects.payment_intents, bills)), [])
        if not latest and any(map(stripe_objects.is_first_and_open, bills)):
            return Hold("pending", tuple(known))
    for intent in latest:
        expanded: Any = {"expand": ["latest_charge"]}
        found = stripe_wire.plain(await stripe_wire.answered(v1.payment_intents.retrieve_async(intent, expanded)))
        charge = found.get("latest_charge") or {}
        if charge.get("refunded"):
            word = "refunded"
        if charge.get("amount_refunded") or charge.get("disputed"):
            claims[intent] = None
    for intent in claims:
        if not word and await _disputed(v1, intent):
            word = "disputed"
    return Hold(word, tuple(claims))


async def _invoices(v1: Any, subscription: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The subscription's invoices, the newest first, each with its payments."""
    wanted: Any = {"subscription": subscription["id"], "expand": ["data.payments"], "limit": 100}
    rows = stripe_wire.plain(await stripe_wire.answered(v1.invoices.list_async(wanted)))
    found: list[dict[str, Any]] = rows.get("data", [])
    return found


async def _disputed(v1: Any, intent: str) -> bool:
    rows = stripe_wire.plain(await stripe_wire.answered(v1.disputes.list_async({"payment_intent": intent})))
    return stripe_objects.is_disputed(rows.get("data", []))


async def since(held: Any, moment: datetime) -> frozenset[str]:
    """The payments of which something was refunded or disputed since then."""
    wanted = {"created": {"gte": int(moment.timestamp())}}
    found: set[str] = set()
    for path in ("/v1/refunds", "/v1/disputes"):
        async for rows in stripe_lists.pages(stripe_wire.listing(held, path), wanted):
            found.update(intent for row in rows if (intent := stripe_objects.intent(row)))
    return frozenset(found)
