"""Gifts: one period of a plan, paid once by one member and taken by another with a one-time code.

Only the payment decides: while the provider says that it is paid, the gift can be taken or is its receiver's; refunded
or disputed it is worth nothing, and when the money is ours again it is given back for the rest of its time.
"""

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors
from core.billing import invitations
from core.models import Checkout, Gift, Grant, Invitation

SOURCE = "gift"
PAID, REFUNDED, DISPUTED = "paid", "refunded", "disputed"
_UNREAD, _CLAIMABLE = timedelta(hours=6), timedelta(days=540)  # cards' holders may dispute for so long
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment that renews nothing, as its provider says: "paid", "refunded" (whole) or "disputed"."""

    external_id: str
    status: str
    amount: int
    currency: str


async def bought(
    session: AsyncSession, checkout: Checkout, period: tuple[str, int], payment: Payment, *, now: datetime
) -> Gift | None:
    """The gift of this paid checkout, so many units of time of its plan, is there; given back when it is new."""
    row = {
        "checkout_id": checkout.id,
        "member_id": checkout.member_id,
        "plan": checkout.plan,
        "interval": period[0],
        "interval_count": period[1],
        "amount": payment.amount,
        "currency": payment.currency.upper(),
        "payment_id": payment.external_id,
        "status": payment.status,
    }
    insert = db.insert(session, Gift).values(**row, created_at=now, read_at=now)
    if not await db.execute(session, insert.on_conflict_do_nothing(index_elements=["checkout_id"])):
        return None
    log.info("gift_bought", checkout=checkout.id, member=checkout.member_id, plan=checkout.plan)
    return await session.scalar(select(Gift).where(Gift.checkout_id == checkout.id))


async def judged(session: AsyncSession, payment: Payment, *, now: datetime) -> tuple[Gift, str] | None:
    """The gift of this payment stands as the payment does; with the status before, if that was another.

    Its receiver's grant ends, or is given back for the rest of its time.
    """
    gift = await session.scalar(
        select(Gift)
        .where(Gift.payment_id == payment.external_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if gift is None:
        return None
    before, gift.status, gift.read_at = gift.status, payment.status, now
    grant = await session.get(Grant, gift.grant_id, with_for_update=True) if gift.grant_id else None
    if grant is not None and gift.status != PAID and grant.revoked_at is None:
        grant.revoked_at, grant.reason = now, gift.status
    elif grant is not None and gift.status == PAID and grant.reason in {REFUNDED, DISPUTED}:
        grant.revoked_at, grant.reason = None, ""
    await session.flush()
    return (gift, before) if before != gift.status else None


async def unused(session: AsyncSession, member_id: int) -> Sequence[Gift]:
    """The member's paid gifts that nobody has taken, oldest first."""
    mine = (Gift.member_id == member_id, Gift.status == PAID, Gift.grant_id.is_(None))
    return (await session.scalars(select(Gift).where(*mine).order_by(Gift.id))).all()


async def invite(session: AsyncSession, member_id: int, gift_id: int, code: str, *, now: datetime) -> Invitation:
    """The code is the only one that can take this gift; one that was made before is worth nothing any more."""
    gift = await session.get(Gift, gift_id, with_for_update=True, populate_existing=True)
    if gift is None or gift.member_id != member_id or gift.status != PAID or gift.grant_id is not None:
        raise errors.RefusedError("There is no such gift of yours that could still be handed on. /gift shows them.")
    await invitations.withdraw(session, Invitation.gift_id == gift_id, now=now)
    return await invitations.make(session, code, member_id=member_id, gift_id=gift_id, now=now)


async def running(session: AsyncSession, member_id: int, plan: str, *, now: datetime) -> datetime | None:
    """Until when the member has this plan as a gift; None when they do not."""
    mine = (Grant.member_id == member_id, Grant.plan == plan, Grant.source == SOURCE, Grant.revoked_at.is_(None))
    latest = select(Grant.until).where(*mine, Grant.until > now).order_by(Grant.until.desc())
    return await session.scalar(latest.limit(1))


async def give(session: AsyncSession, invitation: Invitation, member_id: int, *, now: datetime) -> Grant:
    """The gift is the member's for one period from now, and its code is used; raises RefusedError otherwise."""
    gift = await session.get_one(Gift, invitation.gift_id, with_for_update=True, populate_existing=True)
    if gift.status != PAID or gift.grant_id is not None:
        raise invitations.NotValidError
    if until := await running(session, member_id, gift.plan, now=now):
        raise errors.RefusedError(
            f"You have this plan as a gift already, until {until:%d %b %Y}. Two at once would overlap, so please use "
            f"this code after that; it is good until {invitation.expires_at:%d %b %Y}."
        )
    await invitations.use(session, invitation, now=now)
    grant = Grant(
        member_id=member_id,
        plan=gift.plan,
        until=after(now, gift.interval, gift.interval_count),
        granted_by=f"member:{gift.member_id}",
        source=SOURCE,
        created_at=now,
    )
    session.add(grant)
    await session.flush()
    gift.grant_id = invitation.grant_id = grant.id
    await session.flush()
    log.info("gift_taken", gift=gift.id, member=member_id)
    return grant


def after(start: datetime, interval: str, count: int) -> datetime:
    """The end of a period of so many days, weeks, months or years; a month ends on its last day at the latest."""
    if interval in {"day", "week"}:
        return start + timedelta(days=count * (7 if interval == "week" else 1))
    months = start.month - 1 + count * (12 if interval == "year" else 1)
    year, month = start.year + months // 12, months % 12 + 1
    return start.replace(year=year, month=month, day=min(start.day, calendar.monthrange(year, month)[1]))


async def unsettled(session: AsyncSession, provider: str, *, now: datetime, limit: int) -> Sequence[str]:
    """The provider's sessions of gifts whose payment is worth asking after again, the longest unread first.

    Those that nobody has taken or that run, not read for six hours, disputed ones among them, which may be won. From
    now on they count as read.
    """
    alive = or_(Gift.grant_id.is_(None), Grant.until > now)
    found = await session.execute(
        select(Gift.id, Checkout.session_id)
        .join(Checkout, Gift.checkout_id == Checkout.id)
        .outerjoin(Grant, Grant.id == Gift.grant_id)
        .where(Checkout.provider == provider, Checkout.session_id.is_not(None), alive)
        .where(Gift.read_at <= now - _UNREAD, Gift.created_at > now - _CLAIMABLE)
        .where(Gift.status != REFUNDED)
        .order_by(Gift.read_at)
        .limit(limit)
    )
    rows = found.all()
    # One whose payment the provider does not know any more must not stand at the head of the line for ever.
    await db.execute(session, update(Gift).where(Gift.id.in_([number for number, _ in rows])).values(read_at=now))
    return [said for _, said in rows if said]
