"""A second running subscription of one member to one plan: found, told, and put right where the policy says so.

It is prevented where checkouts are made; a page that was lost in time, or two accounts that became one, bring it about
all the same. The newer one is cancelled and what was paid for it given back whole, as long as that is plainly what
anybody would want: it is young, still in the period with which it began, and the older one goes on.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue
from core.billing import errands, rule, subscriptions
from core.models import Errand, Subscription

YOUNG = timedelta(days=14)
_FIRST_DAY = timedelta(days=1)
_WHY = "a second subscription to the same plan"


class Notice(NamedTuple):
    """What the member is told of a plan, and the key under which it is told once."""

    name: str
    key: str
    plan: str


async def settle(
    session: AsyncSession, row: Subscription, policy: catalogue.Policy, *, left: str = "", now: datetime
) -> list[Notice]:
    """Second subscriptions to the row's plan are being put right, or were; says what the member should know of it.

    `left` is the plan that the row was a subscription to until now. Two others of a plan may be what remains when a
    third is over or has left it, and nobody else looks at them then.
    """
    if row.member_id is None:
        return []
    over = await _given_back(session, row) if row.plan and row.status not in rule.LIVE else None
    plans = dict.fromkeys(plan for plan in (row.plan, left) if plan)
    found = [over, *[await _put_right(session, row.member_id, plan, policy, now) for plan in plans]]
    return [notice for notice in found if notice]


async def _put_right(
    session: AsyncSession, member_id: int, plan: str, policy: catalogue.Policy, now: datetime
) -> Notice | None:
    rows = [*await subscriptions.running(session, member_id, plan)]
    if len(rows) < 2:
        return None
    newer = rows[-1]
    if policy.second_subscription != "refund" or not _plain(rows, now):
        return Notice("second_subscription", f"second:{newer.id}", plan)
    while len(rows) > 1 and _plain(rows, now):
        *rows, extra = rows
        if extra.status == "active":
            await _ask(session, extra, "refund", now)
        await _ask(session, extra, "cancel", now)
    return Notice("second_returning", f"second:{newer.id}", plan)


def _plain(rows: Sequence[Subscription], now: datetime) -> bool:
    """Whether nobody would mind that the newest of them goes: it is young, in its first period, and another stays."""
    *others, newer = rows
    started = rule.Snapshot.from_dict(newer.snapshot).period_start or newer.created_at
    young = newer.created_at > now - YOUNG and started <= newer.created_at + _FIRST_DAY
    return young and _good(newer) and any(_good(one) and subscriptions.has_access(one, now) for one in others)


def _good(row: Subscription) -> bool:
    stays = row.status in {"active", "trialing"} and row.cancels_at is None
    return stays and not row.snapshot.get("hold") and not row.snapshot.get("collection_paused")


async def _ask(session: AsyncSession, row: Subscription, act: errands.Act, now: datetime) -> None:
    await errands.ask(session, row.provider, act, row.external_id, why=_WHY, now=now, member_id=row.member_id)


async def _given_back(session: AsyncSession, row: Subscription) -> Notice | None:
    """The member hears of it when the subscription is over and, if there was a payment, when that has gone back."""
    mine = select(Errand.act).where(Errand.provider == row.provider, Errand.target == row.external_id)
    asked = set(await session.scalars(mine.where(Errand.why == _WHY)))
    if not asked or ("refund" in asked and row.snapshot.get("hold") != "refunded"):
        return None
    return Notice("second_returned", f"second:{row.id}:returned", row.plan)
