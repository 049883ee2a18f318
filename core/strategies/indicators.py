"""Indicators with exactly finite memory: each value is bit-identical whatever history lies before its window.

Running sums (TA-Lib's SMA, STDDEV and Wilder's ATR keep them) carry rounding from candles long gone, so live and
backtest would differ in the last bits and, at a threshold, in their trades. Here a window is put together from windows
half as long: log2(window) element-wise steps, the same operations in the same order for every element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import talib
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Small enough that a block with all its intermediate arrays stays in the processor's second-level cache.
_BLOCK = 8192

# So many spans hold more than 99.966 % of an endless exponential mean's weight; see `exponential_mean`.
_REACH = 4


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


def exponential_mean(values: Floats, span: int) -> Floats:
    """The exponentially weighted mean of the last `exponential_window(span)` values; NaN where there are fewer.

    Each value weighs 1 - 2 / (span + 1) times as much as the one after it, as in the usual EMA of `span` candles, whose
    memory is infinite. Here the weights end after four spans and are scaled to a sum of 1. What
    is left out had (1 - 2 / (span + 1)) ** (4 * span) of the weight: less than exp(-8), or 0.034 %.
    """
    keep, window = 1 - 2 / (span + 1), exponential_window(span)

    def join(older: Floats, older_size: int, newer: Floats, newer_size: int) -> Floats:
        # The geometric sums of both parts, the older one as much lighter as the newer one is long.
        share = keep**newer_size * (1 - keep**older_size) / (1 - keep ** (older_size + newer_size))
        return newer + (older - newer) * share

    mean = np.full(len(values), np.nan)
    with np.errstate(all="ignore"):
        for source, target in _blocks(len(values), window):
            mean[target] = _assembled(values[source], window, join)
    return mean


def exponential_window(span: int) -> int:
    """How many last values an exponential mean of this span depends on."""
    return _REACH * span


def rolling_max(values: Floats, window: int) -> Floats:
    """The greatest of the last `window` values for each element; NaN for the first `window - 1`."""
    return _extreme(np.maximum, values, window)


def rolling_min(values: Floats, window: int) -> Floats:
    """The least of the last `window` values for each element; NaN for the first `window - 1`."""
    return _extreme(np.minimum, values, window)


def relative_strength_index(close: Floats, window: int) -> Floats:
    """Cutler's RSI from 0 to 100 over the last `window` changes of the close; NaN for the first `window` candles.

    Welles Wilder's index (1978) with the simple means of gains and losses that Cutler proposed in place of Wilder's
    smoothing, whose memory is infinite: 100 * gains / (gains + losses). It is 50 where the close did not move.
    """
    index = np.full(len(close), np.nan)
    with np.errstate(all="ignore"):
        change = np.diff(close)
        gain, loss = (rolling_mean(np.maximum(part, 0.0), window) for part in (change, -change))
        index[1:] = np.where(gain + loss == 0, 50.0, 100.0 * (gain / (gain + loss)))
    return index


def _blocks(length: int, window: int) -> Iterator[tuple[slice, slice]]:
    """Yield which values to read and which results they give, so that intermediate arrays stay in cache."""
    for start in range(window - 1, length, _BLOCK):
        stop = min(start + _BLOCK, length)
        yield slice(start - window + 1, stop), slice(start, stop)


def _mean(values: Floats, window: int) -> Floats:
    """The means of all windows inside `values`."""
    return _assembled(values, window, _joined)


def _assembled(values: Floats, window: int, join: Callable[[Floats, int, Floats, int], Floats]) -> Floats:
    """What `join` makes of all windows inside `values`: pairs, then pairs of pairs; odd remainders join at the front.

    `join` is given the older part of each window, its size, the newer part and its size.
    """
    part, size = values, 1
    whole: Floats | None = None
    done = 0
    while True:
        if window & size:
            whole = part if whole is None else join(part[: len(part) - done], size, whole[size:], done)
            done += size
        if done == window and whole is not None:
            return whole
        part = join(part[:-size], size, part[size:], size)
        size *= 2


def _joined(older: Floats, older_size: int, newer: Floats, newer_size: int) -> Floats:
    """The mean of windows made of an older and a newer part."""
    if older_size == newer_size:
        return (older + newer) * 0.5
    return older + (newer - older) * (newer_size / (older_size + newer_size))


def _extreme(pick: Callable[[Floats, Floats], Floats], values: Floats, window: int) -> Floats:
    """What `pick` leaves of each window: of two overlapping parts that are as long as a power of two allows."""
    picked = np.full(len(values), np.nan)
    for source, target in _blocks(len(values), window):
        part, size = values[source], 1
        while size * 2 <= window:
            part = pick(part[:-size], part[size:])
            size *= 2
        rest = window - size
        picked[target] = pick(part[: len(part) - rest], part[rest:])
    return picked


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
