"""How well each part was on each day: heartbeats, sampled by whoever leads, added up by part and day (UTC).

Time in which nobody sampled counts neither for nor against a part: it is not known.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, health
from core.models import Incident, Uptime

DAYS = 90
"""So many days are kept, today included."""
_LONGEST = 150  # seconds between two samples, of which somebody still can say that they saw all of it


async def sample(session: AsyncSession, *, last: datetime | None, now: datetime) -> None:
    """The time since the sample before this one counts for each part; a silent part is an incident until it is heard.

    `last` is when the same process sampled before; after a gap, and for None, no time counts.
    """
    parts = [part for part in (await health.report(session, now=now)).parts if not part.name.endswith(".bot")]
    for day, seconds in _spans(last, now):
        rows = [{"part": p.name, "day": str(day), "well": seconds * p.ok, "seen": seconds} for p in parts]
        if rows:
            await _add(session, rows)
    going_on = set(
        await session.scalars(
            select(Incident.key).where(Incident.ended_at.is_(None), Incident.key.startswith("part:", autoescape=True))
        )
    )
    silent = {f"part:{part.name}": part for part in parts if not part.ok}
    for key in silent.keys() - going_on:
        await health.began(session, key, now=silent[key].at)
    for key in going_on - silent.keys():
        await health.over(session, key, now=now)


async def _add(session: AsyncSession, rows: list[dict[str, object]]) -> None:
    new = db.insert(session, Uptime).values(rows)
    more = {"well": Uptime.well + new.excluded.well, "seen": Uptime.seen + new.excluded.seen}
    await session.execute(new.on_conflict_do_update(index_elements=["part", "day"], set_=more))


def _spans(last: datetime | None, now: datetime) -> Iterator[tuple[date, int]]:
    """The seconds between two samples by their day; none after a gap."""
    if last is None or not 0 < (now - last).total_seconds() <= _LONGEST:
        return
    midnight = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    if last < midnight:
        yield last.astimezone(UTC).date(), _whole(midnight) - _whole(last)
    yield midnight.date(), _whole(now) - _whole(max(last, midnight))


def _whole(moment: datetime) -> int:
    """Whole seconds of the epoch, so that many short spans add up to the long one."""
    return int(moment.timestamp())


async def days(session: AsyncSession, *, now: datetime) -> Sequence[Uptime]:
    """What is known of the last days, by part and day."""
    known = select(Uptime).where(Uptime.day >= _first(now)).order_by(Uptime.part, Uptime.day)
    return (await session.scalars(known)).all()


async def forget(session: AsyncSession, *, now: datetime) -> None:
    """Days and ended incidents that no page shows any more are gone."""
    await db.execute(session, delete(Uptime).where(Uptime.day < _first(now)))
    await db.execute(session, delete(Incident).where(Incident.ended_at < now - timedelta(days=DAYS)))


def _first(now: datetime) -> str:
    return str((now.astimezone(UTC) - timedelta(days=DAYS - 1)).date())
