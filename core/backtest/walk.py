"""What later candles do to many planned positions at once: `lifecycle.step` for arrays, by the same rule of touches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from core.backtest.merged import Merged
from core.backtest.plans import Plans
from core.columns import Level
from core.market import candles, ticks
from core.market.series import Series
from core.models import SignalStatus
from core.signals import exits, lifecycle

Indices = NDArray[np.intp]
Finer = Callable[[int], Sequence[candles.Candle]]
"""The shorter candles that make up exactly the one that opened then, or none."""

_NEVER = 1 << 62


class State(IntEnum):
    UNKNOWN = 0
    OPEN = 1
    TARGET = 2
    STOPPED = 3
    EXPIRED = 4

    @property
    def status(self) -> SignalStatus:
        """The word that a signal has for it."""
        return SignalStatus[self.name]


@dataclass(eq=False)
class Walk:
    """What is known of each position; `expires_after` candles of `length` milliseconds after its deciding candle it
    ends, and `shares` leave at its levels.

    `state`, `reached` and `last` (index of the candle in which the rest left) have one element for each plan; `price`
    and `at` (index of the candle) have its exits in order, in as many columns as there are levels.
    """

    series: Series
    plans: Plans
    shares: Sequence[Decimal]
    length: int
    expires_after: int
    finer: Finer | None = None
    unclear: set[int] = field(default_factory=set)
    """Open times of candles that touched stop and target where no finer candles decided."""

    def __post_init__(self) -> None:
        count, times = len(self.plans), self.series.open_time
        self.state = np.zeros(count, np.int8)
        self.reached = np.zeros(count, np.int8)
        self.price = np.full((count, len(self.shares)), np.nan)
        self.at = np.zeros((count, len(self.shares)), np.intp)
        self.merged = Merged(self.series)
        self._next = self.plans.candle + 1
        self._stop = self.plans.stop.copy()
        # Time, not candles: a gap makes nothing live longer. Beyond the end of the series it has not expired yet.
        self._expiry = np.searchsorted(times, times[self.plans.candle] + self.expires_after * self.length)

    def last(self, rows: Indices) -> Indices:
        """The index of the candle in which each of these closed positions ended."""
        column = np.minimum(self.reached[rows], len(self.shares) - 1)
        found: Indices = self.at[rows, column]
        return found

    def settle(self, rows: Indices) -> None:
        """The state of each of these positions is known."""
        while len(rows):
            target = self.plans.levels[rows, self.reached[rows]]
            found = self.merged.first(self._next[rows], self.plans.long[rows], self._stop[rows], target)
            quiet = (found > self._expiry[rows]) | (found == len(self.series))
            self._end_quietly(rows[quiet])
            rows = self._hit(rows[~quiet], found[~quiet])

    def _kinds(self, rows: Indices, at: Indices) -> NDArray[np.int8]:
        """What these candles do to the stop and the next level."""
        series, target = self.series, self.plans.levels[rows, self.reached[rows]]
        prices = (series.open[at], series.high[at], series.low[at])
        return exits.touched(self.plans.long[rows], self._stop[rows], target, *prices)

    def _end_quietly(self, rows: Indices) -> None:
        """Positions that nothing touched any more: expired, or open where the candles end before that."""
        there = self._expiry[rows] < len(self.series)
        self.state[rows[~there]] = State.OPEN
        rows = rows[there]
        self._leave(rows, State.EXPIRED, self.series.close[self._expiry[rows]], self._expiry[rows])

    def _leave(self, rows: Indices, state: State, price: NDArray[np.float64], at: Indices) -> None:
        self.state[rows] = state
        self.price[rows, self.reached[rows]] = price
        self.at[rows, self.reached[rows]] = at

    def _hit(self, rows: Indices, at: Indices) -> Indices:
        """What these candles touch is carried out; gives back the positions that go on."""
        kind = self._kinds(rows, at)
        stopped = (kind == exits.STOP) | (kind == exits.STOP_AT_OPEN)
        decided = self._decided_closer(rows[stopped], at[stopped])
        going_on = rows[stopped][decided]
        stopped[np.flatnonzero(stopped)[decided]] = False
        self._stop_out(rows[stopped], at[stopped], kind[stopped])
        reach = (kind == exits.TARGET) | (kind == exits.TARGET_AT_OPEN)
        on = self._reach(rows[reach], at[reach], kind[reach])
        both = np.concatenate([going_on, on])
        return both[np.flatnonzero(self.state[both] == State.UNKNOWN)]

    def _stop_out(self, rows: Indices, at: Indices, kind: NDArray[np.int8]) -> None:
        price = np.where(kind == exits.STOP, self._stop[rows], self.series.open[at])
        self._leave(rows, State.STOPPED, price, at)

    def _reach(self, rows: Indices, at: Indices, kind: NDArray[np.int8]) -> Indices:
        """All levels that these candles touch are reached; a stop that moves counts from the next candle on."""
        everyone, moved = rows, self._stop[rows].copy()
        self._next[rows] = at + 1
        place = np.arange(len(rows))
        while len(rows):
            level = self.reached[rows]
            price = np.where(kind == exits.TARGET, self.plans.levels[rows, level], self.series.open[at])
            self.price[rows, level], self.at[rows, level] = price, at
            move = self.plans.moves[rows, level]
            moved[place] = np.where(np.isnan(move), moved[place], move)
            self.reached[rows] += 1
            done = self.reached[rows] == len(self.shares)
            self.state[rows[done]] = State.TARGET
            rows, at, place = rows[~done], at[~done], place[~done]
            kind = self._kinds(rows, at)
            more = kind != exits.NONE
            rows, at, place, kind = rows[more], at[more], place[more], kind[more]
        self._stop[everyone] = moved
        return everyone

    def _decided_closer(self, rows: Indices, at: Indices) -> NDArray[np.bool_]:
        """Which of these candles, that touched the stop, touched a target too and were decided by finer ones."""
        series, long = self.series, self.plans.long[rows]
        target = self.plans.levels[rows, self.reached[rows]]
        nowhere = np.where(long, -np.inf, np.inf)
        kinds = exits.touched(long, nowhere, target, series.open[at], series.high[at], series.low[at])
        both: NDArray[np.bool_] = kinds != exits.NONE
        for i in np.flatnonzero(both):
            both[i] = self._look_closer(int(rows[i]), int(at[i]))
        return both

    def _look_closer(self, row: int, at: int) -> bool:
        """Whether finer candles said what came first in this candle; they are followed like the live ones."""
        open_time = int(self.series.open_time[at])
        finer = self.finer(open_time) if self.finer else ()
        if not finer:
            self.unclear.add(open_time)
            return False
        after, changes = lifecycle.step(self._position(row), _candle(self.series, at), finer)
        for place, change in enumerate(changes, int(self.reached[row])):
            self.price[row, place], self.at[row, place] = float(change.price), at
        if after.closed:
            self.state[row] = State[changes[-1].event.upper()]
        self.reached[row], self._stop[row], self._next[row] = after.reached, float(after.stop), at + 1
        return True

    def _position(self, row: int) -> lifecycle.Position:
        plans, reached = self.plans, int(self.reached[row])
        levels = tuple(
            Level(ticks.exact(price), share, None if np.isnan(move) else ticks.exact(move))
            for price, share, move in zip(
                plans.levels[row].tolist(), self.shares, plans.moves[row].tolist(), strict=True
            )
        )
        return lifecycle.Position(
            long=bool(plans.long[row]),
            entry=ticks.exact(float(plans.entry[row])),
            stop=ticks.exact(float(self._stop[row])),
            levels=levels,
            expires=_NEVER,
            length=self.length,
            reached=reached,
            left=lifecycle.WHOLE - sum(self.shares[:reached], Decimal(0)),
        )


def _candle(series: Series, at: int) -> candles.Candle:
    prices = (ticks.exact(float(column[at])) for column in (*series.prices, series.volume))
    return candles.Candle(int(series.open_time[at]), *prices)
