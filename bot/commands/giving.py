"""Commands about seats and gifts: giving them, and taking one with a code."""

from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.commands import asking
from bot.messages import giving
from core import access, errors, given, grants
from core.billing import gifts as bought
from core.billing import invitations, links, plans
from core.billing import seats as paid


async def redeem(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """CODE: what the code is for is the member's; with yes after it also what they have already."""
    desk, who = visit.desk, visit.identity
    code, _, sure = visit.argument.strip().partition(" ")
    if not code:
        return giving.which_code()
    before = await access.standing(session, who.member_id, desk.catalogue, now=desk.now)
    offer, made = await grants.redeem(
        session, who, code, desk.catalogue, sure=sure.strip().lower() == "yes", now=desk.now
    )
    if made is None:
        return giving.sure(_name(visit, offer.plan), code)
    facts = await given.about(session, made, desk.catalogue, now=desk.now)
    held = [_way(one) for one in before.holdings if one.plan.key == offer.plan]
    return giving.redeemed(offer, facts, held)


def _way(holding: access.Holding) -> str:
    return {"seat": "a seat", "gift": "a gift", "operator": "given by the operator"}.get(
        holding.source, "your own subscription"
    )


def _name(visit: asking.Visit, plan: str) -> str:
    found = visit.desk.catalogue.by_key.get(plan)
    return found.name if found else plan


async def seats(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """The seats that the member pays for, and the way to the page where they are given."""
    desk, member_id = visit.desk, visit.identity.member_id
    rows = await paid.paid_by(session, member_id, now=desk.now)
    if not rows:
        held = await access.standing(session, member_id, desk.catalogue, now=desk.now)
        seated = next((one.by or "another member" for one in held.holdings if one.source == paid.SOURCE), "")
        return giving.no_seats(seated=seated, sold=any(plan.seats for plan in desk.catalogue.plans))
    found = [(_name(visit, row.plan), await paid.team(session, row, now=desk.now)) for row in rows]
    return giving.teams(found, links.url(desk.settings, links.SEATS, member_id, now=desk.now))


async def gift(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """The member's gifts and the way to buy one; "link NUMBER" makes the link that hands one on."""
    first, _, rest = visit.argument.partition(" ")
    number = asking.number(rest)
    if first.lower() == "link":
        if number is None:
            raise errors.RefusedError("Say which gift is meant; /gift shows yours.")
        return await _hand_on(session, visit, number)
    desk, member_id = visit.desk, visit.identity.member_id
    mine = [(one, _name(visit, one.plan)) for one in await bought.unused(session, member_id)]
    sold = any(one.price and one.plan.gift for one in await plans.offers(session, desk.catalogue))
    url = links.url(desk.settings, links.GIFT, member_id, now=desk.now)
    return giving.gifts(mine, url, sold=sold and desk.settings.selling(desk.catalogue))


async def _hand_on(session: AsyncSession, visit: asking.Visit, number: int) -> messages.Message:
    desk, code = visit.desk, invitations.code()
    made = await bought.invite(session, visit.identity.member_id, number, code, now=desk.now)
    plan = next((one.plan for one in await bought.unused(session, visit.identity.member_id) if one.id == number), "")
    return giving.handed(_name(visit, plan), code, invitations.url(desk.settings, code), made.expires_at)
