"""What happens live is what a backtest says: candle by candle through the scan, and vectorised over the history."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from core import catalogue, strategies
from core.columns import Level
from core.market import ticks
from core.market.series import Series
from core.models import Signal, SignalStatus
from core.signals import lifecycle
from core.strategies import base
from tests.core.signals import stage as stages
from tests.core.signals.stage import BTC, ETH, HOUR, Stage
from tests.sandbox import market_history

BEGIN = datetime(2023, 1, 1, tzinfo=UTC)
TICK = Decimal("0.01")
EAGER = {"window": 20, "threshold": 1.8, "min_reward_risk": 0.3, "expires_after": 12}


def _expected(history: market_history.Candles, strategy: base.Strategy, first: int, last: int) -> list[tuple[int, str]]:
    """(index, end) of each entry from `first` to `last`, skipping those while a signal is open; "" is an open end."""
    candles = Series(history.ts, history.open, history.high, history.low, history.close, history.volume)
    entries = strategy.entries(candles.head(last + 1))
    found: list[tuple[int, str]] = []
    held: lifecycle.Position | None = None
    for at in range(first, last + 1):
        prices = (history.open[at], history.high[at], history.low[at], history.close[at], history.volume[at])
        candle = lifecycle.candles.Candle(int(history.ts[at]), *(ticks.exact(f"{price:.8f}") for price in prices))  # type: ignore[attr-defined]
        if held:
            held, changes = lifecycle.step(held, candle)
            if changes:
                found[-1], held = (found[-1][0], changes[-1].event), None
        if held or not entries.direction[at]:
            continue
        target, stop = (ticks.nearest(float(line[at]), TICK) for line in (entries.target, entries.stop))
        held = lifecycle.Position(
            long=bool(entries.direction[at] > 0),
            entry=ticks.nearest(float(history.close[at]), TICK),
            stop=stop,
            levels=(Level(target, Decimal(1)),),
            expires=int(history.ts[at]) + (strategy.expires_after + 1) * HOUR,
            length=HOUR,
        )
        found.append((at, SignalStatus.OPEN.value))
    return found


async def _seen(stage: Stage, history: market_history.Candles) -> list[tuple[int, str]]:
    rows = await stage.rows(Signal)
    return [(int(np.searchsorted(history.ts, row.candle)), str(row.status)) for row in rows]


def _play(stage: Stage, symbol: str, hours: int) -> tuple[market_history.Candles, catalogue.Watch]:
    """The stage shows this market's real history (where there is any), `hours` after its beginning."""
    history = market_history.load(symbol, "1h", api=None)
    stage.standin.markets[symbol.replace("/", "")].frames["1h"] = history
    stage.skip((BEGIN + timedelta(hours=hours, seconds=2) - stage.standin.now).total_seconds())
    return history, stages.watch(symbol, params=EAGER)


async def test_live_candle_by_candle_equals_the_vectorised_entries(stage: Stage) -> None:
    hours, begin = 120, 60
    history, watch = _play(stage, ETH, begin)
    scanned = await stage.scan(watch)
    for _ in range(hours):
        await scanned.run()
        stage.close_candle()
    strategy = strategies.create(watch.strategy, EAGER)
    expected = _expected(history, strategy, begin - 1, begin + hours - 2)
    assert await _seen(stage, history) == expected
    assert len(expected) > 5


@pytest.mark.parametrize(("symbol", "hours"), [(BTC, 1970), (ETH, 500)])
async def test_a01_two_thousand_candles_made_good_equal_the_vectorised_entries(
    sqlite_stage: Stage, symbol: str, hours: int
) -> None:
    """With the hour in which Binance stood still (2023-03-24, 13:00), after which nothing is decided for a window."""
    stage = sqlite_stage
    history, watch = _play(stage, symbol, 60)
    await (await stage.scan(watch)).run()
    stage.close_candle(hours)
    await (await stage.scan(watch)).run()
    strategy = strategies.create(watch.strategy, EAGER)
    last = int(np.searchsorted(history.ts, stage.standin.now.timestamp() * 1000)) - 2
    expected = _expected(history, strategy, 59, last)
    assert await _seen(stage, history) == expected
    assert len(expected) > hours // 40
    assert {end for _, end in expected} >= {"target", "stopped", "expired"}
    if history.label == market_history.REAL and hours > 1900:
        assert np.diff(history.ts[: last + 1]).max() == 2 * HOUR
