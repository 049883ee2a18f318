"""Bets that a close far from its mean comes back to it."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import pydantic
from numpy.typing import NDArray

from core.market.series import Series
from core.strategies import base, indicators

# Below this share of the price a deviation is rounding, not movement: such a market stands still.
_STILL = 1e-12


class MeanReversionParams(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    window: int = pydantic.Field(48, ge=2, le=5000, description="Candles in the mean and the standard deviation.")
    threshold: float = pydantic.Field(2.25, gt=0, le=10, description="Standard deviations off the mean that enter.")
    atr_window: int = pydantic.Field(14, ge=1, le=5000, description="Candles in the average true range.")
    stop_atr: float = pydantic.Field(2.5, gt=0, le=50, description="Average true ranges between entry and stop.")
    min_reward_risk: float = pydantic.Field(
        1.0, ge=0, le=50, description="Least distance to the target, measured in distances to the stop."
    )
    allow_short: bool = pydantic.Field(True, description="Also enter short, above the mean.")
    expires_after: int = pydantic.Field(48, ge=1, le=10_000, description="Candles after which a signal ends.")

    @pydantic.model_validator(mode="after")
    def _reachable(self) -> Self:
        # Of n values none is further than sqrt(n - 1) population deviations from their mean (Samuelson, 1968).
        if self.threshold**2 >= self.window - 1:
            raise ValueError(f"no close is ever {self.threshold:g} deviations off the mean of {self.window} candles")
        return self


class MeanReversion(base.Strategy):
    """Enters where the close leaves the band of `threshold` standard deviations around its mean; target is the mean.

    The stop lies `stop_atr` average true ranges beyond the entry. Entries on the candle that crosses only: while the
    close stays outside nothing new is said.
    """

    name: ClassVar[str] = "mean_reversion"
    Params: ClassVar[type[pydantic.BaseModel]] = MeanReversionParams
    params: MeanReversionParams

    @property
    def warmup(self) -> int:
        # One candle more than the windows: the deviation before the crossing, the close before the first true range.
        return max(self.params.window, self.params.atr_window) + 1

    @property
    def expires_after(self) -> int:
        return self.params.expires_after

    def entries(self, series: Series) -> base.Entries:
        mean, deviation = indicators.rolling_mean_and_deviation(series.close, self.params.window)
        candles = self._crossings(series.close, mean, deviation)
        atr = indicators.average_true_range(series.high, series.low, series.close, self.params.atr_window)
        entry, target, risk = series.close[candles], mean[candles], self.params.stop_atr * atr[candles]
        direction = np.where(entry < target, 1, -1).astype(np.int8)
        worth = np.abs(target - entry) >= self.params.min_reward_risk * risk
        if not self.params.allow_short:
            worth &= direction > 0
        stop = entry - direction * risk
        return base.sound_entries(
            series,
            self.warmup,
            candles[worth],
            direction=direction[worth],
            target=target[worth],
            stop=stop[worth],
        )

    def explain(self, series: Series, i: int) -> tuple[str, dict[str, float]]:
        window, atr_window = self.params.window, self.params.atr_window
        recent = series.window(i + 1, self.warmup)
        mean, deviation = (float(line[-1]) for line in indicators.rolling_mean_and_deviation(recent.close, window))
        atr = float(indicators.average_true_range(recent.high, recent.low, recent.close, atr_window)[-1])
        close = float(recent.close[-1])
        score = (close - mean) / deviation if deviation else 0.0
        reason = (
            f"Close {base.number(close, atr)} is {abs(score):.2f} standard deviations "
            f"{'below' if score < 0 else 'above'} its {window}-candle mean {base.number(mean, atr)}; "
            f"ATR {atr_window} = {base.number(atr, atr)}."
        )
        return reason, {"close": close, "mean": mean, "deviation": deviation, "z_score": score, "atr": atr}

    def _crossings(
        self, close: NDArray[np.float64], mean: NDArray[np.float64], deviation: NDArray[np.float64]
    ) -> NDArray[np.intp]:
        """The candles whose close is outside the band while the one before was inside, in a market that moves."""
        with np.errstate(all="ignore"):
            outside = np.abs(close - mean) > self.params.threshold * deviation
            moving = deviation > _STILL * mean
        inside = moving & ~outside
        outside &= moving
        return np.flatnonzero(outside[1:] & inside[:-1]) + 1
