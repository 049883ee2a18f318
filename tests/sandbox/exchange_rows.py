"""Candles as Binance's klines show them at one moment: closed ones whole, the open one as far as it has come."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tests.sandbox import market_history

Row = list[Any]


class Bar(NamedTuple):
    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Span(NamedTuple):
    """Which candles were asked for: open times in epoch milliseconds, both ends included."""

    start: int | None
    end: int | None
    limit: int


@dataclass
class Market:
    """One trading pair; `delisted` is the exchange's time in epoch milliseconds after which no candle opened."""

    symbol: str
    frames: dict[str, market_history.Candles]
    delisted: int | None = None
    decimals: int = 2
    made: dict[str, market_history.Candles] = field(default_factory=dict)

    def __post_init__(self) -> None:
        closes = self.finest().close
        self.decimals = next((n for n in range(2, 8) if np.allclose(np.round(closes, n), closes, rtol=0, atol=1e-9)), 8)

    @property
    def id(self) -> str:
        return self.symbol.replace("/", "")

    def finest(self) -> market_history.Candles:
        return min(self.frames.values(), key=lambda candles: candles.length)

    def candles(self, timeframe: str) -> market_history.Candles | None:
        """Candles of the timeframe, made from finer ones where needed; None if they cannot be had."""
        if timeframe in self.frames:
            return self.frames[timeframe]
        if timeframe not in self.made:
            length = market_history.LENGTHS.get(timeframe, 1)
            finer = [c for c in self.frames.values() if length % c.length == 0]
            if not finer:
                return None
            longest = max(finer, key=lambda candles: candles.length)
            self.made[timeframe] = market_history.aggregate(longest, timeframe)
        return self.made[timeframe]

    def price(self, now: int) -> float | None:
        """The last price at this moment; None before the first candle."""
        candles = self.finest()
        at = int(np.searchsorted(candles.ts, now, "right")) - 1
        if at < 0:
            return None
        return _until(_bar(candles, at), candles.length, now, self.decimals).close


def klines(market: Market, timeframe: str, now: int, span: Span) -> list[Row]:
    """What the exchange answers at `now`: from `start` forward if it is given, else the latest up to `end`."""
    candles = market.candles(timeframe)
    if candles is None:
        return []
    limit = min(span.limit, 1000)
    known = min(now, market.delisted) if market.delisted is not None else now
    hi = int(np.searchsorted(candles.ts, known if span.end is None else min(known, span.end), "right"))
    lo = int(np.searchsorted(candles.ts, span.start)) if span.start is not None else max(0, hi - limit)
    hi = min(hi, lo + limit)
    return [_row(_seen(market, candles, at, now), candles.length) for at in range(lo, hi)]


def _seen(market: Market, candles: market_history.Candles, at: int, now: int) -> Bar:
    bar = _bar(candles, at)
    if bar.ts + candles.length <= now:
        return bar
    finest = market.finest()
    if finest.length < candles.length:
        parts = _parts(finest, bar.ts, now, market.decimals)
        if parts:
            return _joined(parts)
    return _until(bar, candles.length, now, market.decimals)


def _parts(finest: market_history.Candles, since: int, now: int, decimals: int) -> list[Bar]:
    lo, hi = int(np.searchsorted(finest.ts, since)), int(np.searchsorted(finest.ts, now, "right"))
    return [_until(_bar(finest, at), finest.length, now, decimals) for at in range(lo, hi)]


def _joined(parts: list[Bar]) -> Bar:
    return Bar(
        parts[0].ts,
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        round(sum(part.volume for part in parts), 8),
    )


def _until(bar: Bar, length: int, now: int, decimals: int) -> Bar:
    """The bar as it looked at `now`, had the price gone straight from its open over both extremes to its close."""
    done = (now - bar.ts) / length
    if done >= 1:
        return bar
    turns = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
    path = (bar.open, *turns, bar.close)
    leg = min(int(done * 3), 2)
    last = round(path[leg] + (path[leg + 1] - path[leg]) * (done * 3 - leg), decimals)
    been = (*path[: leg + 1], last)
    return Bar(bar.ts, bar.open, max(been), min(been), last, round(bar.volume * done, 8))


def _bar(candles: market_history.Candles, at: int) -> Bar:
    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    return Bar(int(candles.ts[at]), *(float(column[at]) for column in columns))


def _row(bar: Bar, length: int) -> Row:
    quote = bar.volume * (bar.high + bar.low + bar.close) / 3
    prices = [text(price) for price in bar[1:]]
    rest = [text(quote), int(bar.volume) + 1, text(bar.volume / 2), text(quote / 2), "0"]
    return [bar.ts, *prices, bar.ts + length - 1, *rest]


def text(price: float) -> str:
    """A number as Binance writes it."""
    return f"{price:.8f}"
