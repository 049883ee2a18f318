"""Prices: what plans cost is asked of the provider now and then, and kept for pages and chats."""

from core import health, sold
from core.billing import plans
from webhooks import payments, site


async def refresh(here: site.Site, provider: payments.Provider) -> None:
    """Every plan has the prices the provider names now; an alarm stands for one that cannot be paid."""
    found = await provider.prices()
    known = {price.price_id for price in found}
    async with here.stack.db.transaction() as session:
        await plans.keep(session, provider.name, found, now=here.now)
        for price_id, plan in sold.by_price(here.stack.catalogue.plans, provider.sells):
            key = f"price_missing:{price_id}"
            if price_id in known:
                await health.clear(session, key, now=here.now)
                continue
            text = f"The plan {plan.key} cannot be bought at the price {price_id}: it is unknown, archived or unusual."
            await health.alarm(session, key, text, now=here.now)
