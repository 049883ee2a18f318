"""Candles in the table, for backtests of what is kept there."""

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from core import db
from core.market import candles

FIRST = 1_672_531_200_000  # 1 January 2023
HOUR = 3_600_000
UNTIL = datetime(2023, 1, 1, tzinfo=UTC)


async def fill(
    database: db.Database, count: int = 800, *, symbol: str = "BTC/USDT", timeframe: str = "1h", length: int = HOUR
) -> None:
    """A market that jumps away from its price and comes back, so that mean reversion has trades; always the same."""
    chance = np.random.default_rng(11)
    jumps = chance.normal(0, 80, count) * chance.choice([0.3, 1, 3], count, p=[0.6, 0.3, 0.1])
    close = 20_000 + np.cumsum(chance.normal(0, 30, count)) + jumps
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) + 20, np.minimum(opened, close) - 20
    rows = [
        candles.Candle(
            FIRST + i * length, *(Decimal(f"{column[i]:.2f}") for column in (opened, high, low, close)), Decimal(1)
        )
        for i in range(count)
    ]
    async with database.transaction() as session:
        await candles.keep(session, candles.Key("binance", symbol, timeframe), rows)
        await candles.keep_tick(session, "binance", symbol, Decimal("0.01"), now=UNTIL)
