"""Gifts: the page on which one period of a plan is bought for somebody else, and what follows from its payment."""

from typing import Any

from aiohttp import web
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import errors, grants, health, models, sold
from core.billing import checkouts, gifts, links, plans
from core.delivery import outbox
from webhooks import billing, checkout, payments, site

_UNKNOWN = "Please choose one of the gifts below."


def add_to(app: web.Application) -> None:
    """The site has the page."""
    app.router.add_get("/gift/{token}", show)
    app.router.add_post("/gift/{token}", start)


async def show(request: web.Request) -> web.Response:
    """What can be given, and what it costs; looking at it makes nothing."""
    try:
        ticket = await billing.ticket(request, links.GIFT)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    return site.page(request, "gift", **await _facts(site.of(request), ticket))


async def start(request: web.Request) -> web.Response:
    """The buyer is on the provider's page, where they pay once for what they chose."""
    here = site.of(request)
    try:
        ticket = await billing.ticket(request, links.GIFT)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    facts = await _facts(here, ticket)
    wanted = str((await request.post()).get("gift", ""))
    price = next((row for row in facts["choices"] if _value(row) == wanted), None)
    provider = here.provider(price.provider) if price else None
    if price is None or provider is None:
        return site.page(request, "gift", status=422, **facts | {"problem": _UNKNOWN, "chosen": ""})
    plan = here.stack.catalogue.by_key[price.plan]
    choice = checkouts.Choice(plan, price.price_id, price.currency, gift=True)
    return await checkout.leave(request, provider, ticket.member_id, choice)


async def _facts(here: site.Site, ticket: links.Ticket) -> dict[str, Any]:
    book, once = here.stack.catalogue, {one.name for one in here.providers if one.once}
    async with here.stack.db.reading() as session:
        offers = [one for one in await plans.offers(session, book) if one.plan.gift]
        waiting = await gifts.unused(session, ticket.member_id)
    choices = [row for offer in offers for row in offer.prices if row.provider in once]
    first = next((row for row in choices if row.plan == ticket.plan), choices[0] if choices else None)
    return {
        "choices": choices,
        "plans": {offer.plan.key: offer.plan for offer in offers},
        "waiting": len(waiting),
        "chosen": _value(first) if first else "",
        "value": _value,
        "amount": plans.amount,
        "period": plans.period,
        "problem": "",
    }


def _value(price: models.PlanPrice) -> str:
    """What the form says for this price."""
    return f"{price.plan} {price.price_id} {price.currency}"


# --- what follows from the payment


async def take(session: AsyncSession, here: site.Site, reading: payments.Reading) -> None:
    """A gift that was paid is there, and one whose payment was taken back is not; buyer and receiver have been told."""
    payment, now, book = reading.payment, here.now, here.stack.catalogue
    if payment is None:
        return
    row = await checkouts.of_session(session, reading.session) if reading.session else None
    if row is not None and row.gift and reading.state == "paid":
        made = await gifts.bought(session, row, await _period(session, here, row), payment, now=now)
        if made is not None:
            await _bought(session, here, made)
    changed = await gifts.judged(session, payment, now=now)
    if changed is None:
        return
    gift, before = changed
    grant = await session.get(models.Grant, gift.grant_id) if gift.grant_id else None
    if grant is not None:
        await grants.regranted(session, [grant.member_id], book, now=now)
    if gifts.PAID in {before, gift.status}:
        name = "gift_restored" if gift.status == gifts.PAID else "gift_withdrawn"
        await _tell(session, here, gift, name, f"{gift.status}:{now.timestamp():.3f}")


async def _bought(session: AsyncSession, here: site.Site, gift: models.Gift) -> None:
    name = "gift_bought" if gift.status == gifts.PAID else "gift_withdrawn"
    if await _tell(session, here, gift, name, "bought"):
        return
    # Who cannot be told cannot hand it on either: they have left, or their chats take no messages.
    member = await session.get_one(models.Member, gift.member_id)
    if member.deleted_at is not None and gift.status == gifts.PAID:
        text = f"The gift {gift.id} was paid ({gift.payment_id}), but its buyer has left: refund it."
        await health.alarm(session, f"gift_without_member:{gift.id}", text, now=here.now)


async def _tell(session: AsyncSession, here: site.Site, gift: models.Gift, name: str, mark: str) -> int:
    plan = here.stack.catalogue.by_key.get(gift.plan)
    many = gift.interval_count > 1
    facts = {
        "plan": plan.name if plan else gift.plan,
        "gift": gift.id,
        "period": f"{gift.interval_count} {gift.interval}s" if many else f"one {gift.interval}",
        "why": gift.status,
        "taken": gift.grant_id is not None,
    }
    return await outbox.tell(session, gift.member_id, name, facts, key=f"gift:{gift.id}:{mark}", now=here.now)


async def _period(session: AsyncSession, here: site.Site, row: models.Checkout) -> tuple[str, int]:
    """How long one payment at the checkout's price lasts: as it was when last asked, or as the catalogue says."""
    known = select(models.PlanPrice).where(
        models.PlanPrice.provider == row.provider, models.PlanPrice.price_id == row.price_id
    )
    if price := (await session.scalars(known.limit(1))).first():
        return price.interval, price.interval_count
    plan = here.stack.catalogue.by_key.get(row.plan)
    named = (price.period for price in (plan.prices if plan else ()) if price.id == row.price_id)
    return sold.CYCLES[next(named, "month")]
