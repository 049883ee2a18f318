"""What was published held against what a backtest of the stored candles says now: they ought to be the same.

They differ where the exchange corrected a candle, signals were paused, a person closed one, or something is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, clock, db, errors, models
from core.backtest import engine, report
from core.delivery import outbox
from core.market import candles, timeframes
from core.models import Signal, SignalEvent, SignalStatus
from core.signals import lifecycle

_WEEK = timedelta(days=7)
_NAMED = 5  # differences of a watch that are named; of the others only the number
_EVER = 1 << 62
Span = tuple[int, int]
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Difference:
    """One signal that is not the same: missing (only in the backtest), extra (only published) or different.

    `candle` is the open time of its deciding candle, epoch milliseconds; `reason` is empty where it is not known.
    """

    kind: str
    candle: int
    reason: str


@dataclass(frozen=True, slots=True)
class Drift:
    """What came of one watch: how many signals are the same, how many of all published were late, and what differs."""

    watch: str
    same: int
    late: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class _Live:
    """The published side of one watch, oldest first, with what happened to each signal."""

    signals: Sequence[Signal]
    happened: Mapping[int, tuple[lifecycle.Change, ...]]
    free: int
    """From which candle on nothing of before was open."""
    paused: tuple[Span, ...] = field(default=())


async def compared(
    database: db.Database, book: catalogue.Catalogue, *, since: datetime, until: datetime
) -> list[Drift]:
    """Every watch whose candles were judged in this time, each signal decided from `since` to before `until`."""
    found = []
    async with database.reading() as session:
        paused = await _pauses(session)
    for watch in book.watches:
        drift = await _watch(database, book, watch, (clock.to_ms(since), clock.to_ms(until)), paused)
        if drift is not None:
            found.append(drift)
    return found


async def tell(
    database: db.Database, book: catalogue.Catalogue, chats: Iterable[tuple[str, str]], *, now: datetime
) -> bool:
    """Each operator has the report of the last whole week (Monday to Sunday, UTC) once; says whether it is new."""
    monday = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=now.weekday())
    wanted = {f"drift:{monday:%G-W%V}:{platform}:{chat}"[:100]: (platform, chat) for platform, chat in chats}
    async with database.reading() as session:
        known = set(await session.scalars(select(models.Delivery.key).where(models.Delivery.key.in_(wanted))))
    if not wanted.keys() - known:
        return False
    found = await compared(database, book, since=monday - _WEEK, until=monday)
    if not found:
        return False
    new = False
    facts = {"name": "drift_report", **told(found, since=monday - _WEEK, until=monday)}
    async with database.transaction() as session:
        for key, (platform, chat) in wanted.items():
            new |= await outbox.warn(session, platform, chat, facts, key=key, now=now)
    differences = sum(len(one.differences) for one in found)
    log.info("drift_compared", watches=len(found), same=sum(one.same for one in found), differences=differences)
    return new


def told(found: Sequence[Drift], *, since: datetime, until: datetime) -> dict[str, Any]:
    """The report in JSON values, short enough for a chat."""
    return {
        "since": since.isoformat(),
        "until": until.isoformat(),
        "watches": [
            {
                "watch": one.watch,
                "same": one.same,
                "late": one.late,
                "different": len(one.differences),
                "differences": [
                    {"kind": part.kind, "candle": clock.from_ms(part.candle).isoformat(), "reason": part.reason}
                    for part in one.differences[:_NAMED]
                ],
            }
            for one in found
        ],
    }


async def _watch(
    database: db.Database, book: catalogue.Catalogue, watch: catalogue.Watch, span: Span, paused: tuple[Span, ...]
) -> Drift | None:
    """The drift of one watch; None where it was not judged in this time or its candles are not there."""
    async with database.reading() as session:
        mark = await session.get(models.ScanMark, watch.key)
        if mark is None or mark.candle < span[0] or (mark.first or 0) >= span[1]:
            return None
        # What nobody has judged yet cannot be missing.
        span = (max(span[0], mark.first or 0), min(span[1], mark.candle + 1))
        live = await _published(session, watch, span, paused)
    key = candles.Key(watch.exchange, watch.symbol, watch.timeframe)
    question = report.asked(book, key, watch.strategy, since=clock.from_ms(min(live.free, span[1])))
    try:
        outcome = await report.tried(database, question)
    except errors.SignalStackError as error:
        log.warning("drift_not_compared", watch=watch.key, error=str(error))
        return None
    expected = [] if live.free >= span[1] else [one for one in outcome.trades() if one.candle < span[1]]
    return _held_against(watch, live, expected, outcome)


async def _published(session: AsyncSession, watch: catalogue.Watch, span: Span, paused: tuple[Span, ...]) -> _Live:
    mine = Signal.watch == watch.key
    query = select(Signal).where(mine, Signal.candle >= span[0], Signal.candle < span[1]).order_by(Signal.candle)
    signals = (await session.scalars(query)).all()
    ended = or_(Signal.close_candle.is_(None), Signal.close_candle >= span[0])
    before = (await session.scalars(select(Signal).where(mine, Signal.candle < span[0], ended))).all()
    free = max([span[0], *(_EVER if one.close_candle is None else one.close_candle for one in before)])
    happened: dict[int, list[lifecycle.Change]] = {one.id: [] for one in signals}
    events = select(SignalEvent).where(SignalEvent.signal_id.in_(happened), SignalEvent.event != "opened")
    for one in await session.scalars(events.order_by(SignalEvent.id)):
        stop = one.price if one.stop is None else one.stop
        happened[one.signal_id].append(lifecycle.Change(one.event, one.price, one.share, stop, one.candle))
    return _Live(signals, {number: tuple(changes) for number, changes in happened.items()}, free, paused)


async def _pauses(session: AsyncSession) -> tuple[Span, ...]:
    """From when until when signals were paused, as the operators' commands tell."""
    actions = ("signals_paused", "signals_resumed")
    rows = await session.scalars(
        select(models.Audit).where(models.Audit.action.in_(actions)).order_by(models.Audit.at, models.Audit.id)
    )
    spans: list[Span] = []
    begun: int | None = None
    for row in rows:
        if row.action == actions[0] and begun is None:
            begun = clock.to_ms(row.at)
        elif row.action == actions[1] and begun is not None:
            spans.append((begun, clock.to_ms(row.at)))
            begun = None
    return (*spans, *([] if begun is None else [(begun, _EVER)]))


