"""Backtests that somebody asked for: kept as jobs, worked off one at a time, and answered where they were asked.

States: pending → running (lease) → done | failed. A job whose worker died is taken again when its lease is over, at
most twice. What it brought is in the row; the answer in the outbox has all but the curve.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors
from core.delivery import outbox
from core.models import Backtest, Delivery, Member

TOPIC = "backtests"
MOST_A_DAY = 6
MOST_ATTEMPTS = 3
_DAY = timedelta(days=1)
_LIFE = timedelta(hours=1)
_UNFINISHED = ("pending", "running")
SUBJECT = ("symbol", "strategy", "timeframe")
_CURVES = frozenset({"equity", "trades"})


@dataclass(frozen=True, slots=True)
class Question:
    """What a member wants to know, and where the answer goes: `address`, after `until` (if it has an end) `home`."""

    member_id: int
    symbol: str
    strategy: str
    timeframe: str
    platform: str = ""
    address: str = ""
    home: str = ""
    until: datetime | None = None

    @property
    def request(self) -> dict[str, Any]:
        """The question as a job keeps it."""
        until = self.until.isoformat() if self.until else ""
        return {**self.subject, "home": self.home, "until": until}

    @property
    def subject(self) -> dict[str, str]:
        """What is to be computed."""
        return {"symbol": self.symbol, "strategy": self.strategy, "timeframe": self.timeframe}


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job; its number of `attempts` proves the claim."""

    id: int
    key: str
    attempts: int
    request: Mapping[str, Any]
    platform: str
    address: str
    created_at: datetime


async def ask(session: AsyncSession, question: Question, *, now: datetime) -> tuple[Backtest, bool]:
    """The job for this question, and whether it is new; the same question within an hour is one job.

    Raises RefusedError while another one of the member waits, and after six within a day.
    """
    await session.execute(select(Member.id).where(Member.id == question.member_id).with_for_update())
    mine = select(Backtest).where(Backtest.member_id == question.member_id).order_by(Backtest.id.desc())
    rows = (await session.scalars(mine.where(or_(Backtest.created_at > now - _DAY, _waits())))).all()
    waiting = next((row for row in rows if row.state in _UNFINISHED), None)
    key = _key(question, now)
    known = next((row for row in rows if row.key == key and row.state == "done"), None)
    if waiting is not None and _subject(waiting) == question.subject:
        return waiting, False
    if known is not None:
        return known, False
    if waiting is not None:
        said = " ".join(_subject(waiting).values())
        raise errors.RefusedError(f"Your backtest of {said} is still on its way; ask again when its answer is here.")
    _check_day([row.created_at for row in rows if row.created_at > now - _DAY], now)
    job = Backtest(
        key=key,
        member_id=question.member_id,
        platform=question.platform,
        address=question.address,
        request=question.request,
        state="pending",
        created_at=now,
    )
    session.add(job)
    await session.flush()
    return job, True


def _waits() -> ColumnElement[bool]:
    return Backtest.state.in_(_UNFINISHED)


def _subject(row: Backtest) -> dict[str, str]:
    return {name: str(row.request[name]) for name in SUBJECT}


def _key(question: Question, now: datetime) -> str:
    said = orjson.dumps([question.subject, now.strftime("%Y%m%d%H")])
    return f"member:{question.member_id}:{hashlib.sha256(said).hexdigest()[:32]}"


def _check_day(asked: Sequence[datetime], now: datetime) -> None:
    if len(asked) >= MOST_A_DAY:
        free = sorted(asked)[-MOST_A_DAY] + _DAY
        when = f"{free:%H:%M} UTC {'today' if free.date() == now.date() else 'tomorrow'}"
        raise errors.RefusedError(f"You have asked for {MOST_A_DAY} backtests within a day; the next can be at {when}.")


async def due(session: AsyncSession, *, now: datetime) -> bool:
    """Whether a job waits for a worker."""
    return await session.scalar(_due(now).limit(1)) is not None


