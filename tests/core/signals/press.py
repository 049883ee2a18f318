"""Signals that are published, moved on and closed by the product's own functions, one event at a time."""

from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, clock, models
from core.columns import Level
from core.market import candles, timeframes
from core.models import SignalStatus
from core.signals import lifecycle, publish
from tests.core import people

HALF = Decimal("0.5")
STOP, FIRST, LAST = Decimal(95), Decimal(105), Decimal(110)


def draft(number: int, now: datetime, symbol: str = people.BTC, timeframe: str = "1h") -> publish.Draft:
    """Signal number `number` of a market, decided at the last close: half leaves at 105, the rest at 110."""
    closed = timeframes.last_closed(timeframe, clock.to_ms(now))
    return publish.Draft(
        watch=f"mean_reversion binance {symbol} {timeframe}",
        strategy="mean_reversion",
        exchange="binance",
        symbol=symbol,
        timeframe=timeframe,
        long=True,
        entry=Decimal("100.00"),
        stop=STOP,
        levels=(Level(FIRST, HALF, Decimal(100)), Level(LAST, HALF)),
        tick=Decimal("0.01"),
        candle=closed,
        expires=closed + 24 * timeframes.ms(timeframe),
        reason="far below its mean",
        figures={"z": -2.5},
        params={},
        ref=f"press {number}",
    )


async def opened(
    session: AsyncSession,
    number: int,
    *,
    now: datetime,
    symbol: str = people.BTC,
    book: catalogue.Catalogue = people.BOOK,
    late: bool = False,
) -> models.Signal:
    """The signal is published, to everybody who may have it."""
    until = None if late else now + timedelta(minutes=10)
    made = await publish.opened(session, book, draft(number, now, symbol), now=now, send_until=until)
    assert made is not None
    return made


async def moved(session: AsyncSession, signal: models.Signal, *, now: datetime, to: Decimal = FIRST) -> None:
    """The next candle reached this price: 105 is the first target, 110 both, 95 the stop."""
    signal.followed_to += timeframes.ms(signal.timeframe)
    high, low = max(to, Decimal(102)), min(to, Decimal("100.5"))
    candle = candles.Candle(signal.followed_to, Decimal(101), high, low, to, HALF)
    position, changes = lifecycle.step(lifecycle.position(signal), candle)
    await publish.changed(session, signal, position, changes, now=now)


async def closed(session: AsyncSession, signal: models.Signal, *, now: datetime) -> None:
    """The operator closed the signal at 101."""
    changes: list[lifecycle.Change] = []
    position = lifecycle.leave(
        lifecycle.position(signal), SignalStatus.CLOSED, Decimal(101), signal.followed_to, changes
    )
    await publish.changed(session, signal, position, changes, now=now)
