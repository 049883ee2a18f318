"""Decisions become signals, and signals get results: row, event and deliveries in the caller's one transaction."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from core import access, catalogue, db, models, places
from core.delivery import fanout
from core.market import ticks, timeframes
from core.models import Signal, SignalStatus
from core.signals import lifecycle
from core.strategies.base import Decision


@dataclass(frozen=True, slots=True)
class Draft:
    """A decision with prices on the market's ticks."""

    watch: catalogue.Watch
    decision: Decision
    entry: Decimal
    target: Decimal
    stop: Decimal
    tick: Decimal


def draft(watch: catalogue.Watch, decision: Decision, tick: Decimal) -> Draft | None:
    """The decision on ticks, or None when target or stop fall together with the entry there or below one tick."""
    entry, target, stop = (ticks.nearest(price, tick) for price in (decision.entry, decision.target, decision.stop))
    low, high = (stop, target) if decision.direction == "long" else (target, stop)
    return Draft(watch, decision, entry, target, stop, tick) if 0 < low < entry < high else None


async def opened(
    session: AsyncSession, book: catalogue.Catalogue, plan: Draft, *, now: datetime, send_until: datetime | None
) -> Signal | None:
    """The signal is published with a delivery for each recipient; None when this candle's signal was there already.

    Without `send_until` it is recorded as late: nobody gets it as fresh. After that moment no opening is sent.
    """
    row = {**_row(plan), "created_at": now, "late": send_until is None}
    statement = db.insert(session, Signal).values(**row).on_conflict_do_nothing().returning(Signal.id)
    signal_id = await session.scalar(statement)
    if signal_id is None:
        return None
    signal = await session.get_one(Signal, signal_id)
    _record(session, signal, "opened", signal.entry, signal.candle, now)
    if send_until is not None:
        symbol = plan.watch.symbol
        await fanout.post(session, signal.id, await places.carrying(session, symbol), now=now, expires_at=send_until)
        who = await access.recipients(session, book, symbol, now=now)
        await fanout.open_up(session, signal.id, who, now=now, expires_at=send_until)
    return signal


def _row(plan: Draft) -> dict[str, object]:
    watch, decision = plan.watch, plan.decision
    length = timeframes.ms(watch.timeframe)
    return {
        "watch": watch.key,
        "strategy": watch.strategy,
        "exchange": watch.exchange,
        "symbol": watch.symbol,
        "timeframe": watch.timeframe,
        "candle": decision.candle_open_time,
        "direction": decision.direction.value,
        "entry": plan.entry,
        "target": plan.target,
        "stop": plan.stop,
        "tick": plan.tick,
        "reason": decision.reason[:400],
        "figures": decision.figures,
        "params": watch.params,
        "expires": decision.candle_open_time + (decision.expires_after + 1) * length,
        "followed_to": decision.candle_open_time,
        "status": SignalStatus.OPEN.value,
    }


async def closed(session: AsyncSession, signal: Signal, close: lifecycle.Close, *, now: datetime) -> None:
    """The signal has its result, and a reply is on its way to exactly those who got the opening."""
    signal.status = close.status
    signal.close_price, signal.close_candle, signal.closed_at = close.price, close.candle, now
    await session.flush()
    _record(session, signal, close.status.value, close.price, close.candle, now)
    await fanout.follow_up(session, signal.id, close.status.value, now=now)


def _record(session: AsyncSession, signal: Signal, event: str, price: Decimal, candle: int, now: datetime) -> None:
    session.add(models.SignalEvent(signal_id=signal.id, event=event, price=price, candle=candle, at=now))