def _held_against(
    watch: catalogue.Watch, live: _Live, expected: Sequence[engine.Trade], outcome: engine.Outcome
) -> Drift:
    tested = {one.candle: one for one in expected}
    given = {one.candle: one for one in live.signals}
    differences, same = [], 0
    for candle in sorted(tested.keys() | given.keys()):
        signal, trade = given.get(candle), tested.get(candle)
        if signal is None:
            differences.append(Difference("missing", candle, _why_missing(watch, live, candle)))
        elif trade is None:
            differences.append(Difference("extra", candle, _why_extra(expected, outcome, candle)))
        elif why := _why_different(watch, signal, live.happened[signal.id], trade):
            differences.append(Difference("different", candle, why))
        else:
            same += 1
    return Drift(watch.key, same, sum(one.late for one in live.signals), tuple(differences))


def _why_missing(watch: catalogue.Watch, live: _Live, candle: int) -> str:
    length = timeframes.ms(watch.timeframe)
    if any(begun < candle + 2 * length and candle + length <= ended for begun, ended in live.paused):
        return "signals were paused"
    for one in live.signals:
        if one.candle < candle and (one.close_candle is None or one.close_candle > candle):
            return f"the signal #{one.id} was still open"
    return ""


def _why_extra(expected: Sequence[engine.Trade], outcome: engine.Outcome, candle: int) -> str:
    for one in expected:
        last = one.exits[-1].candle if one.result else _EVER
        if one.candle < candle < last:
            return f"the backtest still held the one of {clock.from_ms(one.candle):%Y-%m-%d %H:%M} UTC"
    times = outcome.series.open_time
    at = int(times.searchsorted(candle))
    if at == len(times) or times[at] != candle:
        return "its candle is not stored any more"
    if not outcome.entries.direction[at]:
        return "the stored candles do not say this any more: one was corrected, or the params were changed"
    return ""


def _why_different(
    watch: catalogue.Watch, signal: Signal, happened: tuple[lifecycle.Change, ...], trade: engine.Trade
) -> str:
    """Why these are not the same, in a few words; empty where they are."""
    levels = (signal.stop, signal.levels) == (trade.stop, trade.levels)
    if signal.entry == trade.entry and levels and (signal.filled, happened) == (trade.filled, trade.exits):
        return ""
    by_hand = {SignalStatus.CLOSED: "an operator closed it", SignalStatus.DELISTED: "its market is gone"}
    reasons = (
        (signal.entry != trade.entry, "its candle was corrected afterwards"),
        (signal.params != watch.params, "the params were changed"),
        (not levels, "the exits were changed, or a candle before it was corrected"),
        (signal.status in by_hand, by_hand.get(signal.status, "")),
        (True, "a later candle was corrected, or finer candles came afterwards"),
    )
    return next(reason for applies, reason in reasons if applies)
