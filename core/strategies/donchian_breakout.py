"""Goes with a close that leaves the range of the candles before it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pydantic

from core.market.series import Series
from core.strategies import base, indicators


class DonchianBreakoutParams(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    window: int = pydantic.Field(48, ge=1, le=5000, description="Candles in the channel that the close must leave.")
    stop_window: int = pydantic.Field(24, ge=1, le=5000, description="Candles whose far end is the stop.")
    reward_risk: float = pydantic.Field(
        2.0, gt=0, le=50, description="Distance to the target, measured in distances to the stop."
    )
    allow_short: bool = pydantic.Field(True, description="Also enter short, below the channel.")
    expires_after: int = pydantic.Field(72, ge=1, le=10_000, description="Candles after which a signal ends.")


class DonchianBreakout(base.Strategy):
    """Enters where the close leaves the channel between highest high and lowest low of the `window` candles before.

    The channel is Richard Donchian's; a shorter one as the way out is known from the Turtles' rules: the stop lies at
    the far end of the last `stop_window` candles, the deciding one included. The target is `reward_risk` times as far
    from the entry. Entries on the candle that breaks out only: while closes stay outside nothing new is said.
    """

    name: ClassVar[str] = "donchian_breakout"
    Params: ClassVar[type[pydantic.BaseModel]] = DonchianBreakoutParams
    params: DonchianBreakoutParams

    @property
    def warmup(self) -> int:
        # The channel before this candle, this candle, and one more: the candle before must have closed inside its own.
        return max(self.params.window + 2, self.params.stop_window)

    @property
    def expires_after(self) -> int:
        return self.params.expires_after

    def entries(self, series: Series) -> base.Entries:
        close, window = series.close, self.params.window
        highest, lowest = (
            indicators.rolling_max(series.high, window)[:-1],
            indicators.rolling_min(series.low, window)[:-1],
        )
        above, not_above = close[1:] > highest, close[1:] <= highest
        below, not_below = close[1:] < lowest, close[1:] >= lowest
        up, down = above[1:] & not_above[:-1], below[1:] & not_below[:-1] & self.params.allow_short
        candles = np.flatnonzero(up | down) + 2
        direction = np.where(up[candles - 2], 1, -1).astype(np.int8)
        far_low, far_high = self._far_ends(series)
        stop = np.where(direction > 0, far_low[candles], far_high[candles])
        with np.errstate(all="ignore"):
            target = close[candles] + self.params.reward_risk * (close[candles] - stop)
        return base.sound_entries(series, self.warmup, candles, direction=direction, target=target, stop=stop)

    def explain(self, series: Series, i: int) -> tuple[str, dict[str, float]]:
        recent, window = series.window(i + 1, self.warmup), self.params.window
        close = float(recent.close[-1])
        highest = float(indicators.rolling_max(recent.high, window)[-2])
        lowest = float(indicators.rolling_min(recent.low, window)[-2])
        far_low, far_high = (float(ends[-1]) for ends in self._far_ends(recent))
        edge, way, end, stop = (highest, "above", "high", far_low)
        if close < lowest:
            edge, way, end, stop = (lowest, "below", "low", far_high)
        width = highest - lowest
        reason = (
            f"Close {base.number(close, width)} broke {way} {base.number(edge, width)}, the {window}-candle {end}; "
            f"the stop {base.number(stop, width)} is the other end of the last {self.params.stop_window} candles."
        )
        return reason, {"close": close, "highest": highest, "lowest": lowest}

    def _far_ends(self, series: Series) -> tuple[indicators.Floats, indicators.Floats]:
        """The lowest low and the highest high of the last `stop_window` candles."""
        window = self.params.stop_window
        return indicators.rolling_min(series.low, window), indicators.rolling_max(series.high, window)
