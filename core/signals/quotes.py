"""What is known of a market at this moment, for who acts between two closes: its last close, and the running candle.

What time it is there, the exchange's clock says. It was kept by the last scan; no network is asked.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import clock, errors, models
from core.market import candles, ticks, timeframes

_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Quote:
    """The newest closed candle, when the running one opened (epoch milliseconds), and the market's tick."""

    last: candles.Candle
    running: int
    tick: Decimal

    @property
    def price(self) -> Decimal:
        """The last close, on the market's ticks."""
        return ticks.nearest(self.last.close, self.tick)

    def off(self, price: Decimal) -> Decimal:
        """How far the price is from the last close, in percent of it."""
        return abs(price - self.last.close) / self.last.close * 100


async def of(session: AsyncSession, key: candles.Key, *, now: datetime) -> Quote:
    """The market as it is known; raises RefusedError when that is nothing, or too old to act on."""
    rows = await candles.recent(session, key, 1)
    tick = await candles.tick(session, key.exchange, key.symbol)
    if not rows or tick is None:
        raise errors.RefusedError(f"No price of {key.symbol} is known yet; try again when the scheduler has seen it.")
    moment, length, last = await there(session, key.exchange, now=now), timeframes.ms(key.timeframe), rows[-1]
    age = (moment - last.open_time - length) / 1000
    if age > timeframes.seconds(key.timeframe) + timeframes.staleness(key.timeframe):
        raise errors.RefusedError(
            f"The last known price of {key.symbol} is {age / 60:.0f} minutes old; try again when {key.exchange} "
            "delivers candles."
        )
    # A clock of ours that is slow must not open the position in the past.
    running = max(timeframes.floor(key.timeframe, moment), last.open_time + length)
    return Quote(last, running, tick)


async def there(session: AsyncSession, exchange: str, *, now: datetime) -> int:
    """The exchange's clock at this moment, epoch milliseconds; ours where it was never asked."""
    mark = models.ScanMark
    asked = select(mark).where(mark.watch.contains(f" {exchange} ", autoescape=True), mark.clock > 0)
    last = await session.scalar(asked.order_by(mark.scanned_at.desc()).limit(1))
    return clock.to_ms(now) if last is None else last.clock + (now - last.scanned_at) // _MS
