"""Bets that a market that was sold or bought too fast has turned."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pydantic

from core.market.series import Series
from core.strategies import base, indicators


class RsiReversalParams(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    window: int = pydantic.Field(24, ge=2, le=5000, description="Changes of the close in the RSI.")
    oversold: float = pydantic.Field(30.0, gt=0, lt=50, description="RSI above which a fallen market has turned.")
    overbought: float = pydantic.Field(70.0, gt=50, lt=100, description="RSI below which a risen market has turned.")
    atr_window: int = pydantic.Field(14, ge=1, le=5000, description="Candles in the average true range.")
    stop_atr: float = pydantic.Field(3.0, gt=0, le=50, description="Average true ranges between entry and stop.")
    target_atr: float = pydantic.Field(4.0, gt=0, le=50, description="Average true ranges between entry and target.")
    allow_short: bool = pydantic.Field(True, description="Also enter short, when the RSI comes down.")
    expires_after: int = pydantic.Field(48, ge=1, le=10_000, description="Candles after which a signal ends.")


class RsiReversal(base.Strategy):
    """Enters where Cutler's RSI comes back: long as it rises above `oversold`, short as it falls below `overbought`.

    Target and stop lie so many average true ranges from the entry. Entries on the candle that crosses only.
    """

    name: ClassVar[str] = "rsi_reversal"
    Params: ClassVar[type[pydantic.BaseModel]] = RsiReversalParams
    params: RsiReversalParams

    @property
    def warmup(self) -> int:
        # The first change needs the close before it; one candle more for the RSI before the crossing.
        return max(self.params.window + 2, self.params.atr_window + 1)

    @property
    def expires_after(self) -> int:
        return self.params.expires_after

    def entries(self, series: Series) -> base.Entries:
        index, atr = self._lines(series)
        up = (index[1:] > self.params.oversold) & (index[:-1] <= self.params.oversold)
        down = (index[1:] < self.params.overbought) & (index[:-1] >= self.params.overbought)
        if not self.params.allow_short:
            down[:] = False
        candles = np.flatnonzero(up ^ down) + 1  # a jump from one end to the other is no turn
        direction = np.where(up[candles - 1], 1, -1).astype(np.int8)
        entry, reach = series.close[candles], direction * atr[candles]
        with np.errstate(all="ignore"):
            target, stop = entry + self.params.target_atr * reach, entry - self.params.stop_atr * reach
        return base.sound_entries(series, self.warmup, candles, direction=direction, target=target, stop=stop)

    def explain(self, series: Series, i: int) -> tuple[str, dict[str, float]]:
        recent = series.window(i + 1, self.warmup)
        lines, atrs = self._lines(recent)
        before, index, atr = float(lines[-2]), float(lines[-1]), float(atrs[-1])
        close = float(recent.close[-1])
        way, edge = f"fell from {before:.1f} to {index:.1f}, back below", self.params.overbought
        if index > before:
            way, edge = f"rose from {before:.1f} to {index:.1f}, back above", self.params.oversold
        reason = (
            f"RSI {self.params.window} {way} {edge:g}, at the close {base.number(close, atr)}; "
            f"ATR {self.params.atr_window} = {base.number(atr, atr)}."
        )
        return reason, {"close": close, "rsi": index, "rsi_before": before, "atr": atr}

    def _lines(self, series: Series) -> tuple[indicators.Floats, indicators.Floats]:
        """The relative strength index and the average true range."""
        index = indicators.relative_strength_index(series.close, self.params.window)
        return index, indicators.average_true_range(series.high, series.low, series.close, self.params.atr_window)
