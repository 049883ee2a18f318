"""An open signal that an operator ends: at the last known close, or at a price near it.

What was not filled yet is withdrawn and counts from its entry. Everybody who got the opening hears of the end.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from core import errors
from core.market import candles, ticks
from core.models import Signal, SignalStatus
from core.signals import lifecycle, publish, quotes

MOST_OFF = Decimal(1)
"""So many percent may the price of an end be from the last known close."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Offer:
    """At which price the signal would end now, and the candle whose close was known last."""

    signal: Signal
    price: Decimal
    candle: int


async def offered(
    session: AsyncSession, number: int, price: Decimal | None = None, *, now: datetime, lock: bool = False
) -> Offer:
    """How the signal would end now; raises RefusedError with one sentence when it cannot be ended."""
    signal = await session.get(Signal, number, with_for_update=lock, populate_existing=True)
    if signal is None:
        raise errors.RefusedError(f"There is no signal #{number}; /open lists those that are open.")
    if signal.status != SignalStatus.OPEN:
        raise errors.RefusedError(f"Signal #{number} has ended already; nothing changed.")
    quote = await quotes.of(session, candles.Key(signal.exchange, signal.symbol, signal.timeframe), now=now)
    if quote.last.open_time > signal.followed_to:
        raise errors.RefusedError(f"Signal #{number} is just being held against a new candle; try again in a moment.")
    at = quote.price if price is None else ticks.nearest(price, signal.tick)
    if quote.off(at) > MOST_OFF:
        raise errors.RefusedError(
            f"{at} is more than {MOST_OFF}% away from the last price {quote.price}; name a price nearer to it, or none."
        )
    return Offer(signal, at, max(quote.last.open_time, signal.candle))


async def close(session: AsyncSession, number: int, price: Decimal | None = None, *, now: datetime) -> Signal:
    """The signal is closed at this price, and its readers are told; raises RefusedError as `offered` does."""
    offer = await offered(session, number, price, now=now, lock=True)
    changes: list[lifecycle.Change] = []
    position = lifecycle.position(offer.signal)
    position = lifecycle.leave(position, SignalStatus.CLOSED, offer.price, offer.candle, changes)
    await publish.changed(session, offer.signal, position, changes, now=now)
    log.info("signals_closed_by_hand", signal=number, price=str(offer.price))
    return offer.signal
