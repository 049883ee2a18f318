"""What every strategy promises, and the checks that hold it to its promise."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np
import pydantic
from numpy.typing import NDArray

from core.market.series import Series

_BREAKING = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class Direction(StrEnum):
    LONG = "long"
    SHORT = "short"


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """What a strategy says for every candle of a series: arrays of its length; without a direction prices are NaN."""

    direction: NDArray[np.int8]
    """+1 long, -1 short, 0 none."""
    target: NDArray[np.float64]
    stop: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Decision:
    """A strategy's word on the last closed candle: prices as the strategy computed them, not yet rounded to ticks."""

    direction: Direction
    entry: float
    """The close of the deciding candle."""
    target: float
    stop: float
    expires_after: int
    """Candles after the deciding one."""
    reason: str
    figures: dict[str, float]
    candle_open_time: int
    """Epoch milliseconds, UTC."""


class Strategy(ABC):
    """A rule with finite memory: what it says of a candle depends on the last `warmup` candles only.

    Live and backtest therefore agree bit for bit. A plug-in is one module of this package, or of the operator's own
    directory, with one such class; `tests/core/strategies/test_every_strategy.py` holds it to the promise.
    """

    name: ClassVar[str]
    Params: ClassVar[type[pydantic.BaseModel]]
    """Frozen, refuses unknown fields; every field has a default, bounds and a description."""

    def __init__(self, params: pydantic.BaseModel) -> None:
        self.params = params

    @property
    @abstractmethod
    def warmup(self) -> int:
        """How many last candles, the deciding one included, the word on a candle may depend on."""

    @property
    @abstractmethod
    def expires_after(self) -> int:
        """After how many candles without target or stop a signal ends."""

    @abstractmethod
    def entries(self, series: Series) -> Entries:
        """What the strategy says for every candle of a history; build the answer with `sound_entries`."""

    @abstractmethod
    def explain(self, series: Series, i: int) -> tuple[str, dict[str, float]]:
        """One short sentence with figures for candle `i`, and these figures by name."""

    def decide(self, series: Series) -> Decision | None:
        """The decision for the last candle, or None.

        None also when the series is shorter than `warmup`, or when the last `warmup` candles have a gap or a figure
        that is not finite, or when target or stop would be on the wrong side of the entry.
        """
        recent = series.tail(self.warmup)
        if len(recent) < self.warmup or len(_broken(recent)) or len(_spacing_changes(recent)):
            return None
        said = self.entries(recent)
        if not _is_sound(said.direction[-1:], recent.close[-1:], said.target[-1:], said.stop[-1:]).all():
            return None
        reason, explained = self.explain(recent, len(recent) - 1)
        figures = {str(name): float(figure) for name, figure in explained.items()}  # NumPy's own kinds are no JSON
        if not all(math.isfinite(figure) for figure in figures.values()):
            return None
        return Decision(
            direction=Direction.LONG if said.direction[-1] > 0 else Direction.SHORT,
            entry=float(recent.close[-1]),
            target=float(said.target[-1]),
            stop=float(said.stop[-1]),
            expires_after=self.expires_after,
            reason=one_line(reason),
            figures=figures,
            candle_open_time=int(recent.open_time[-1]),
        )


def sound_entries(
    series: Series,
    warmup: int,
    candles: NDArray[np.intp],
    *,
    direction: NDArray[np.int8],
    target: NDArray[np.float64],
    stop: NDArray[np.float64],
) -> Entries:
    """Entries at the indices `candles`, without those that `Strategy.decide` would refuse.

    `direction`, `target` and `stop` have one element for each of `candles`.
    """
    entry = series.close[candles]
    sound = _is_sound(direction, entry, target, stop) & _has_sound_window(series, warmup, candles)
    kept = candles[sound]
    entries = Entries(
        direction=np.zeros(len(series), np.int8),
        target=np.full(len(series), np.nan),
        stop=np.full(len(series), np.nan),
    )
    entries.direction[kept] = direction[sound]
    entries.target[kept] = target[sound]
    entries.stop[kept] = stop[sound]
    return entries


def number(value: float, movement: float) -> str:
    """`value` as people write it, with as many decimals as show two digits of the market's usual `movement`.

    At least two decimals; thousands apart by a narrow no-break space: 27 412.10, or 0.00001234 for a small coin.
    """
    if abs(value) >= 1e15:
        return f"{value:.6g}"
    digits = 1 - math.floor(math.log10(movement)) if movement > 0 and math.isfinite(movement) else 2
    return f"{value:,.{min(max(digits, 2), 15)}f}".replace(",", "\u202f")


def one_line(text: str) -> str:
    """The text on one line, without what no chat shows and no database keeps, such as NUL and half characters."""
    return _BREAKING.sub(" ", text).strip(" ")


def _has_sound_window(series: Series, warmup: int, candles: NDArray[np.intp]) -> NDArray[np.bool_]:
    """For each of `candles` whether the `warmup` candles up to it exist, are finite and evenly spaced."""
    first = candles - warmup + 1
    sound: NDArray[np.bool_] = first >= 0
    sound &= _counted(_broken(series), first, candles) == 0
    # A change of spacing takes three candles, so only one at the third candle or later lies inside the window.
    sound &= _counted(_spacing_changes(series), first + 2, candles) == 0
    return sound


def _counted(places: NDArray[np.intp], first: NDArray[np.intp], last: NDArray[np.intp]) -> NDArray[np.intp]:
    """How many of the sorted `places` lie between each `first` and `last`, both included."""
    return np.searchsorted(places, last, side="right") - np.searchsorted(places, first, side="left")


def _broken(series: Series) -> NDArray[np.intp]:
    """Indices of candles with a price or volume that is NaN or infinite."""
    finite = np.isfinite(series.volume)
    for prices in series.prices:
        finite &= np.isfinite(prices)
    return np.flatnonzero(~finite)


def _spacing_changes(series: Series) -> NDArray[np.intp]:
    """Indices of candles that are not as far from the one before as that one from its own: the edges of gaps."""
    spacing = np.diff(series.open_time)
    return np.flatnonzero(spacing[1:] != spacing[:-1]) + 2


def _is_sound(
    direction: NDArray[np.int8], entry: NDArray[np.float64], target: NDArray[np.float64], stop: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Where all prices are positive and finite, with the entry strictly between stop and target, the right way up."""
    low, high = np.where(direction > 0, (stop, target), (target, stop))
    between: NDArray[np.bool_] = (low > 0) & (low < entry) & (entry < high) & (high < np.inf)
    between &= direction != 0
    return between
