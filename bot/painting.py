"""What each picture shows: read from the database, and drawn in a thread beside the event loop."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select

from core import clock, models, stack
from core.market import candles, timeframes
from core.models import SignalEvent, SignalStatus
from core.signals import charts, curve, results

_SHOWN, _BEFORE, _MOST = 120, 20, 400  # candles: usually, before a signal that lasted longer, and at most
_OUTCOMES = {
    SignalStatus.TARGET: "target hit",
    SignalStatus.STOPPED: "stopped",
    SignalStatus.EXPIRED: "expired",
    SignalStatus.CLOSED: "closed",
    SignalStatus.DELISTED: "delisted",
}


async def opening(held: stack.Stack, signal: models.Signal) -> bytes:
    """The signal as it was published; raises ValueError when we have no candle of it."""
    async with held.db.reading() as session:
        rows = await candles.recent(session, _market(signal), _SHOWN, until=signal.candle)
    return await asyncio.to_thread(charts.draw, candles.series(rows), _chart(held, signal))


async def ending(held: stack.Stack, signal: models.Signal) -> bytes:
    """The signal with everything that happened to it until its end; raises ValueError as `opening`."""
    last = signal.candle if signal.close_candle is None else signal.close_candle
    lived = (last - signal.candle) // timeframes.ms(signal.timeframe)
    async with held.db.reading() as session:
        rows = await candles.recent(session, _market(signal), min(_MOST, max(_SHOWN, lived + _BEFORE)), until=last)
        found = select(SignalEvent).where(SignalEvent.signal_id == signal.id, SignalEvent.event != "opened")
        events = (await session.scalars(found.order_by(SignalEvent.id))).all()
    chart = _ended(_chart(held, signal), signal, events)
    return await asyncio.to_thread(charts.draw, candles.series(rows), chart)


async def backtest(held: stack.Stack, number: int) -> bytes | None:
    """What the trades of this backtest add up to; None when it is not there any more."""
    async with held.db.reading() as session:
        row = await session.get(models.Backtest, number)
    if row is None or row.result is None:
        return None
    found, summary = row.result, row.result["summary"]
    trades = summary["trades"]
    return await asyncio.to_thread(
        curve.draw,
        [(int(at), float(total)) for at, total in found["equity"]] if trades else [],
        title=f"{found['symbol']} {found['timeframe']} · {str(found['strategy']).replace('_', ' ')}",
        subtitle=f"Backtest of {trades} {'trade' if trades == 1 else 'trades'}, after assumed costs",
        note=held.catalogue.service.notice or "the past, not a promise",
        fall=-float(summary["drawdown_r"]),
    )


def _market(signal: models.Signal) -> candles.Key:
    return candles.Key(signal.exchange, signal.symbol, signal.timeframe)


def _chart(held: stack.Stack, signal: models.Signal) -> charts.Chart:
    """The signal without anything that happened to it."""
    several = len(signal.levels) > 1
    return charts.Chart(
        symbol=signal.symbol,
        timeframe=signal.timeframe,
        direction=signal.direction,
        entry=signal.entry,
        target=signal.levels[-1].price,
        stop=signal.stop,
        opened_at=clock.from_ms(signal.candle),
        note=held.catalogue.service.notice,
        targets=tuple((level.price, level.share) for level in signal.levels) if several else (),
    )


def _ended(chart: charts.Chart, signal: models.Signal, events: Sequence[SignalEvent]) -> charts.Chart:
    """The chart with what these events of the signal, in their order, and its end say."""
    before, stops = chart.stop, list[tuple[datetime, Decimal]]()
    for event in events:
        if event.stop is not None and event.stop != before:
            before = event.stop
            stops.append((clock.from_ms(event.candle), before))
    last = events[-1].price if events else signal.close_price
    return replace(
        chart,
        parts=tuple((clock.from_ms(event.candle), event.price) for event in events[:-1]),
        stops=tuple(stops),
        exit_price=last,
        exit_at=None if signal.close_candle is None else clock.from_ms(signal.close_candle),
        outcome=_OUTCOMES.get(signal.status),
        result="" if signal.close_price is None else f"{results.percent(signal) + 0:+.2f}%",
    )
