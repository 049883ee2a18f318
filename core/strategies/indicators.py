"""Indicators with exactly finite memory: each value is bit-identical whatever history lies before its window.

Running sums (TA-Lib's SMA, STDDEV and Wilder's ATR keep them) carry rounding from candles long gone, so live and
backtest would differ in the last bits and, at a threshold, in their trades. Here a window is put together from windows
half as long: log2(window) element-wise steps, the same operations in the same order for every element.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import talib
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Small enough that a block with all its intermediate arrays stays in the processor's second-level cache.
_BLOCK = 8192


def rolling_mean(values: Floats, window: int) -> Floats:
    """The arithmetic mean of the last `window` values for each element; NaN for the first `window - 1`."""
    mean = np.full(len(values), np.nan)
    with np.errstate(all="ignore"):
        for source, target in _blocks(len(values), window):
            mean[target] = _mean(values[source], window)
    return mean


def rolling_mean_and_deviation(values: Floats, window: int) -> tuple[Floats, Floats]:
    """Mean and population standard deviation (ddof 0) of the last `window` values; NaN for the first `window - 1`.

    Variances of part windows are merged by the method of Chan, Golub and LeVeque (1979), which never subtracts large
    squares from one another: precise for any level of prices, and exactly 0 where all values are equal.
    """
    mean, deviation = np.full(len(values), np.nan), np.full(len(values), np.nan)
    with np.errstate(all="ignore"):
        for source, target in _blocks(len(values), window):
            mean[target], squares = _moments(values[source], window)
            np.sqrt(squares / window, out=deviation[target])
    return mean, deviation


def average_true_range(high: Floats, low: Floats, close: Floats, window: int) -> Floats:
    """The simple mean of the last `window` true ranges; NaN for the first `window` (each needs the close before).

    Not Wilder's smoothing, whose memory is infinite. Welles Wilder defined the true range itself (1978).
    """
    return rolling_mean(true_range(high, low, close), window)


def true_range(high: Floats, low: Floats, close: Floats) -> Floats:
    """The greatest of high - low, |high - previous close| and |low - previous close|; NaN for the first candle."""
    # The stubs of TA-Lib promise an array of any kind; TRANGE always gives float64.
    return np.asarray(talib.TRANGE(high, low, close), dtype=np.float64)


def _blocks(length: int, window: int) -> Iterator[tuple[slice, slice]]:
    """Yield which values to read and which results they give, so that intermediate arrays stay in cache."""
    for start in range(window - 1, length, _BLOCK):
        stop = min(start + _BLOCK, length)
        yield slice(start - window + 1, stop), slice(start, stop)


def _mean(values: Floats, window: int) -> Floats:
    """The means of all windows inside `values`: pairs, then pairs of pairs; odd remainders join at the front."""
    part, size = values, 1
    whole: Floats | None = None
    done = 0
    while True:
        if window & size:
            whole = part if whole is None else _joined(part, size, whole, done)
            done += size
        if done == window and whole is not None:
            return whole
        part = (part[:-size] + part[size:]) * 0.5
        size *= 2


def _joined(front: Floats, front_size: int, back: Floats, back_size: int) -> Floats:
    """The mean of windows of which `front` means the older and `back` the newer candles."""
    first = front[: len(front) - back_size]
    return first + (back[front_size:] - first) * (back_size / (front_size + back_size))


def _moments(values: Floats, window: int) -> tuple[Floats, Floats]:
    """The means and the sums of squared deviations of all windows inside `values`."""
    mean, squares, size = values, np.zeros(len(values)), 1
    whole: tuple[Floats, Floats] | None = None
    done = 0
    while True:
        if window & size:
            whole = (mean, squares) if whole is None else _merged((mean, squares), size, whole, done)
            done += size
        if done == window and whole is not None:
            return whole
        mean, squares = _merged((mean, squares), size, (mean, squares), size)
        size *= 2


def _merged(
    front: tuple[Floats, Floats], front_size: int, back: tuple[Floats, Floats], back_size: int
) -> tuple[Floats, Floats]:
    """Means and squared deviations of windows made of an older (`front`) and a newer (`back`) part."""
    size = front_size + back_size
    first, later = front[0][: len(front[0]) - back_size], back[0][front_size:]
    step = later - first
    squares = step * step
    squares *= front_size * back_size / size
    squares += front[1][: len(first)]
    squares += back[1][front_size:]
    step *= back_size / size
    step += first
    return step, squares
