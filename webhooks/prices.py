"""Prices: what plans cost is asked of the provider now and then, and kept for pages and chats."""

from core import health
from core.billing import plans
from webhooks import payments, site


async def refresh(here: site.Site, provider: payments.Provider) -> None:
    """Every plan has the price the provider names now; one that cannot be bought has none, and an alarm says so."""
    sold = [plan for plan in here.stack.catalogue.plans if plan.price_id]
    found = {price.price_id: price for price in await provider.prices([plan.price_id for plan in sold])}
    async with here.stack.db.transaction() as session:
        for plan in sold:
            key, price = f"price_missing:{plan.key}", found.get(plan.price_id)
            if price is None:
                text = (
                    f"The plan {plan.key} cannot be bought: its price {plan.price_id} is unknown, archived or unusual."
                )
                await plans.forget(session, plan.key)
                await health.alarm(session, key, text, now=here.now)
                continue
            await plans.keep(
                session,
                plan.key,
                price_id=price.price_id,
                amount=price.amount,
                currency=price.currency,
                interval=price.interval,
                interval_count=price.interval_count,
                now=here.now,
            )
            await health.clear(session, key, now=here.now)
