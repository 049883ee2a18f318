"""Where in the history a demonstration begins: shortly before something happens, found by a rule and not by hand."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np

from core import strategies
from core.market import series
from tests.sandbox import market_history

Markets = Mapping[str, Mapping[str, market_history.Candles]]

EARLIEST = datetime(2023, 3, 1, tzinfo=UTC)
LEAD = 5
"""Candles from the beginning to the close that makes the signal."""
SHORTEST, LONGEST = 4, 25
"""Candles after which it meets its target or its stop: late enough to be looked at, soon enough to wait for."""


def beginning(markets: Markets, timeframe: str = "1h", *, earliest: datetime = EARLIEST) -> datetime:
    """The first moment, just after a close, from which a default signal is `LEAD` candles away and ends
    `SHORTEST` to `LONGEST` candles later.

    Nothing is known of how it ends. Where a history has no such place, it is `earliest`.
    """
    found = [
        candles.ts[place]
        for frames in markets.values()
        for candles in [frames[timeframe]]
        for place in _places(candles)
        if candles.ts[place] - LEAD * candles.length >= _ms(earliest)
    ]
    if not found:
        return earliest
    length = market_history.LENGTHS[timeframe]
    close = datetime.fromtimestamp((int(min(found)) + length) / 1000, UTC)
    return close - LEAD * timedelta(milliseconds=length) + timedelta(seconds=2)


def _places(candles: market_history.Candles) -> list[int]:
    """The candles whose close makes a signal of the default strategy that ends soon enough."""
    strategy = strategies.create("mean_reversion", {})
    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    said = strategy.entries(series.Series(candles.ts, *columns))
    return [
        int(place)
        for place in np.flatnonzero(said.direction)
        if _ends(candles, int(place), said.target[place], said.stop[place])
    ]


def _ends(candles: market_history.Candles, place: int, target: float, stop: float) -> bool:
    after = slice(place + 1, place + 1 + LONGEST)
    low, high = min(target, stop), max(target, stop)
    met = np.flatnonzero((candles.low[after] <= low) | (candles.high[after] >= high))
    return len(met) > 0 and int(met[0]) + 1 >= SHORTEST


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
