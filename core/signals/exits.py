"""What a candle does to a stop and a target: the one rule that the live product and the backtest both ask.

When one candle touches both, the stop counts: nobody can know which came first, and the worse case is the honest one.
Where a candle opens beyond a level, the level is filled at the open, as a real order would have been.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

NONE, STOP, STOP_AT_OPEN, TARGET, TARGET_AT_OPEN = range(5)
"""Untouched, or which level was filled, and whether at the candle's open instead of the level itself."""


def touched(long: Any, stop: Any, target: Any, opened: Any, high: Any, low: Any) -> NDArray[np.int8]:
    """For each element which of the five it is; arguments are numbers or arrays of one shape, prices as float64.

    Two prices of at most 15 digits are equal as floats exactly when they are equal as decimals, and in the same order,
    so for prices on a market's ticks this comparison is exact.
    """
    stop_met = np.where(long, low <= stop, high >= stop)
    stop_open = np.where(long, opened <= stop, opened >= stop)
    target_met = np.where(long, high >= target, low <= target)
    target_open = np.where(long, opened >= target, opened <= target)
    at_stop = np.where(stop_open, STOP_AT_OPEN, STOP)
    at_target = np.where(target_open, TARGET_AT_OPEN, TARGET)
    return np.where(stop_met, at_stop, np.where(target_met, at_target, NONE)).astype(np.int8)
