"""The promises have teeth: strategies that break them, each in the way that people really do it, are caught."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pydantic
import pytest
import talib
from numpy.typing import NDArray

from core.market.series import Series
from core.strategies import base
from tests.core.strategies import markets, promises

Floats = NDArray[np.float64]
WARMUP = 20


class Mean(base.Strategy):
    """An honest one, long while the close is above the middle of its window: it keeps every promise."""

    name: ClassVar[str] = "mean"
    Params: ClassVar[type[pydantic.BaseModel]] = promises.NoParams
    warmup = WARMUP
    expires_after = 5

    def line(self, series: Series) -> Floats:
        line = np.full(len(series), np.nan)
        for i in range(WARMUP - 1, len(series)):
            recent = series.close[i - WARMUP + 1 : i + 1]
            line[i] = (recent.max() + recent.min()) / 2
        return line

    def entries(self, series: Series) -> base.Entries:
        candles = np.flatnonzero(series.close > self.line(series))
        entry = series.close[candles]
        return base.sound_entries(
            series, self.warmup, candles, direction=np.ones(len(candles), np.int8), target=entry * 1.1, stop=entry * 0.9
        )

    def explain(self, series: Series, i: int) -> tuple[str, dict[str, float]]:
        return "The close is above its mean.", {"close": float(series.close[i])}


class Peeking(Mean):
    """Compares with the next close, as a shift in the wrong direction does."""

    def line(self, series: Series) -> Floats:
        return np.append(series.close[1:], np.nan)


class Centred(Mean):
    """Smooths with a window that reaches two candles ahead."""

    def line(self, series: Series) -> Floats:
        return np.convolve(series.close, np.ones(5) / 5, mode="same")


class WholeHistory(Mean):
    """Normalises with figures of the whole series, those of later candles among them."""

    def line(self, series: Series) -> Floats:
        return np.full(len(series), np.nanmedian(series.close))


class SinceTheBeginning(Mean):
    """The mean of everything so far: it never forgets."""

    def line(self, series: Series) -> Floats:
        return np.cumsum(np.nan_to_num(series.close)) / np.arange(1, len(series) + 1)


class RunningSum(Mean):
    """A moving mean as the difference of two sums: the same but for the last bits, which remember the beginning."""

    def line(self, series: Series) -> Floats:
        sums = np.cumsum(np.nan_to_num(series.close))
        return np.concatenate([np.full(WARMUP, np.nan), (sums[WARMUP:] - sums[:-WARMUP]) / WARMUP])[: len(series)]

    def entries(self, series: Series) -> base.Entries:
        line, candles = self.line(series), np.arange(WARMUP, len(series))
        entry, ones = series.close[candles], np.ones(len(candles), np.int8)
        return base.sound_entries(
            series, WARMUP, candles, direction=ones, target=entry + line[candles], stop=entry - line[candles] / 2
        )


class Recursive(Mean):
    """TA-Lib's EMA, whose memory is infinite."""

    def line(self, series: Series) -> Floats:
        return np.asarray(talib.EMA(series.close, 5), np.float64)


class ShortWarmup(Mean):
    """Says that it needs one candle less than it reads."""

    warmup = WARMUP - 1


class Mutating(Mean):
    """Repairs the series in place, for everybody."""

    def entries(self, series: Series) -> base.Entries:
        np.nan_to_num(series.close, copy=False, nan=1.0)
        return super().entries(series)


class Forgetful(Mean):
    """Speaks only while it was not asked before: its answer depends on itself."""

    asked = 0

    def line(self, series: Series) -> Floats:
        self.asked += 1
        return super().line(series) * self.asked


class OwnDecision(Mean):
    """Decides live by another rule than in a backtest."""

    def decide(self, series: Series) -> base.Decision | None:
        return super().decide(series) if series.close[-1] > series.open[-1] else None


class UpsideDown(Mean):
    """Builds its answer by hand and has target and stop exchanged."""

    def entries(self, series: Series) -> base.Entries:
        said = super().entries(series)
        return base.Entries(said.direction, said.stop, said.target)


class Unchecked(Mean):
    """Builds its answer by hand, so that gaps and broken figures make entries too."""

    def entries(self, series: Series) -> base.Entries:
        long = series.close > self.line(series)
        where = [np.where(long, series.close * factor, np.nan) for factor in (1.1, 0.9)]
        return base.Entries(long.astype(np.int8), *where)


def later(strategy: base.Strategy, series: Series) -> None:
    promises.sees_no_later_candle(strategy, series, len(series) // 2)


def live(strategy: base.Strategy, series: Series) -> None:
    promises.says_live_what_the_backtest_says(strategy, series, range(len(series)))


ALONE, MEMORY, LEVELS = (
    promises.leaves_the_series_alone,
    promises.remembers_its_warmup_only,
    promises.gives_sound_levels,
)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("kind", "promise"),
    [
        (Peeking, later),
        (Peeking, live),
        (Centred, later),
        (WholeHistory, later),
        (SinceTheBeginning, MEMORY),
        (RunningSum, MEMORY),
        (RunningSum, live),
        (Recursive, MEMORY),
        (Recursive, live),
        (ShortWarmup, MEMORY),
        (ShortWarmup, live),
        (Mutating, ALONE),
        (Forgetful, ALONE),
        (OwnDecision, live),
        (UpsideDown, LEVELS),
        (Unchecked, LEVELS),
        (Unchecked, live),
    ],
)
def test_who_breaks_a_promise_is_caught(kind: type[Mean], promise: promises.Check, seed: int) -> None:
    with pytest.raises(AssertionError):
        promise(kind(promises.NoParams()), markets.walk(seed, WARMUP))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_who_keeps_them_is_not(seed: int) -> None:
    series = markets.walk(seed, WARMUP)
    promises.keeps_all(Mean(promises.NoParams()), series)
    assert Mean(promises.NoParams()).entries(series).direction.any()


def model(**fields: object) -> type[base.Strategy]:
    """An honest strategy with a param declared like this."""
    made = pydantic.create_model("Made", __base__=promises.NoParams, **fields)  # type: ignore[call-overload]
    return type("Declared", (Mean,), {"Params": made})


def param(**said: object) -> Callable[[], tuple[type, object]]:
    return lambda: (int, pydantic.Field(**said))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        (param(default=5, ge=1, le=9), "has no description"),
        (param(default=5, ge=1, description="Candles."), "has no bounds"),
        (param(default=5, le=9, description="Candles."), "has no bounds"),
        (param(default=50, ge=1, le=9, description="Candles."), "less than or equal to 9"),
    ],
)
def test_params_that_are_badly_declared_are_caught(declared: Callable[[], object], fault: str) -> None:
    with pytest.raises((AssertionError, pydantic.ValidationError), match=fault):
        promises.declares_its_params(model(window=declared()))
    promises.declares_its_params(model(window=param(default=5, ge=1, le=9, description="Candles.")()))
