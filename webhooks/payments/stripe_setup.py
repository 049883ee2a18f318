"""What `signalstack stripe setup` does in the operator's account; doing it again changes nothing."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core import catalogue, errors, settings
from core.billing import plans
from webhooks.payments import stripe_objects, stripe_wire

EVENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "invoice.paid",
    "invoice.payment_failed",
    "charge.refunded",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "price.updated",
)
Say = Callable[[str], None]
Obj = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rate:
    """What plans without a price shall cost; `amount` in the smallest unit of the currency."""

    amount: int
    currency: str
    interval: str = "month"


async def setup(conf: settings.Settings, book: catalogue.Catalogue, rate: Rate | None, *, say: Say) -> dict[str, str]:
    """Product and price of each plan, billing portal and webhook endpoint stand in the account; says what it did.

    Returns the price id of each plan. Without `rate`, a plan that has no price raises RefusedError.
    """
    async with stripe_wire.connected(conf) as client:
        made = {plan.key: await _price(client.v1, plan, rate, say) for plan in book.plans}
        await _portal(client.v1, book, say)
        await _endpoint(client.v1, conf, say)
    return made


async def _price(v1: Any, plan: catalogue.Plan, rate: Rate | None, say: Say) -> str:
    if plan.price_id:
        if await stripe_wire.answered(v1.prices.retrieve_async(plan.price_id)) is None:
            raise errors.RefusedError(
                f"The plan {plan.key} names the price {plan.price_id}, which Stripe does not know."
            )
        say(f"Plan {plan.key}: its price {plan.price_id} is there.")
        return plan.price_id
    product = await _product(v1, plan, say)
    async for price in _all(v1.prices, {"product": product, "active": True}):
        if rate is None or _is(price, rate):
            say(f"Plan {plan.key}: found the price {price['id']}. Use it as price_id or STRIPE_PRICE_ID.")
            return str(price["id"])
    if rate is None:
        raise errors.RefusedError(f"The plan {plan.key} has no price yet: say what it costs (--amount, --currency).")
    making: Any = {
        "product": product,
        "unit_amount": rate.amount,
        "currency": rate.currency.lower(),
        "recurring": {"interval": rate.interval},
        "metadata": {stripe_objects.PLAN: plan.key},
    }
    price = stripe_wire.plain(await stripe_wire.answered(v1.prices.create_async(making), making=True))
    words = plans.written(rate.amount, rate.currency)
    say(f"Plan {plan.key}: made the price {price['id']} ({words} / {rate.interval}).")
    say(f"Name it as price_id of the plan {plan.key} in signalstack.toml, or as STRIPE_PRICE_ID.")
    return str(price["id"])


def _is(price: Obj, rate: Rate) -> bool:
    cycle = price.get("recurring") or {}
    told = (price.get("unit_amount"), price.get("currency"), cycle.get("interval"), cycle.get("interval_count"))
    return told == (rate.amount, rate.currency.lower(), rate.interval, 1)


async def _product(v1: Any, plan: catalogue.Plan, say: Say) -> str:
    async for product in _all(v1.products, {"active": True}):
        if (product.get("metadata") or {}).get(stripe_objects.PLAN) == plan.key:
            return str(product["id"])
    making: Any = {"name": plan.name, "metadata": {stripe_objects.PLAN: plan.key}}
    if plan.description:
        making["description"] = plan.description
    product = stripe_wire.plain(await stripe_wire.answered(v1.products.create_async(making), making=True))
    say(f"Plan {plan.key}: made the product {product['id']}.")
    return str(product["id"])


async def _portal(v1: Any, book: catalogue.Catalogue, say: Say) -> None:
    async for row in _all(v1.billing_portal.configurations, {"active": True}):
        if stripe_objects.is_our_portal(row):
            say(f"Billing portal: its configuration {row['id']} is there.")
            return
    making: Any = {
        "business_profile": {"headline": book.service.name[:60]},
        "features": {
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
        },
        "metadata": {stripe_objects.PORTAL: "yes"},
    }
    row = stripe_wire.plain(
        await stripe_wire.answered(v1.billing_portal.configurations.create_async(making), making=True)
    )
    say(f"Billing portal: made the configuration {row['id']} (card, invoices, cancel at the end of the period).")


async def _endpoint(v1: Any, conf: settings.Settings, say: Say) -> None:
    url = f"{conf.public_url}/webhooks/stripe"
    async for row in _all(v1.webhook_endpoints, {}):
        if row["url"] == url and row.get("status", "enabled") == "enabled":
            await _same_events(v1, row, say)
            if row.get("api_version") not in {None, stripe_wire.API_VERSION}:
                say(f"It speaks API version {row['api_version']}, we {stripe_wire.API_VERSION}; both are understood.")
            return
    making: Any = {"url": url, "enabled_events": list(EVENTS), "api_version": stripe_wire.API_VERSION}
    row = stripe_wire.plain(await stripe_wire.answered(v1.webhook_endpoints.create_async(making), making=True))
    say(f"Webhooks: made the endpoint {row['id']} for {url}.")
    say(f"Its secret is shown this once: STRIPE_WEBHOOK_SECRET={row['secret']}")


async def _same_events(v1: Any, row: Obj, say: Say) -> None:
    told = set(row.get("enabled_events") or [])
    if "*" in told or told >= set(EVENTS):
        say(f"Webhooks: the endpoint {row['id']} is there; its secret is in your Stripe dashboard.")
        return
    wanted: Any = {"enabled_events": sorted(told | set(EVENTS))}
    await stripe_wire.answered(v1.webhook_endpoints.update_async(row["id"], wanted), making=True)
    say(f"Webhooks: the endpoint {row['id']} now tells us every event we need.")


async def _all(room: Any, wanted: Mapping[str, Any]) -> AsyncIterator[Obj]:
    """Every object of a list, page after page."""
    after: dict[str, str] = {}
    while True:
        page = stripe_wire.plain(await stripe_wire.answered(room.list_async({**wanted, "limit": 100, **after})))
        for row in page["data"]:
            yield row
        if not page["has_more"]:
            return
        after = {"starting_after": page["data"][-1]["id"]}
