"""What Stripe is asked for when a member buys, made from the stored checkout alone."""

from typing import Any

from webhooks import payments
from webhooks.payments import stripe_objects, stripe_wire

Params = dict[str, Any]


def subscription(order: payments.Order, *, tax: bool) -> Params:
    """The checkout page of a subscription: its price in the wanted currency, so many seats, days for free, discount.

    `tax`: Stripe Tax works out the taxes, and asks for the address that it needs for that.
    """
    row, ours = order.checkout, named(order)
    wanted = base(order) | {
        "mode": "subscription",
        "line_items": [{"price": row.price_id or order.plan.price_ids[0], "quantity": row.quantity}],
        "subscription_data": {"metadata": ours},
    }
    if row.currency:
        wanted["currency"] = row.currency.lower()
    if row.trial_days:
        wanted["subscription_data"] |= {
            "trial_period_days": row.trial_days,
            "trial_settings": {"end_behavior": {"missing_payment_method": "cancel"}},
        }
    return wanted | (taxed(order.customer_id) if tax else {})


def base(order: payments.Order) -> Params:
    """What every page asks for: whose it is, where it leads back to, how long it lives, and the discount."""
    wanted: Params = {
        "client_reference_id": str(order.checkout.member_id),
        "metadata": named(order),
        "success_url": order.success_url,
        "cancel_url": order.cancel_url,
        "expires_at": int(order.checkout.expires_at.timestamp()),
    }
    if order.promotion:
        wanted["discounts"] = [{"promotion_code": order.promotion}]
    else:
        wanted["allow_promotion_codes"] = True
    if order.customer_id:
        wanted["customer"] = order.customer_id
    return wanted


async def promotion(v1: Any, said: str) -> str:
    """The id of the promotion code that was said by its id or by its human code; empty when it cannot be used."""
    if not said or said.startswith("promo_"):
        return said
    wanted: Any = {"code": said, "active": True, "limit": 1}
    rows = stripe_wire.plain(await stripe_wire.answered(v1.promotion_codes.list_async(wanted)))
    return next((str(row["id"]) for row in rows.get("data", [])), "")


def named(order: payments.Order) -> dict[str, str]:
    """What links a payment to a member and a plan, wherever Stripe writes it down."""
    return {stripe_objects.MEMBER: str(order.checkout.member_id), stripe_objects.PLAN: order.plan.key}


def taxed(customer_id: str) -> Params:
    """What makes Stripe Tax work out the taxes of a page."""
    wanted: Params = {
        "automatic_tax": {"enabled": True},
        "tax_id_collection": {"enabled": True},
        "billing_address_collection": "required",
    }
    if customer_id:  # Stripe keeps what a known customer enters only when it is told to
        wanted["customer_update"] = {"address": "auto", "name": "auto"}
    return wanted
