"""The community in figures, counted from what is stored; what each figure means stands at its name."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, String, case, func, literal, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from core import rights
from core.models import Delivery, Grant, Identity, Member, Subscription

DAY = timedelta(days=1)
GIVEN = "given"
"""The status of access that an operator gave by hand."""


@dataclass(frozen=True, slots=True)
class Census:
    """How many there are at one moment.

    `known` are members with at least one account. `holding` are those who have any plan now; `by_plan` counts them by
    plan and by what the payment provider says ("given" for what an operator gave, "seat" and "gift" for what another
    member pays for), so who has two plans is in it twice. `unreachable` are accounts whose private chat takes no
    messages. `deliveries` counts what was planned in the last 24 hours, by its state now.
    """

    known: int
    holding: int
    by_plan: Mapping[tuple[str, str], int]
    muted: int
    unreachable: int
    deliveries: Mapping[str, int]


async def take(session: AsyncSession, *, now: datetime) -> Census:
    """The census of this moment."""
    rows = union(_paid(now), _given(now)).subquery()
    mine = rows.c.member_id
    alive = select(Member.id).where(Member.deleted_at.is_(None))
    there = Identity.member_id.in_(alive)
    by_plan = await session.execute(
        select(rows.c.plan, rows.c.status, func.count(func.distinct(mine)))
        .where(mine.in_(alive))
        .group_by(rows.c.plan, rows.c.status)
        .order_by(rows.c.plan, rows.c.status)
    )
    who = select(func.count(func.distinct(mine))).where(mine.in_(alive))
    planned = await session.execute(
        select(Delivery.state, func.count()).where(Delivery.created_at > now - DAY).group_by(Delivery.state)
    )
    return Census(
        known=await _number(session, select(func.count(func.distinct(Identity.member_id))).where(there)),
        holding=await _number(session, who),
        by_plan={(plan, status): number for plan, status, number in by_plan},
        muted=await _number(session, select(func.count()).where(Member.muted.is_(True), Member.deleted_at.is_(None))),
        unreachable=await _number(session, select(func.count()).where(Identity.blocked_at.is_not(None), there)),
        deliveries={str(state): number for state, number in planned},
    )


def _paid(now: datetime) -> Select[int | None, str, str]:
    return select(Subscription.member_id, Subscription.plan, Subscription.status).where(
        Subscription.access_until > now, Subscription.member_id.is_not(None)
    )


def _given(now: datetime) -> Select[int, str, str]:
    source = case((Grant.source == "operator", literal(GIVEN, String)), else_=Grant.source)
    return select(Grant.member_id, Grant.plan, source.label("status")).where(rights.valid_grant(now))


async def _number(session: AsyncSession, query: Select[int]) -> int:
    return await session.scalar(query) or 0