def _due(now: datetime) -> Select[int]:
    ours = or_(Backtest.state == "pending", and_(Backtest.state == "running", Backtest.lease_until < now))
    # The first condition names the index.
    return select(Backtest.id).where(_waits(), ours).order_by(Backtest.id)


async def claim(session: AsyncSession, *, now: datetime, lease: float) -> Job | None:
    """The oldest job that waits is ours for `lease` seconds; None when none does."""
    locked = _due(now).limit(1).with_for_update(skip_locked=True).cte("locked")
    columns = [getattr(Backtest, name) for name in Job.__slots__]
    taken = await session.execute(
        update(Backtest)
        .where(Backtest.id == locked.c.id)
        .values(state="running", attempts=Backtest.attempts + 1, lease_until=now + timedelta(seconds=lease))
        .returning(*columns)
        .execution_options(synchronize_session=False)
    )
    row = taken.mappings().first()
    return Job(**{column.key: row[column.key] for column in columns}) if row else None


async def extend(session: AsyncSession, job: Job, *, now: datetime, lease: float) -> bool:
    """The job is ours for `lease` seconds from now; False when somebody else has it, or nobody any more."""
    return await _write(session, job, lease_until=now + timedelta(seconds=lease)) == 1


async def release(session: AsyncSession, job: Job) -> None:
    """The job waits again, as if it had not been claimed."""
    await _write(session, job, state="pending", attempts=job.attempts - 1, lease_until=None)


async def finish(session: AsyncSession, job: Job, result: Mapping[str, Any], *, now: datetime) -> bool:
    """The job is done and its answer on its way; False, and nothing, when it is not ours any more."""
    facts = {name: value for name, value in result.items() if name not in _CURVES}
    if not await _write(session, job, state="done", result=dict(result), **_ended(now)):
        return False
    await _answer(session, job, facts, now)
    return True


async def fail(session: AsyncSession, job: Job, error: str, *, now: datetime) -> bool:
    """The job has failed and this sentence is on its way; False, and nothing, when it is not ours any more.

    Its key is free, so that the same question can be asked again.
    """
    if not await _write(session, job, state="failed", error=error[:400], key=f"{job.key}:{job.id}", **_ended(now)):
        return False
    await _answer(session, job, {**{name: job.request[name] for name in SUBJECT}, "error": error[:400]}, now)
    return True


def _ended(now: datetime) -> dict[str, Any]:
    """Where the answer went is not kept: it may be a token that lets its reader speak in our name for a while."""
    return {"finished_at": now, "lease_until": None, "address": ""}


async def _write(session: AsyncSession, job: Job, **values: Any) -> int:
    mine = update(Backtest).where(Backtest.id == job.id, Backtest.attempts == job.attempts, Backtest.state == "running")
    return await db.execute(session, mine.values(**values))


async def _answer(session: AsyncSession, job: Job, facts: Mapping[str, Any], now: datetime) -> None:
    if not job.platform:
        return
    until = datetime.fromisoformat(job.request["until"]) if job.request.get("until") else now + _LIFE
    there = until > now
    address = job.address if there else str(job.request["home"])
    # Not before the first words, that it runs, have arrived: on Discord the later of the two is what remains.
    before = select(func.min(Delivery.id)).where(
        Delivery.platform == job.platform,
        Delivery.address == address,
        Delivery.kind == "reply",
        Delivery.created_at >= job.created_at,
    )
    await outbox.answer(
        session,
        job.platform,
        address,
        {"backtest": {"id": job.id, **facts}},
        key=f"backtest:{job.id}",
        now=now,
        expires_at=until if there else now + _LIFE,
        after_id=await session.scalar(before),
    )


async def forget(session: AsyncSession, *, before: datetime) -> int:
    """Jobs that ended before this moment are gone; says how many."""
    return await db.execute(session, delete(Backtest).where(~_waits(), Backtest.finished_at < before))
