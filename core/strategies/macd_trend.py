"""Follows a trend when its momentum, the MACD, turns the trend's way again."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import pydantic

from core.market.series import Series
from core.strategies import base, indicators

# Below this share of the price a difference is rounding: where prices rise evenly the MACD is its own mean.
_STILL = 1e-12


class MacdTrendParams(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    fast: int = pydantic.Field(12, ge=2, le=1000, description="Span of the fast exponential mean, in candles.")
    slow: int = pydantic.Field(26, ge=2, le=1000, description="Span of the slow exponential mean, in candles.")
    signal: int = pydantic.Field(9, ge=2, le=1000, description="Span of the signal line, in candles.")
    trend: int = pydantic.Field(100, ge=2, le=1000, description="Span of the mean that says where the trend goes.")
    atr_window: int = pydantic.Field(14, ge=1, le=5000, description="Candles in the average true range.")
    stop_atr: float = pydantic.Field(2.0, gt=0, le=50, description="Average true ranges between entry and stop.")
    target_atr: float = pydantic.Field(3.0, gt=0, le=50, description="Average true ranges between entry and target.")
    allow_short: bool = pydantic.Field(True, description="Also enter short, below the trend's mean.")
    expires_after: int = pydantic.Field(48, ge=1, le=10_000, description="Candles after which a signal ends.")

    @pydantic.model_validator(mode="after")
    def _apart(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"`fast` must be less than `slow`, and {self.fast} is not less than {self.slow}")
        return self


class MacdTrend(base.Strategy):
    """Enters where the MACD crosses its signal line on the trend's side: above it with the close above the mean.

    The MACD (Gerald Appel, 1979) is the fast less the slow exponential mean, its signal line their exponential mean.
    Target and stop lie so many average true ranges from the entry. Entries on the candle that crosses only.
    """

    name: ClassVar[str] = "macd_trend"
    Params: ClassVar[type[pydantic.BaseModel]] = MacdTrendParams
    params: MacdTrendParams

    @property
    def warmup(self) -> int:
        slow, signal, trend = map(
            indicators.exponential_window, (self.params.slow, self.params.signal, self.params.trend)
        )
        # The signal line reads `signal` values of the MACD; one candle more for the one before the crossing.
        return max(slow + signal, trend, self.params.atr_window + 1)

    @property
    def expires_after(self) -> int:
        return self.params.expires_after

    def entries(self, series: Series) -> base.Entries:
        macd, line, trend, atr = self._lines(series)
        with np.errstate(all="ignore"):
            ahead, above, still = macd - line, series.close - trend, _STILL * series.close
            up = (ahead[1:] > still[1:]) & (ahead[:-1] <= still[:-1]) & (above[1:] > 0)
            down = (ahead[1:] < -still[1:]) & (ahead[:-1] >= -still[:-1]) & (above[1:] < 0) & self.params.allow_short
        candles = np.flatnonzero(up | down) + 1
        direction = np.where(up[candles - 1], 1, -1).astype(np.int8)
        entry, reach = series.close[candles], direction * atr[candles]
        with np.errstate(all="ignore"):
            target, stop = entry + self.params.target_atr * reach, entry - self.params.stop_atr * reach
        return base.sound_entries(series, self.warmup, candles, direction=direction, target=target, stop=stop)

    def explain(self, series: Series, i: int) -> tuple[str, dict[str, float]]:
        recent = series.window(i + 1, self.warmup)
        macd, line, trend, atr = (float(values[-1]) for values in self._lines(recent))
        close, side = float(recent.close[-1]), "above" if macd > line else "below"
        reason = (
            f"MACD {self.params.fast}/{self.params.slow} {base.number(macd, atr / 100)} crossed {side} its signal line "
            f"{base.number(line, atr / 100)}, the close {base.number(close, atr)} is {side} its "
            f"{self.params.trend}-candle exponential mean {base.number(trend, atr)}; "
            f"ATR {self.params.atr_window} = {base.number(atr, atr)}."
        )
        return reason, {"close": close, "macd": macd, "signal_line": line, "trend": trend, "atr": atr}

    def _lines(self, series: Series) -> tuple[indicators.Floats, ...]:
        """The MACD, its signal line, the trend's mean and the average true range."""
        fast, slow, trend = (
            indicators.exponential_mean(series.close, span)
            for span in (self.params.fast, self.params.slow, self.params.trend)
        )
        with np.errstate(all="ignore"):
            macd = fast - slow
        line = indicators.exponential_mean(macd, self.params.signal)
        atr = indicators.average_true_range(series.high, series.low, series.close, self.params.atr_window)
        return macd, line, trend, atr
