"""What the product knows about its own health: heartbeats of its parts, and alarms an operator must look at.

Alive means getting somewhere: a part beats when a poll came back, a scan finished, a message left. It is red when its
last progress is older than the limit it named itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, models


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the product; ages and limits in seconds."""

    name: str
    at: datetime
    age: float
    limit: float
    note: str

    @property
    def ok(self) -> bool:
        """Whether its last progress is young enough."""
        return self.age <= self.limit


@dataclass(frozen=True, slots=True)
class Report:
    """The state of all parts that ever ran, and the open alarms, oldest first."""

    parts: Sequence[Part]
    alarms: Sequence[models.Alarm]

    @property
    def ok(self) -> bool:
        """Whether there are parts and every one of them is getting somewhere."""
        return bool(self.parts) and all(part.ok for part in self.parts)


async def beat(session: AsyncSession, part: str, *, limit: float, now: datetime, note: str = "") -> None:
    """This part got somewhere at `now` and counts as dead when nothing more is heard for `limit` seconds."""
    values = {"at": now, "limit": limit, "note": note[:200]}
    statement = db.insert(session, models.Heartbeat).values(part=part, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["part"], set_=values))


async def retire(session: AsyncSession, part: str) -> None:
    """This part was stopped in good order; nobody waits for its heartbeat."""
    await db.execute(session, delete(models.Heartbeat).where(models.Heartbeat.part == part))


async def alarm(session: AsyncSession, key: str, text: str, *, now: datetime) -> bool:
    """The alarm stands open with this text, counted once more; says whether it was not open before."""
    row = {"key": key, "text": text[:400], "first_at": now, "last_at": now, "count": 1}
    raised = db.insert(session, models.Alarm).values(**row).on_conflict_do_nothing(index_elements=["key"])
    if await db.execute(session, raised) == 1:
        return True
    known = await session.get_one(models.Alarm, key, with_for_update=True)
    fresh = known.cleared_at is not None
    if fresh:
        known.first_at, known.count, known.cleared_at = now, 0, None
    known.text, known.last_at, known.count = text[:400], now, known.count + 1
    return fresh


async def clear(session: AsyncSession, key: str, *, now: datetime) -> None:
    """The alarm is no longer open."""
    open_one = update(models.Alarm).where(models.Alarm.key == key, models.Alarm.cleared_at.is_(None))
    await db.execute(session, open_one.values(cleared_at=now))


async def clear_old(session: AsyncSession, *, before: datetime, now: datetime) -> int:
    """Alarms that were last raised before this moment are no longer open; says how many."""
    quiet = update(models.Alarm).where(models.Alarm.last_at < before, models.Alarm.cleared_at.is_(None))
    return await db.execute(session, quiet.values(cleared_at=now))


async def report(session: AsyncSession, *, now: datetime) -> Report:
    """How every part is doing at this moment."""
    beats = await session.scalars(select(models.Heartbeat).order_by(models.Heartbeat.part))
    parts = [Part(b.part, b.at, max(0.0, (now - b.at).total_seconds()), b.limit, b.note) for b in beats]
    alarms = await session.scalars(
        select(models.Alarm).where(models.Alarm.cleared_at.is_(None)).order_by(models.Alarm.first_at)
    )
    return Report(parts, list(alarms))
