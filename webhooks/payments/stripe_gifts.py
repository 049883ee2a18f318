"""Gifts at Stripe: one payment of what a price costs for one period, and what became of that payment."""

from typing import Any

from core.billing import gifts
from webhooks import payments
from webhooks.payments import stripe_objects, stripe_orders, stripe_wire

GIFT = "signalstack_gift"
"""The mark on payments for gifts; one without it is nothing of ours."""


async def page(v1: Any, order: payments.Order, *, tax: bool) -> stripe_orders.Params:
    """What Stripe is asked for: the price in the wanted currency, once; nothing renews, and no code makes it less."""
    row, ours = order.checkout, stripe_orders.named(order) | {GIFT: "yes"}
    expanded: Any = {"expand": ["currency_options"]}
    price = stripe_wire.plain(await stripe_wire.answered(v1.prices.retrieve_async(row.price_id, expanded)))
    wanted = stripe_orders.base(order) | {
        "mode": "payment",
        "metadata": ours,
        "line_items": [{"price_data": _once(price, row.currency.lower()), "quantity": 1}],
        "payment_intent_data": {"metadata": ours, "description": f"A gift: {order.plan.name}"},
        "custom_text": {"submit": {"message": "A gift for somebody else: one payment, nothing renews."}},
    }
    for name in ("allow_promotion_codes", "discounts"):
        wanted.pop(name, None)
    return wanted | (stripe_orders.taxed(order.customer_id) if tax else {})


def _once(price: dict[str, Any], currency: str) -> dict[str, Any]:
    """The same amount of the same product without its period."""
    option = (price.get("currency_options") or {}).get(currency) or {}
    own = not currency or currency == price.get("currency")
    behaviour = price.get("tax_behavior")
    return {
        "currency": currency or price.get("currency"),
        "product": price.get("product"),
        "unit_amount": price.get("unit_amount") if own else option.get("unit_amount"),
    } | ({"tax_behavior": behaviour} if behaviour in {"inclusive", "exclusive"} else {})


async def of_session(held: Any, session: dict[str, Any]) -> gifts.Payment | None:
    """The payment behind a page that was paid once; None for a subscription's, and while nothing was paid."""
    if session.get("mode") != "payment" or stripe_objects.session_state(session) != "paid":
        return None
    intent = session.get("payment_intent")
    return await of_payment(held, intent) if isinstance(intent, str) else None


async def of_payment(held: Any, intent: str) -> gifts.Payment | None:
    """What Stripe says now of this payment, if it was for a gift of ours."""
    row = await stripe_wire.read(held, "payment_intents", intent, expand=["latest_charge"])
    if (row.get("metadata") or {}).get(GIFT) != "yes":
        return None
    charge, status = row.get("latest_charge") or {}, gifts.PAID
    if charge.get("refunded"):
        status = gifts.REFUNDED
    elif charge.get("disputed"):
        found = await stripe_wire.read(held, "disputes", payment_intent=intent)
        status = gifts.DISPUTED if stripe_objects.is_disputed(found.get("data", [])) else gifts.PAID
    return gifts.Payment(intent, status, int(row.get("amount") or 0), str(row.get("currency") or ""))
