"""Where in the history a demonstration begins: shortly before something happens, found by a rule and not by hand."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from core import catalogue, strategies
from core.backtest import engine
from core.market import series
from tests.sandbox import market_history

Markets = Mapping[str, Mapping[str, market_history.Candles]]

EARLIEST = datetime(2023, 3, 1, tzinfo=UTC)
LEAD = 5
"""Candles from the beginning to the close that makes the signal."""
SHORTEST, LONGEST = 4, 25
"""Candles after which it meets its first target, and within which it ends: late enough to be looked at, soon enough to
wait for."""
EXITS = (
    catalogue.Exit(at=Decimal("0.5"), share=Decimal("0.5"), stop="entry"),
    catalogue.Exit(at=Decimal(1), share=Decimal("0.5")),
)
"""How signals of a demonstration are left: half way, and at the target; then the stop stands at the entry."""
_TICK = Decimal("0.01")
_BEFORE = 200


def beginning(markets: Markets, timeframe: str = "1h", *, earliest: datetime = EARLIEST) -> datetime:
    """The first moment, just after a close, from which a default signal is `LEAD` candles away that meets its first
    target `SHORTEST` candles later or more, and ends in another candle, `LONGEST` candles later at most.

    So the story always has a target to tell of; how the rest ends, nobody chose. Where a history has no such place, it
    is `earliest`.
    """
    found = [
        candles.ts[place]
        for frames in markets.values()
        for candles in [frames[timeframe]]
        for place in _places(candles, timeframe)
        if candles.ts[place] - LEAD * candles.length >= _ms(earliest)
    ]
    if not found:
        return earliest
    length = market_history.LENGTHS[timeframe]
    close = datetime.fromtimestamp((int(min(found)) + length) / 1000, UTC)
    return close - LEAD * timedelta(milliseconds=length) + timedelta(seconds=2)


def _places(candles: market_history.Candles, timeframe: str) -> list[int]:
    """The candles whose close makes such a signal of the default strategy."""
    rules = engine.Rules(strategies.create("mean_reversion", {}), timeframe, _TICK, EXITS)
    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    whole = series.Series(candles.ts, *columns)
    said = np.flatnonzero(rules.strategy.entries(whole).direction)
    return [place for place in map(int, said) if _tells(whole, place, rules)]


def _tells(whole: series.Series, place: int, rules: engine.Rules) -> bool:
    shown = whole.window(place + LONGEST + 1, LONGEST + 1 + _BEFORE)
    since = int(whole.open_time[max(0, place - LEAD)])
    trades = engine.run(shown, rules, since=since).trades()
    if not trades or trades[0].candle != whole.open_time[place] or len(trades[0].exits) < len(EXITS):
        return False
    first, last = trades[0].exits[0].candle, trades[0].exits[-1].candle
    soonest = whole.open_time[min(place + SHORTEST, len(whole) - 1)]
    return bool(first >= soonest and last > first)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
