"""How often we sign in at the gateway: every sign-in is counted before it is made, by all processes together.

Discord takes a bot's token away when it signs in more than a thousand times a day, which a process that dies soon after
each start does within hours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, models

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
_FREE = 5  # in an hour; restarts of an operator who is trying something out
_FIRST, _LONGEST = 5.0, 600.0
_KEPT = timedelta(days=2)
_SHARE = 5
"""We stop at a fifth of what Discord grants in a day, which is 200 of 1000."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What `/gateway/bot` grants: sign-ins a day, how many are left, seconds until all are there again."""

    shards: int = 1
    total: int = 1000
    remaining: int = 1000
    reset_after: float = 0.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Seconds until the next sign-in may be made; `spent` when the day's are used up."""

    seconds: float = 0.0
    spent: bool = False


async def count(session: AsyncSession, platform: str, *, now: datetime) -> None:
    """One more sign-in is in the table; what is long past is not."""
    session.add(models.Identify(platform=platform, at=now))
    old = delete(models.Identify).where(models.Identify.platform == platform, models.Identify.at < now - _KEPT)
    await db.execute(session, old)


async def made(session: AsyncSession, platform: str, *, now: datetime) -> Sequence[datetime]:
    """When sign-ins of the last day were made, oldest first."""
    mine = select(models.Identify.at).where(models.Identify.platform == platform, models.Identify.at > now - DAY)
    return (await session.scalars(mine.order_by(models.Identify.at))).all()


def wait(moments: Sequence[datetime], limit: Limit, *, now: datetime) -> Wait:
    """How long the next sign-in of all shards has to wait."""
    allowed = max(limit.shards, limit.total // _SHARE)
    if limit.remaining < limit.shards:
        return Wait(max(_FIRST, limit.reset_after), spent=True)
    if len(moments) >= allowed:
        return Wait(max(_FIRST, (moments[-allowed] + DAY - now).total_seconds()), spent=True)
    recent = sum(moment > now - HOUR for moment in moments) // limit.shards
    if recent < _FREE:
        return Wait()
    pause = min(_LONGEST, _FIRST * 2 ** (recent - _FREE))
    return Wait(max(0.0, pause - (now - moments[-1]).total_seconds()))
