"""Operators' commands about one member: who they are, what they have and why, giving and taking back."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.commands import asking
from bot.messages import inquiry, operators
from core import access, catalogue, errors, grants, members, models, places, rights
from core.billing import reasons

_MOST_DAYS = 3650
_LATEST = 5


async def grant(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """MEMBER [PLAN] [DAYS]: the member has the plan, for so many days or without end."""
    desk = visit.desk
    member, *rest = visit.argument.split() or [""]
    if not member:
        return operators.usage("grant")
    days = asking.number(rest.pop()) if rest and asking.number(rest[-1]) is not None else None
    if days is not None and not 1 <= days <= _MOST_DAYS:
        return operators.usage("grant", inquiry.DAYS_WRONG)
    who, plan = await _named(session, visit, member), _plan(desk.catalogue, " ".join(rest))
    await members.present(session, who.member_id)
    until = desk.now + timedelta(days=days) if days else None
    await grants.grant(session, who.member_id, plan, desk.catalogue, until=until, by=visit.actor, now=desk.now)
    return inquiry.granted(who, plan, until)


async def revoke(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """MEMBER [PLAN]: no grant of the plan is valid any more."""
    desk = visit.desk
    member, *rest = visit.argument.split() or [""]
    if not member:
        return operators.usage("revoke")
    who, plan = await _named(session, visit, member), _plan(desk.catalogue, " ".join(rest))
    left = await _days_left(session, who.member_id, plan, visit)
    ended = await grants.revoke(session, who.member_id, plan, by=visit.actor, now=desk.now)
    still = plan.key in await rights.plans_of(session, who.member_id, now=desk.now)
    return inquiry.revoked(who, plan, ended, left, still=still)


async def _days_left(session: AsyncSession, member_id: int, plan: catalogue.Plan, visit: asking.Visit) -> int | None:
    """The days, begun ones counted, that the member's longest grant of the plan has to run; None for no end."""
    valid = (models.Grant.member_id == member_id, models.Grant.plan == plan.key, rights.valid_grant(visit.desk.now))
    ends = (await session.scalars(select(models.Grant.until).where(*valid))).all()
    days = [-((visit.desk.now - end) // timedelta(days=1)) for end in ends if end is not None]
    return max(days) if len(days) == len(ends) and days else None


async def _named(session: AsyncSession, visit: asking.Visit, said: str) -> models.Identity:
    """Who is meant; a bare number is an account on the operator's own chat."""
    return await members.named(session, f"{visit.identity.platform}:{said}" if said.isdecimal() else said)


def _plan(book: catalogue.Catalogue, said: str) -> catalogue.Plan:
    if not said and len(book.plans) == 1:
        return book.plans[0]
    found = [plan for plan in book.plans if said.lower() in {plan.key, plan.name.lower()}]
    if not found:
        raise errors.RefusedError(inquiry.which_plan(book.by_key))
    return found[0]


async def who(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """MEMBER: accounts, plans, routes, places, latest deliveries."""
    if not visit.argument:
        return operators.usage("who")
    named = await _named(session, visit, visit.argument)
    member_id, now = named.member_id, visit.desk.now
    latest = await session.scalars(
        select(models.Delivery)
        .where(models.Delivery.member_id == member_id)
        .order_by(models.Delivery.id.desc())
        .limit(_LATEST)
    )
    return inquiry.who(
        await session.get_one(models.Member, member_id),
        await members.identities(session, member_id),
        await access.standing(session, member_id, visit.desk.catalogue, now=now),
        await places.seats(session, member_id, now=now),
        latest.all(),
    )


async def why(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """MEMBER: the decision about their access, and what it rests on."""
    if not visit.argument:
        return operators.usage("why")
    named = await _named(session, visit, visit.argument)
    member_id, now, book = named.member_id, visit.desk.now, visit.desk.catalogue
    found = await reasons.gather(session, member_id, book, grace_days=visit.desk.settings.grace_days)
    held = await access.standing(session, member_id, book, now=now)
    seats = await places.seats(session, member_id, now=now)
    return messages.reasons.why(named, held, found, seats, book, now=now)
