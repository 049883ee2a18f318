"""One closed candle, judged: what it does to the open signals of a watch, and whether it opens a new one.

Everything here happens in the caller's transaction, so a candle is judged wholly or not at all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import access, catalogue, db, models, places, switches
from core.delivery import fanout, outbox
from core.market import candles, timeframes
from core.models import Signal, SignalStatus
from core.signals import lifecycle, publish
from core.strategies import base

_SUMMED_UP = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about one watch: the id of a new signal, whether it came too late, ids of those that closed."""

    watch: str
    note: str
    signal: int | None = None
    late: bool = False
    ended: tuple[int, ...] = ()
    failed: bool = False
    """Nobody could look: the exchange did not give candles."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a candle is judged: `clock` by the exchange (epoch milliseconds), `now` by us."""

    clock: int
    now: datetime


async def candle(
    session: AsyncSession,
    book: catalogue.Catalogue,
    watch: catalogue.Watch,
    strategy: base.Strategy,
    rows: Sequence[candles.Candle],
    *,
    tick: Decimal,
    moment: Moment,
) -> Verdict:
    """The last of these candles is judged for this watch, and marked as judged."""
    newest = rows[-1]
    # Two processes at one watch take turns here, so that a mark never goes back.
    mark = await session.get(models.ScanMark, watch.key, with_for_update=True)
    ended = await _follow(session, watch, newest, moment.now)
    if mark is not None and mark.candle >= newest.open_time:
        return Verdict(watch.key, "judged before", ended=ended)
    send_until = _send_until(watch, newest, moment)
    signal = None
    if mark is None and send_until is None:
        note = "first look at this market; this candle is too old to act on"
    else:
        signal, note = await _publish(
            session, book, watch, strategy.decide(candles.series(rows)), tick, moment.now, send_until
        )
    await _set_mark(session, watch.key, newest.open_time, note, moment.now)
    return Verdict(watch.key, note, signal, signal is not None and send_until is None, ended)


def _send_until(watch: catalogue.Watch, newest: candles.Candle, moment: Moment) -> datetime | None:
    """Until when a signal of this candle may be sent as fresh; None when it is too old already."""
    age = (moment.clock - newest.open_time) / 1000 - timeframes.seconds(watch.timeframe)
    left = timeframes.staleness(watch.timeframe) - age
    return moment.now + timedelta(seconds=left) if left > 0 else None


async def _publish(
    session: AsyncSession,
    book: catalogue.Catalogue,
    watch: catalogue.Watch,
    decision: base.Decision | None,
    tick: Decimal,
    now: datetime,
    send_until: datetime | None,
) -> tuple[int | None, str]:
    if decision is None:
        return None, "no entry"
    if await session.scalar(_open_signals(watch).limit(1)) is not None:
        return None, "an entry, but this watch has an open signal"
    if await switches.turned_on(session, switches.PAUSED):
        return None, "an entry, but paused by the operator"
    draft = publish.draft(watch, decision, tick)
    if draft is None:
        return None, "an entry whose levels fall together on the market's ticks"
    signal = await publish.opened(session, book, draft, now=now, send_until=send_until)
    return (signal.id, decision.reason) if signal else (None, "published before")


async def first_unjudged(session: AsyncSession, watches: Iterable[catalogue.Watch], due: int, length: int) -> int:
    """The open time of the first candle, `length` ms each, that some watch or some open signal has not seen."""
    seen = []
    for watch in watches:
        mark = await session.get(models.ScanMark, watch.key)
        seen.append(mark.candle if mark else due - length)
        seen += [signal.followed_to for signal in await session.scalars(_open_signals(watch))]
    return min(seen) + length


def _open_signals(watch: catalogue.Watch) -> Select[Signal]:
    return select(Signal).where(Signal.watch == watch.key, Signal.status == SignalStatus.OPEN)


async def _follow(
    session: AsyncSession, watch: catalogue.Watch, newest: candles.Candle, now: datetime
) -> tuple[int, ...]:
    ended = []
    for signal in (await session.scalars(_open_signals(watch).with_for_update())).all():
        if signal.followed_to >= newest.open_time:
            continue
        signal.followed_to = newest.open_time
        close = lifecycle.step(signal, newest)
        if close is not None:
            await publish.closed(session, signal, close, now=now)
            ended.append(signal.id)
    return tuple(ended)


async def _set_mark(session: AsyncSession, watch: str, newest: int, note: str, now: datetime) -> None:
    values = {"candle": newest, "scanned_at": now, "note": note[:300]}
    statement = db.insert(session, models.ScanMark).values(watch=watch, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["watch"], set_=values))


async def sum_up(session: AsyncSession, book: catalogue.Catalogue, *, now: datetime) -> int:
    """Members have one notice of the signals that came too late to be sent as fresh; says how many notices are new."""
    query = select(Signal).where(Signal.late.is_(True), Signal.created_at > now - _SUMMED_UP).order_by(Signal.id)
    late = (await session.scalars(query)).all()
    told = 0
    for plan in sorted(book.plans, key=lambda plan: len(plan.symbols) or 10_000, reverse=True):
        mine = [signal for signal in late if not plan.symbols or signal.symbol in plan.symbols]
        if mine:
            facts = {"signals": [_summary(signal) for signal in mine[-20:]]}
            who = await access.holders(session, plan, now=now)
            told += await fanout.announce(session, who, "late_summary", facts, key=f"late:{late[-1].id}", now=now)
    return told + await _sum_up_in_places(session, late, now)


async def _sum_up_in_places(session: AsyncSession, late: Sequence[Signal], now: datetime) -> int:
    told = 0
    for place in await places.active(session):
        here = [_summary(signal) for signal in late if place.carries(signal.symbol)][-20:]
        if here and place.channel:
            where, key = (place.platform, place.channel, place.key), f"late:{late[-1].id}"
            told += await outbox.post_notice(session, where, "late_summary", {"signals": here}, key=key, now=now)
    return told


def _summary(signal: Signal) -> dict[str, str]:
    names = ("symbol", "timeframe", "direction", "entry", "target", "stop")
    return {"id": str(signal.id), "status": str(signal.status), **{name: str(getattr(signal, name)) for name in names}}
