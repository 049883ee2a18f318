"""What stands alone: the chart, the start of the program, a strategy over a long history."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from core import clock, strategies
from core.market import series
from core.signals import charts
from tests.bench import table
from tests.sandbox import market_history, product

DRAWN = table.Goal("figure", "≤", 60, "ms")
SHOWN = table.Goal("figure", "≤", 300, "ms")
_CANDLES_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Dose:
    """How often each is repeated, and how long the strategy's history is."""

    charts: int = 20
    starts: int = 5
    passes: int = 3
    candles: int = 1_000_000


def measured(dose: Dose) -> list[table.Row]:
    """The rows about what stands alone."""
    return [_chart(dose.charts), _start(dose.starts), _entries(dose.passes, dose.candles)]


def _chart(times: int) -> table.Row:
    shown = _history().tail(_CANDLES_SHOWN)
    close = Decimal(str(shown.close[-1]))
    chart = charts.Chart(
        symbol="BTC/USDT",
        timeframe="1h",
        direction="long",
        entry=close,
        target=close * Decimal("1.02"),
        stop=close * Decimal("0.99"),
        opened_at=clock.from_ms(int(shown.open_time[-1])),
    )
    charts.draw(shown, chart)  # fonts are read once
    waits = [_seconds(lambda: charts.draw(shown, chart)) for _ in range(times)]
    return table.Row(f"F: chart, median of {times}", 1000 * table.quantile(waits, 0.5), "ms", goal=DRAWN)


def _start(times: int) -> table.Row:
    ours, bare = [], []
    _python("-m", "bot", "--help")  # what is compiled once is compiled now
    for _ in range(times):
        bare.append(1000 * _seconds(lambda: _python("-c", "pass")))
        ours.append(1000 * _seconds(lambda: _python("-m", "bot", "--help")))
    return table.compared(f"G: signalstack --help, median of {times}", "ms", "python -c pass", ours, bare, SHOWN)


def _python(*words: str) -> None:
    subprocess.run([sys.executable, *words], cwd=product.ROOT, stdout=subprocess.DEVNULL, check=True)


def _entries(times: int, candles: int) -> table.Row:
    long, strategy = _long(candles), strategies.create("mean_reversion", {})
    waits = [_seconds(lambda: strategy.entries(long)) for _ in range(times)]
    return table.Row(f"entries over {candles:,} candles", candles / table.quantile(waits, 0.5) / 1e6, "M candles/s")


def _history() -> series.Series:
    found = market_history.load("BTC/USDT", "1h", api=None)
    return series.Series(found.ts, found.open, found.high, found.low, found.close, found.volume)


def _long(candles: int) -> series.Series:
    """The real history laid end to end until it is long enough; each copy goes on at the price of the one before."""
    base = _history()
    copies = -(-candles // len(base))
    step = float(base.close[-1] / base.open[0])
    levels = np.repeat(step ** (np.arange(copies) % 5), len(base))[:candles]
    opened, high, low, close = (np.tile(column, copies)[:candles] * levels for column in base.prices)
    times = int(base.open_time[0]) + 3_600_000 * np.arange(candles, dtype=np.int64)
    return series.Series(times, opened, high, low, close, np.tile(base.volume, copies)[:candles])


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
