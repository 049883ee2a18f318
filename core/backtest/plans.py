"""A strategy's entries as plans on the market's ticks, all at once: what `publish.draft` does to a single decision.

Prices are counted in whole ticks, so rounding is exact; only a price that lies on the edge between two ticks, as far
as floats can tell, is decided in decimals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core import catalogue
from core.columns import Level
from core.market import ticks
from core.market.series import Series
from core.signals import publish
from core.strategies import base

Floats = NDArray[np.float64]

_PARTS = 10_000  # `at` of an exit has four decimals
_MOST = 2.0**48  # so many, times _PARTS, still fit into 63 bits
_NEAR = 2.0**-50  # of the count of ticks: more than two roundings and a number's shortest spelling can shift it


@dataclass(frozen=True, slots=True, eq=False)
class Plans:
    """What would be published, in the order of the candles: arrays of one length m, `levels` and `moves` of m by L.

    Prices are the nearest floats to the exact prices on ticks. `moves` is where the stop goes when a level is reached,
    NaN where it stays.
    """

    candle: NDArray[np.intp]
    """The index of the deciding candle."""
    long: NDArray[np.bool_]
    entry: Floats
    stop: Floats
    levels: Floats
    moves: Floats

    def __len__(self) -> int:
        return len(self.candle)

    def only(self, rows: NDArray[Any]) -> Plans:
        """These plans, in this order."""
        columns = (self.candle, self.long, self.entry, self.stop, self.levels, self.moves)
        return Plans(*(column[rows] for column in columns))


def plans(
    series: Series, entries: base.Entries, parts: Sequence[catalogue.Exit], tick: Decimal, first: int = 0
) -> Plans:
    """The entries from candle `first` on that can be published: those whose levels stay in order on ticks."""
    candle = np.flatnonzero(entries.direction[first:]) + first
    candle = candle[np.isfinite(entries.target[candle]) & np.isfinite(entries.stop[candle])]
    long = entries.direction[candle] > 0
    prices = (series.close[candle], entries.target[candle], entries.stop[candle])
    grid = Grid(tick)
    if any(grid.is_beyond(column) for column in prices):
        entry, stop, levels, moves, sound = _one_by_one(long, prices, parts, tick)
    else:
        entry_at, target_at, stop_at = (grid.nearest(column) for column in prices)
        levels_at, moves_at = _ladder(entry_at, target_at, parts)
        sound = _is_sound(long, entry_at, stop_at, levels_at)
        entry, stop, levels, moves = (grid.price(column) for column in (entry_at, stop_at, levels_at, moves_at))
    found = Plans(candle, long, entry, stop, levels, moves)
    return found if sound.all() else found.only(np.flatnonzero(sound))


class Grid:
    """A market's ticks as a fraction of whole numbers."""

    def __init__(self, tick: Decimal) -> None:
        self._tick = tick
        _, _, exponent = tick.normalize().as_tuple()
        decimals = max(0, -int(exponent))
        self._scale, self._numerator = 10.0**decimals, float(tick.scaleb(decimals))

    def is_beyond(self, prices: Floats) -> bool:
        """Whether some price has too many ticks, or the tick too many decimals, for counting in floats."""
        most = float(np.abs(prices).max(initial=0.0)) * self._scale
        return not most < _MOST or self._scale > 1e22

    def nearest(self, prices: Floats) -> Floats:
        """How many ticks the nearest multiple is, as `ticks.nearest` rounds; whole numbers as floats."""
        count = prices * self._scale / self._numerator
        steps: Floats = np.rint(count)
        edge = np.abs(np.abs(count - np.floor(count)) - 0.5) <= _NEAR * np.abs(count)
        for i in np.flatnonzero(edge):
            steps[i] = float(ticks.nearest(float(prices[i]), self._tick) / self._tick)
        return steps

    def price(self, steps: Floats) -> Floats:
        """The floats nearest to these multiples of the tick; NaN stays."""
        # Both sides of the division are exact, so its result is correctly rounded.
        found: Floats = steps * self._numerator / self._scale
        return found


def _ladder(entry: Floats, target: Floats, parts: Sequence[catalogue.Exit]) -> tuple[Floats, Floats]:
    """Levels and moves in ticks, as `publish.ladder` makes them; each of len(entry) by the number of levels."""
    if not parts:
        return target[:, None], np.full((len(entry), 1), np.nan)
    start, way = entry.astype(np.int64), (target - entry).astype(np.int64)
    levels, moves, before = [], [], entry
    for part in parts:
        whole, rest = np.divmod(start * _PARTS + way * int(part.at * _PARTS), _PARTS)
        up = (2 * rest > _PARTS) | ((2 * rest == _PARTS) & (whole % 2 == 1))
        moves.append({"entry": entry, "previous": before, "": np.full(len(entry), np.nan)}[part.stop])
        before = (whole + up).astype(np.float64)
        levels.append(before)
    return np.stack(levels, 1), np.stack(moves, 1)


def _is_sound(long: NDArray[np.bool_], entry: Floats, stop: Floats, levels: Floats) -> NDArray[np.bool_]:
    """As `publish.sound` says, for all at once."""
    prices = np.column_stack([stop, entry, levels])
    rising = np.where(long[:, None], np.diff(prices, axis=1), -np.diff(prices, axis=1))
    sound: NDArray[np.bool_] = (rising > 0).all(axis=1) & (prices.min(axis=1, initial=np.inf) > 0)
    return sound


def _one_by_one(
    long: NDArray[np.bool_], prices: tuple[Floats, Floats, Floats], parts: Sequence[catalogue.Exit], tick: Decimal
) -> tuple[Floats, Floats, Floats, Floats, NDArray[np.bool_]]:
    """The same in decimals, for prices with more digits than a float counts."""
    entries, stops, levels, moves, sound = [], [], [], [], []
    for is_long, *row in zip(long.tolist(), *(column.tolist() for column in prices), strict=True):
        entry, target, stop = (ticks.nearest(price, tick) for price in row)
        ladder = publish.ladder(parts, entry, target, tick)
        sound.append(publish.sound(long=is_long, entry=entry, stop=stop, levels=ladder))
        entries.append(float(entry))
        stops.append(float(stop))
        levels.append([float(level.price) for level in ladder])
        moves.append([np.nan if level.stop is None else float(level.stop) for level in ladder])
    shape = (len(entries), max(1, len(parts)))
    table = [np.array(column, np.float64).reshape(shape) for column in (levels, moves)]
    return np.array(entries), np.array(stops), table[0], table[1], np.array(sound, np.bool_)


def exact(
    series: Series, entries: base.Entries, candle: int, parts: Sequence[catalogue.Exit], tick: Decimal
) -> tuple[Decimal, Decimal, tuple[Level, ...]]:
    """Entry, stop and levels of the plan of this candle in decimals, as they would be published."""
    prices = (series.close[candle], entries.target[candle], entries.stop[candle])
    entry, target, stop = (ticks.nearest(float(price), tick) for price in prices)
    return entry, stop, publish.ladder(parts, entry, target, tick)
