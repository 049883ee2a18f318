"""Commands about a membership: plans, paying, standing, and the way into the places for subscribers."""

from collections import defaultdict

from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.commands import asking
from bot.messages import offers
from core import access, members, places
from core.billing import changes as changing
from core.billing import links, looks, plans, subscriptions


async def overview(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """Plans and prices."""
    desk = visit.desk
    on_offer = await plans.offers(session, desk.catalogue)
    selling, changes = desk.settings.selling(desk.catalogue), await _changes(session, visit)
    return offers.overview(on_offer, desk.catalogue.service, selling=selling, changes=changes)


async def _changes(session: AsyncSession, visit: asking.Visit) -> list[messages.Button]:
    """The ways to change what the member pays for: another plan, period or number of seats."""
    desk, member_id = visit.desk, visit.identity.member_id
    on_offer = await plans.offers(session, desk.catalogue)
    rows = [row for row in await changing.changeable(session, member_id) if not changing.refusal(row)]
    able = [row for row in rows if changing.others(row, on_offer, [one.plan for one in rows])]
    names = desk.catalogue.by_key
    return [
        offers.change(
            names[row.plan].name if row.plan in names else row.plan,
            links.url(desk.settings, links.CHANGE, member_id, row.plan, now=desk.now),
            only=len(able) == 1,
        )
        for row in able
    ]


async def subscribe(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """The way to the page on which the member pays for the plan that the argument names."""
    desk = visit.desk
    on_offer = [offer for offer in await plans.offers(session, desk.catalogue) if offer.price]
    if not desk.settings.selling(desk.catalogue) or not on_offer:
        return offers.not_selling(desk.catalogue.service)
    wanted = [offer for offer in on_offer if visit.argument.lower() in {offer.plan.key, offer.plan.name.lower()}]
    if not wanted and len(on_offer) > 1:
        return offers.pick(on_offer)
    chosen = (wanted or on_offer)[0]
    standing = await held(session, visit)
    for holding in standing.holdings:
        if holding.plan.key == chosen.plan.key and not holding.given:
            return offers.already(holding)
    url = links.checkout_url(desk.settings, visit.identity.member_id, chosen.plan.key, now=desk.now)
    return offers.checkout(chosen, url, desk.catalogue.service)


async def held(session: AsyncSession, visit: asking.Visit) -> access.Standing:
    """What the member has now."""
    return await access.standing(session, visit.identity.member_id, visit.desk.catalogue, now=visit.desk.now)


async def status(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """What the member has, which places are theirs, and how signals reach their accounts."""
    member_id = visit.identity.member_id
    seats = await places.seats(session, member_id, now=visit.desk.now)
    accounts = await members.identities(session, member_id)
    return messages.standing.status(await held(session, visit), seats, accounts, visit.identity)


async def fix(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """Everything about the member was looked at again, what was missed is on its way, and the provider is asked."""
    member_id, now = visit.identity.member_id, visit.desk.now
    asked = await looks.ask(session, member_id, now=now)
    await access.reconcile(session, member_id, visit.desk.catalogue, now=now)
    return messages.standing.fixed(await status(session, visit), asked=asked)


async def billing(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """The way to the billing portal."""
    url = await _portal(session, visit)
    return offers.billing(url, await _changes(session, visit)) if url else offers.nothing_to_manage()


async def cancel(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """How to cancel."""
    url = await _portal(session, visit)
    return offers.cancellation(url) if url else offers.nothing_to_manage()


async def _portal(session: AsyncSession, visit: asking.Visit) -> str:
    """The member's link to the billing portal, empty for who never subscribed."""
    member_id = visit.identity.member_id
    if not await subscriptions.of_member(session, member_id):
        return ""
    return links.portal_url(visit.desk.settings, member_id, now=visit.desk.now)


async def join(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """The way into each place on this chat."""
    who, book = visit.identity, visit.desk.catalogue
    seats = await places.seats(session, who.member_id, now=visit.desk.now)
    here = [seat for seat in seats if seat.identity.id == who.id]
    seated = {seat.place.platform for seat in seats}
    elsewhere = [place for place in await places.active(session) if place.platform not in seated]
    opening = defaultdict(list)
    for plan in book.plans:
        for place in await places.opened_by(session, plan.key):
            opening[place.key].append(plan.name)
    paying = (await held(session, visit)).paying
    return messages.standing.join(here, opening, elsewhere, paying=paying)
