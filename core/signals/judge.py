"""One closed candle, judged: what it does to the open signals of its market, and whether a watch opens a new one.

Everything here happens in the caller's transaction, so a candle is judged wholly or not at all.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import access, catalogue, db, models, places, switches
from core.delivery import fanout, outbox
from core.market import candles, timeframes
from core.models import Signal, SignalStatus
from core.signals import lifecycle, publish
from core.strategies import base

_SUMMED_UP = timedelta(days=1)
_GONE_AFTER = timedelta(days=1)
_PATIENCE = 1.0  # seconds for a strategy's word on one candle
log = structlog.get_logger()


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
    broken: bool = False
    """The strategy raised an error at this candle."""


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
    """The last of these candles is judged for this watch, and marked as judged; follow the open signals before it."""
    newest = rows[-1]
    # Two processes at one watch take turns here, so that a mark never goes back.
    mark = await session.get(models.ScanMark, watch.key, with_for_update=True)
    if mark is not None and mark.candle >= newest.open_time:
        return Verdict(watch.key, "judged before")
    send_until = _send_until(watch, newest, moment)
    signal, broken = None, False
    if mark is None and send_until is None:
        note = "first look at this market; this candle is too old to act on"
    else:
        try:
            decision = _decided(watch, strategy, rows)
        except (Exception, SystemExit) as error:  # whoever wrote the strategy: the other watches go on
            log.exception("strategy_failed", watch=watch.key, candle=newest.open_time)
            said = base.one_line(f"{type(error).__name__}: {error}")
            note, broken = f"the strategy failed: {said}"[:300], True
        else:
            signal, note = await _publish(session, book, watch, decision, tick, moment.now, send_until)
    await _set_mark(session, watch.key, newest.open_time, note, moment, failed=broken)
    return Verdict(watch.key, note, signal, signal is not None and send_until is None, broken=broken)


def _decided(watch: catalogue.Watch, strategy: base.Strategy, rows: Sequence[candles.Candle]) -> base.Decision | None:
    """What the strategy says; the log has a warning when everybody else waited long for its word."""
    began = time.perf_counter()
    decision = strategy.decide(candles.series(rows))
    seconds = time.perf_counter() - began
    if seconds > _PATIENCE:
        log.warning("strategy_dawdled", watch=watch.key, candle=rows[-1].open_time, seconds=round(seconds, 2))
    return decision


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


async def first_unjudged(session: AsyncSession, key: candles.Key, watches: Iterable[catalogue.Watch], due: int) -> int:
    """The open time of the first candle of this market that some watch or some open signal has not seen."""
    length, seen = timeframes.ms(key.timeframe), []
    for watch in watches:
        mark = await session.get(models.ScanMark, watch.key)
        seen.append(mark.candle if mark else due - length)
    seen += [signal.followed_to for signal in await session.scalars(_open_at(key))]
    return min(seen, default=due) + length


async def followed_markets(session: AsyncSession) -> list[candles.Key]:
    """The markets and timeframes on which signals are open."""
    rows = await session.execute(
        select(Signal.exchange, Signal.symbol, Signal.timeframe).where(Signal.status == SignalStatus.OPEN).distinct()
    )
    return [candles.Key(*row) for row in rows]


def _open_signals(watch: catalogue.Watch) -> Select[Signal]:
    at = candles.Key(watch.exchange, watch.symbol, watch.timeframe)
    return _open_at(at).where(Signal.watch == watch.key)


def _open_at(key: candles.Key) -> Select[Signal]:
    market = (Signal.exchange == key.exchange, Signal.symbol == key.symbol, Signal.timeframe == key.timeframe)
    return select(Signal).where(Signal.status == SignalStatus.OPEN, *market).order_by(Signal.id)


async def follow(
    session: AsyncSession, key: candles.Key, newest: candles.Candle, *, now: datetime
) -> tuple[Signal, ...]:
    """Every open signal of this market, whoever gave it, has seen this candle; gives back those that changed."""
    moved = []
    for signal in (await session.scalars(_open_at(key).with_for_update())).all():
        if signal.followed_to >= newest.open_time:
            continue
        signal.followed_to = newest.open_time
        position = lifecycle.position(signal)
        finer = await candles.within(session, key, newest.open_time) if lifecycle.unclear(position, newest) else ()
        position, changes = lifecycle.step(position, newest, finer)
        await publish.changed(session, signal, position, changes, now=now)
        if changes:
            moved.append(signal)
    return tuple(moved)


async def delist(session: AsyncSession, key: candles.Key, *, moment: Moment) -> tuple[Signal, ...]:
    """Open signals of a market that is gone are closed at its last known close; none while that is a day young."""
    last = await candles.recent(session, key, 1)
    if not last or last[0].open_time + _GONE_AFTER // timedelta(milliseconds=1) > moment.clock:
        return ()
    closed = []
    for signal in (await session.scalars(_open_at(key).with_for_update())).all():
        changes: list[lifecycle.Change] = []
        at, candle = last[0].close, max(last[0].open_time, signal.candle)
        position = lifecycle.leave(lifecycle.position(signal), SignalStatus.DELISTED, at, candle, changes)
        await publish.changed(session, signal, position, changes, now=moment.now)
        closed.append(signal)
    return tuple(closed)


async def _set_mark(session: AsyncSession, watch: str, newest: int, note: str, moment: Moment, *, failed: bool) -> None:
    values = {"candle": newest, "scanned_at": moment.now, "clock": moment.clock, "note": note[:300]}
    statement = db.insert(session, models.ScanMark).values(watch=watch, failures=int(failed), first=newest, **values)
    values["failures"] = models.ScanMark.failures + int(failed)
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
