"""What the product knows about its own health: heartbeats of its parts, and alarms an operator must look at.

Alive means getting somewhere: a part beats when a poll came back, a scan finished, a message left. It is red when its
last progress is older than the limit it named itself.

Alarms that members notice, too, are kept as incidents with their beginning and end, in the same transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import String, and_, bindparam, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, models
from core.columns import Utc
from core.models import Alarm, Incident

# How the keys of alarms begin whose effect many members notice, and which end when it does. Others are about one
# message or one person, or are the operator's alone: they are no incidents.
_NOTICED = (
    "market:",
    "strategy:",
    "post:",
    "place:",
    "price_missing:",
    "checkout_refused",
    "telegram:token",
    "telegram.",
    "discord:token",
    "discord.",
    "webhooks.",
)


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
        await _noted(session, key, text, now)
        return True
    known = await session.get_one(models.Alarm, key, with_for_update=True)
    fresh = known.cleared_at is not None
    if fresh:
        known.first_at, known.count, known.cleared_at = now, 0, None
        await _noted(session, key, text, now)
    known.text, known.last_at, known.count = text[:400], now, known.count + 1
    return fresh


_KEYS, _CLEARED = bindparam("keys", expanding=True, type_=String()), bindparam("cleared", type_=Utc())
# Nearly always there is nothing to clear, and building the statement would cost more than finding that out.
_CLEAR = (
    update(Alarm)
    .where(Alarm.key.in_(_KEYS), Alarm.cleared_at.is_(None))
    .values(cleared_at=_CLEARED)
    .returning(Alarm.key)
    .execution_options(synchronize_session=False)
)


async def clear(session: AsyncSession, *keys: str, now: datetime) -> None:
    """None of these alarms is open any more."""
    if not keys:
        return
    cleared = await session.execute(_CLEAR, {_KEYS.key: keys, _CLEARED.key: now})
    for key in cleared.scalars().all():
        await over(session, key, now=now)


async def clear_old(session: AsyncSession, *, before: datetime, now: datetime) -> int:
    """Alarms that were last raised before this moment are no longer open; says how many."""
    quiet = and_(Alarm.last_at < before, Alarm.cleared_at.is_(None))
    for key in (await session.scalars(select(Alarm.key).where(quiet))).all():
        await over(session, key, now=now)
    return await db.execute(session, update(Alarm).where(quiet).values(cleared_at=now))


async def _noted(session: AsyncSession, key: str, text: str, now: datetime) -> None:
    if key.startswith(_NOTICED):
        await began(session, key, text, now=now)


async def began(session: AsyncSession, key: str, text: str = "", *, now: datetime) -> None:
    """An incident under this key has been going on since `now`, or since it was noted first."""
    row = db.insert(session, Incident).values(key=key, text=text[:400], began_at=now)
    going_on = Incident.ended_at.is_(None)
    await session.execute(row.on_conflict_do_nothing(index_elements=["key"], index_where=going_on))


async def over(session: AsyncSession, key: str, *, now: datetime) -> None:
    """The incident under this key, if there is one, ended at `now`."""
    going_on = update(Incident).where(Incident.key == key, Incident.ended_at.is_(None))
    await db.execute(session, going_on.values(ended_at=now))


async def incidents(session: AsyncSession, *, since: datetime) -> Sequence[Incident]:
    """What has been going on at any time since this moment, the latest beginning first; a thousand at most."""
    known = select(Incident).where(or_(Incident.ended_at.is_(None), Incident.ended_at >= since))
    return (await session.scalars(known.order_by(Incident.began_at.desc(), Incident.id.desc()).limit(1000))).all()


async def report(session: AsyncSession, *, now: datetime) -> Report:
    """How every part is doing at this moment."""
    beats = await session.scalars(select(models.Heartbeat).order_by(models.Heartbeat.part))
    parts = [Part(b.part, b.at, max(0.0, (now - b.at).total_seconds()), b.limit, b.note) for b in beats]
    alarms = await session.scalars(
        select(models.Alarm).where(models.Alarm.cleared_at.is_(None)).order_by(models.Alarm.first_at)
    )
    return Report(parts, list(alarms))
