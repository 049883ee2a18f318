"""Decisions become signals, and signals get results: row, events and deliveries in the caller's one transaction."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from core import access, catalogue, db, places
from core.columns import Level
from core.delivery import fanout
from core.market import ticks, timeframes
from core.models import Signal, SignalEvent, SignalStatus
from core.signals import lifecycle, record, results
from core.strategies.base import Decision


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be published: prices on the market's ticks, `levels` the targets in the order they are reached.

    `candle` opened last before it was decided, `expires` closes the last candle it lives through, both epoch
    milliseconds. `ref` is the name that its source gave it.
    """

    watch: str
    strategy: str
    exchange: str
    symbol: str
    timeframe: str
    long: bool
    entry: Decimal
    stop: Decimal
    levels: tuple[Level, ...]
    tick: Decimal
    candle: int
    expires: int
    reason: str
    figures: dict[str, Any]
    params: dict[str, Any]
    ref: str = ""

    @property
    def target(self) -> Decimal:
        """The last target."""
        return self.levels[-1].price


def draft(watch: catalogue.Watch, decision: Decision, tick: Decimal) -> Draft | None:
    """The decision on ticks, or None when its levels fall together there or lie below one tick."""
    entry, target, stop = (ticks.nearest(price, tick) for price in (decision.entry, decision.target, decision.stop))
    levels = ladder(watch.exits, entry, target, tick)
    long = decision.direction == "long"
    if not sound(long=long, entry=entry, stop=stop, levels=levels):
        return None
    return Draft(
        watch=watch.key,
        strategy=watch.strategy,
        exchange=watch.exchange,
        symbol=watch.symbol,
        timeframe=watch.timeframe,
        long=long,
        entry=entry,
        stop=stop,
        levels=levels,
        tick=tick,
        candle=decision.candle_open_time,
        expires=decision.candle_open_time + (decision.expires_after + 1) * timeframes.ms(watch.timeframe),
        reason=decision.reason,
        figures=decision.figures,
        params=watch.params,
    )


def ladder(parts: Sequence[catalogue.Exit], entry: Decimal, target: Decimal, tick: Decimal) -> tuple[Level, ...]:
    """The targets on ticks, with the stops that follow them; without parts all leaves at the target."""
    levels: list[Level] = []
    for part in parts:
        before = levels[-1].price if levels else entry
        stop = {"entry": entry, "previous": before, "": None}[part.stop]
        levels.append(Level(ticks.nearest(entry + (target - entry) * part.at, tick), part.share, stop))
    return tuple(levels) or (Level(target, lifecycle.WHOLE),)


def sound(*, long: bool, entry: Decimal, stop: Decimal, levels: Sequence[Level]) -> bool:
    """Whether stop, entry and targets rise in this order for a long signal, and fall for a short one, above nought."""
    prices = [stop, entry, *(level.price for level in levels)]
    ordered = prices if long else prices[::-1]
    return ordered[0] > 0 and all(one < other for one, other in itertools.pairwise(ordered))


async def opened(
    session: AsyncSession, book: catalogue.Catalogue, plan: Draft, *, now: datetime, send_until: datetime | None
) -> Signal | None:
    """The signal is published with a delivery for each recipient; None when this candle's signal was there already.

    Without `send_until` it is recorded as late: nobody gets it as fresh. After that moment no opening is sent.
    """
    row = {**_row(plan, book.costs), "created_at": now, "late": send_until is None}
    statement = db.insert(session, Signal).values(**row).on_conflict_do_nothing().returning(Signal.id)
    signal_id = await session.scalar(statement)
    if signal_id is None:
        return None
    signal = await session.get_one(Signal, signal_id)
    opening = SignalEvent(event="opened", price=signal.entry, candle=signal.candle, share=Decimal(0), stop=signal.stop)
    await _note(session, signal, [opening], now)
    signal.seal = opening.seal
    if send_until is not None:
        symbol = plan.symbol
        await fanout.post(session, signal.id, await places.carrying(session, symbol), now=now, expires_at=send_until)
        who = await access.recipients(session, book, symbol, now=now)
        await fanout.open_up(session, signal.id, who, now=now, expires_at=send_until)
    return signal


def _row(plan: Draft, costs: catalogue.Costs) -> dict[str, object]:
    return {
        "watch": plan.watch,
        "strategy": plan.strategy,
        "exchange": plan.exchange,
        "symbol": plan.symbol,
        "timeframe": plan.timeframe,
        "candle": plan.candle,
        "direction": "long" if plan.long else "short",
        "entry": plan.entry,
        "target": plan.target,
        "targets": plan.levels,
        "stop": plan.stop,
        "stop_now": plan.stop,
        "tick": plan.tick,
        "reason": plan.reason[:400],
        "figures": plan.figures,
        "params": plan.params,
        "expires": plan.expires,
        "followed_to": plan.candle,
        "status": SignalStatus.OPEN.value,
        "ref": plan.ref,
        "fee": costs.fee_percent,
        "slippage": costs.slippage_percent,
    }


async def changed(
    session: AsyncSession,
    signal: Signal,
    position: lifecycle.Position,
    changes: Sequence[lifecycle.Change],
    *,
    now: datetime,
) -> None:
    """The signal stands like the position; if anything changed, one reply is on its way to all who got the opening."""
    signal.filled, signal.left, signal.banked = position.filled, position.left, position.banked
    signal.stop_now, signal.reached = position.stop, position.reached
    if not changes:
        return
    last = changes[-1]
    if position.closed:
        signal.status = SignalStatus(last.event)
        signal.close_price, signal.close_candle, signal.closed_at = position.banked, last.candle, now
        signal.brought = int(results.r(signal).scaleb(2))
    await session.flush()
    events = [
        SignalEvent(event=one.event, price=one.price, share=one.share, candle=one.candle, stop=one.stop)
        for one in changes
    ]
    await _note(session, signal, events, now)
    facts = {"changes": [_fact(event) for event in events], "left": str(position.left)}
    await fanout.follow_up(session, signal.id, last.event, payload=facts, now=now)


def _fact(event: SignalEvent) -> dict[str, str]:
    return {
        "event": event.event,
        "price": str(event.price),
        "share": str(event.share),
        "stop": str(event.stop),
        "seal": event.seal,
    }


async def _note(session: AsyncSession, signal: Signal, events: Sequence[SignalEvent], now: datetime) -> None:
    """These events stand in the signal's history and, each under its seal, in the record."""
    for event in events:
        event.signal_id, event.at = signal.id, now
        session.add(event)
        await session.flush()  # what happened before is refused here, before it would stand in the record again
        event.seal = await record.append(session, signal, event, now=now)
    await session.flush()
