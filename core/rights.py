"""Who has which plan, and who may enter which place: conditions in SQL, asked alike at the fan-out and at the claim.

What a subscription is worth was settled when it was last read (`billing.subscriptions.access_until`); here it is only
compared with the clock. A member who was deleted, or who became another, has nothing.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, BindParameter, ColumnElement, and_, bindparam, exists, false, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from core.columns import Utc
from core.models import Grant, Member, PlacePlan, Subscription

Column = ColumnElement[Any]


def valid_grant(now: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """The condition that a grant was not taken back and has not run out."""
    return and_(Grant.revoked_at.is_(None), or_(Grant.until.is_(None), Grant.until > now))


def holds(member: Column, plans: Iterable[str], now: datetime) -> ColumnElement[bool]:
    """The condition that this member has one of these plans now, paid or given."""
    keys = sorted(plans)
    if not keys:
        return false()
    return or_(
        exists().where(Subscription.member_id == member, Subscription.plan.in_(keys), Subscription.access_until > now),
        exists().where(Grant.member_id == member, Grant.plan.in_(keys), valid_grant(now)),
    )


def may_enter(place: Column, member: Column, now: datetime) -> ColumnElement[bool]:
    """The condition that this member may be in this place (its key) now: one of their plans opens it."""
    opens = (PlacePlan.place == place,)
    return and_(
        exists().where(Member.id == member, Member.deleted_at.is_(None)),
        or_(
            exists().where(
                *opens,
                Subscription.plan == PlacePlan.plan,
                Subscription.member_id == member,
                Subscription.access_until > now,
            ),
            exists().where(*opens, Grant.plan == PlacePlan.plan, Grant.member_id == member, valid_grant(now)),
        ),
    )


_WHOSE, _NOW = bindparam("whose", type_=BigInteger()), bindparam("at", type_=Utc())
# Asked so often that building the statement anew each time would cost more than executing it.
_PLANS = union(
    select(Subscription.plan).where(Subscription.member_id == _WHOSE, Subscription.access_until > _NOW),
    select(Grant.plan).where(Grant.member_id == _WHOSE, valid_grant(_NOW)),
)


async def plans_of(session: AsyncSession, member_id: int, *, now: datetime) -> set[str]:
    """The keys of the plans that this member has now."""
    return set(await session.scalars(_PLANS, {_WHOSE.key: member_id, _NOW.key: now}))
