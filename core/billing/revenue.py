"""What running subscriptions bring in, counted from what is stored; what each figure means stands at its name.

A subscription is *paid* at a moment when the provider says `active` or `past_due`, it gives access, and it belongs to a
plan: free days are not paid yet, and a payment that was taken back is not paid any more.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import columns
from core.models import Gift, Grant, Member, Subscription

MONTH = timedelta(days=30)
# How many of a unit make a month, as a year of 365 days has twelve of them.
_A_MONTH = {
    "month": Decimal(1),
    "year": 1 / Decimal(12),
    "week": Decimal(365) / 7 / 12,
    "day": Decimal(365) / 12,
}


@dataclass(frozen=True, slots=True)
class Revenue:
    """The business at one moment.

    `monthly` is, for each currency and in its smallest unit, what paid subscriptions bring in for a month: price times
    quantity, a longer or shorter period brought to a month, before discounts and taxes. `unpriced` are paid ones whose
    price is not known, which are missing in it. `paid`, `trials`, `past_due` and `ending` (cancelled, still running)
    count subscriptions; `past_due` and `ending` are among the paid ones or in a trial.

    `ended` of the `began` paid subscriptions that ran 30 days ago have ended since (churn); those that ended in their
    free days count in neither.

    `seats` are paid for in running subscriptions with more than one seat, `taken` of them have a person, the one who
    pays included. `gifts` were bought and not given back, `opened` of them taken. `brought` are paid subscriptions of
    members who came by a partner.
    """

    monthly: Mapping[str, int]
    unpriced: int
    paid: int
    trials: int
    past_due: int
    ending: int
    began: int
    ended: int
    seats: int
    taken: int
    gifts: int
    opened: int
    brought: int

    @property
    def churn(self) -> Decimal | None:
        """The share of those who ran 30 days ago that has ended; None where nobody ran."""
        return Decimal(self.ended) / self.began if self.began else None

    @property
    def by_partners(self) -> Decimal | None:
        """The share of paid subscriptions that partners brought; None where nothing is paid."""
        return Decimal(self.brought) / self.paid if self.paid else None


async def take(session: AsyncSession, *, now: datetime) -> Revenue:
    """The figures of this moment."""
    counted = await _counted(session, now)
    began, ended = await _churn(session, now - MONTH, now)
    gifts = select(func.count(), func.count(Gift.grant_id)).where(Gift.status != "refunded")
    bought, opened = (await session.execute(gifts)).one()
    return Revenue(
        monthly=await monthly(session, now=now),
        began=began,
        ended=ended,
        gifts=bought,
        opened=opened,
        taken=counted["teams"] + await _given_seats(session, now),
        **{name: number for name, number in counted.items() if name != "teams"},
    )


def _running(now: datetime, *statuses: str) -> ColumnElement[bool]:
    table = Subscription
    return and_(table.status.in_(statuses), table.access_until > now, table.plan != "")


async def monthly(session: AsyncSession, *, now: datetime) -> dict[str, int]:
    """What paid subscriptions bring in for a month, in the smallest unit of each currency."""
    table = Subscription
    rows = await session.execute(
        select(table.currency, table.interval, table.interval_count, func.sum(table.amount * table.quantity))
        .where(_running(now, "active", "past_due"), table.amount.is_not(None), table.interval.in_(_A_MONTH))
        .group_by(table.currency, table.interval, table.interval_count)
    )
    found: dict[str, Decimal] = defaultdict(Decimal)
    for currency, interval, count, amount in rows:
        found[currency] += Decimal(amount or 0) * _A_MONTH[interval] / count
    whole = Decimal(1)
    return {currency: int(sum_.quantize(whole, ROUND_HALF_EVEN)) for currency, sum_ in sorted(found.items())}


async def _counted(session: AsyncSession, now: datetime) -> dict[str, int]:
    table = Subscription
    paid, trying = _running(now, "active", "past_due"), _running(now, "trialing")
    running = _running(now, "active", "past_due", "trialing")
    wanted = {
        "paid": _number(paid),
        "unpriced": _number(and_(paid, or_(table.amount.is_(None), table.interval.not_in(_A_MONTH)))),
        "trials": _number(trying),
        "past_due": _number(_running(now, "past_due")),
        "ending": _number(and_(running, table.cancels_at.is_not(None))),
        "seats": func.coalesce(func.sum(case((and_(running, table.quantity > 1), table.quantity), else_=0)), 0),
        "teams": _number(and_(running, table.quantity > 1)),
        "brought": _number(and_(paid, Member.partner_id.is_not(None))),
    }
    query = select(*(what.label(name) for name, what in wanted.items())).outerjoin(Member, Member.id == table.member_id)
    row = (await session.execute(query)).mappings().one()
    return {str(name): int(number) for name, number in row.items()}


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


async def _churn(session: AsyncSession, since: datetime, now: datetime) -> tuple[int, int]:
    """How many paid subscriptions ran at `since`, and how many of them have ended by now."""
    table = Subscription
    trial = columns.said(table.snapshot, "trial_end")
    # Whoever was never told of access never had it; an end whose moment nobody knows counts nowhere.
    known = or_(table.ended_at.is_not(None), table.status.not_in(("canceled", "incomplete_expired")))
    then = and_(table.created_at <= since, or_(table.ended_at.is_(None), table.ended_at > since))
    row = await session.execute(
        select(func.count(), func.count(table.ended_at)).where(
            table.told != "", known, then, or_(trial.is_(None), trial <= since.isoformat()), table.created_at <= now
        )
    )
    began, ended = row.one()
    return began, ended


async def _given_seats(session: AsyncSession, now: datetime) -> int:
    """Seats that have a person other than the one who pays."""
    query = select(func.count()).where(
        Grant.source == "seat", Grant.revoked_at.is_(None), or_(Grant.until.is_(None), Grant.until > now)
    )
    return await session.scalar(query) or 0
