"""The backtest: what a strategy would have published over a history, and what became of it, as live decides it.

Entries come from the strategy at once, then the candles after each entry are walked until it ends, then one position
follows another: while one is open nothing new is published, and the candle that closes it may already open the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core import catalogue, errors
from core.backtest import plans, walk
from core.columns import Level
from core.market import ticks, timeframes
from core.market.series import Series
from core.models import SignalStatus
from core.signals import lifecycle, results
from core.strategies import base

Floats = NDArray[np.float64]

_BLOCK = 1 << 14
_ALL = Decimal(1)
_NEAR = 2.0**-46  # of the prices: more than the roundings on the way to a result


class StrategyFailedError(errors.SignalStackError):
    """A strategy raised an error, or its answer has the wrong shape; `detail` is for whoever wrote it."""

    def __init__(self, text: str, detail: str = "") -> None:
        super().__init__(text)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Rules:
    """What is tried: a strategy on candles of a timeframe, prices on `tick`, its exits and the assumed costs."""

    strategy: base.Strategy
    timeframe: str
    tick: Decimal
    exits: tuple[catalogue.Exit, ...] = ()
    costs: catalogue.Costs = field(default_factory=catalogue.Costs)

    @property
    def shares(self) -> tuple[Decimal, ...]:
        """What leaves at each level."""
        return tuple(part.share for part in self.exits) or (_ALL,)


@dataclass(frozen=True, slots=True)
class Trade:
    """One position from its decision to its end, exact; `status` is open for the one that the candles do not end.

    `candle` is the open time of the deciding candle and `filled_at` that of the next, epoch milliseconds; `exits` are
    what live notes of it. `filled` is None when its first candle is not there yet; `result` is None while it is open.
    """

    candle: int
    long: bool
    entry: Decimal
    stop: Decimal
    levels: tuple[Level, ...]
    filled_at: int | None
    filled: Decimal | None
    exits: tuple[lifecycle.Change, ...]
    status: SignalStatus
    result: results.Trade | None

    @property
    def percent(self) -> Decimal | None:
        """The gain in percent after costs."""
        return None if self.result is None else self.result.percent

    @property
    def r(self) -> Decimal | None:
        """The gain in R after costs."""
        return None if self.result is None else self.result.r


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of it: `taken` are the plans of the closed trades in order, `running` the one that is still open."""

    series: Series
    rules: Rules
    entries: base.Entries
    walked: walk.Walk
    taken: NDArray[np.intp]
    running: int | None
    first: int
    """The index of the first candle that may decide."""

    def __len__(self) -> int:
        return len(self.taken)

    @cached_property
    def decided(self) -> NDArray[np.intp]:
        """The index of each closed trade's deciding candle; it was filled at the open of the next."""
        return self.walked.plans.candle[self.taken]

    @cached_property
    def ended(self) -> NDArray[np.intp]:
        """The index of the candle in which each closed trade ended."""
        return self.walked.last(self.taken)

    @cached_property
    def filled(self) -> Floats:
        """The price at which each closed trade was filled."""
        found: Floats = self.series.open[self.decided + 1]
        return found

    @cached_property
    def left(self) -> Floats:
        """The average price of all exits of each closed trade."""
        shares = self._left_shares()
        prices = np.where(shares > 0, self.walked.price[self.taken], 0.0)
        found: Floats = (shares * prices).sum(axis=1)
        return found

    @cached_property
    def percent(self) -> Floats:
        """Each closed trade's result in percent, two decimals, equal to `Trade.percent`."""
        return self._rounded(self.filled, "percent")

    @cached_property
    def r(self) -> Floats:
        """Each closed trade's result in R, two decimals, equal to `Trade.r`."""
        plan = self.walked.plans
        return self._rounded(np.abs(plan.entry[self.taken] - plan.stop[self.taken]), "r")

    @property
    def unclear(self) -> frozenset[int]:
        """Open times of candles that touched stop and target where no finer candles decided; the stop counted."""
        return frozenset(self.walked.unclear)

    def _left_shares(self) -> Floats:
        """What left at each exit of each closed trade: the level's share, at the last one all the rest."""
        shares = np.array([float(share) for share in self.rules.shares])
        rest = np.array([float(_ALL - sum(self.rules.shares[:n], Decimal(0))) for n in range(len(shares))])
        reached = self.walked.reached[self.taken][:, None]
        column = np.arange(len(shares))
        return np.where(column < reached, shares, np.where(column == reached, rest, 0.0))

    def _rounded(self, measure: Floats, name: str) -> Floats:
        plan, costs = self.walked.plans, self.rules.costs
        share = float((costs.fee_percent + costs.slippage_percent) / 100)
        moved = np.where(plan.long[self.taken], self.left - self.filled, self.filled - self.left)
        hundredths = (moved - share * (self.filled + self.left)) / measure * 100
        if name == "percent":
            hundredths = hundredths * 100
        rounded = np.rint(hundredths)
        edge = np.abs(hundredths - np.floor(hundredths) - 0.5)
        scale = 10_000 if name == "percent" else 100
        doubtful = edge <= _NEAR * scale * (self.filled + self.left) / measure
        for i in np.flatnonzero(doubtful):  # decided as live does it
            rounded[i] = float(getattr(self.trade(int(self.taken[i])).result, name) * 100)
        found: Floats = rounded / 100
        return found + 0.0  # without the sign of a nought

    def trades(self) -> list[Trade]:
        """All closed trades, oldest first, and at the end the open one if there is one."""
        rows = [*self.taken.tolist(), *([] if self.running is None else [self.running])]
        return [self.trade(row) for row in rows]

    def trade(self, row: int) -> Trade:
        """The trade of one plan that was walked."""
        walked, times = self.walked, self.series.open_time
        at = int(walked.plans.candle[row])
        exits, tick = self.rules.exits, self.rules.tick
        entry, stop, levels = plans.exact(self.series, self.entries, at, exits, tick)
        there = at + 1 < len(times)
        filled = ticks.exact(float(self.series.open[at + 1])) if there else None
        status = walk.State(walked.state[row]).status
        long, changes = bool(walked.plans.long[row]), self._changes(row, stop, levels, status)
        result = None
        if status is not SignalStatus.OPEN and filled is not None:
            average = sum((change.share * change.price for change in changes), Decimal(0))
            costs = self.rules.costs
            result = results.Trade(long, entry, stop, filled, average, costs.fee_percent, costs.slippage_percent)
        filled_at = int(times[at + 1]) if there else None
        return Trade(int(times[at]), long, entry, stop, levels, filled_at, filled, changes, status, result)

    def _changes(
        self, row: int, stop: Decimal, levels: tuple[Level, ...], status: SignalStatus
    ) -> tuple[lifecycle.Change, ...]:
        walked, found = self.walked, []
        reached, left = int(walked.reached[row]), _ALL
        ends = status is not SignalStatus.OPEN
        for place in range(reached + (ends and reached < len(levels))):
            last = ends and place == min(reached, len(levels) - 1)
            level, price = levels[place], ticks.exact(float(walked.price[row, place]))
            share = left if last else level.share
            if not last and level.stop is not None:
                stop = level.stop
            event = str(status) if last else f"target{place + 1}"
            candle = int(self.series.open_time[walked.at[row, place]])
            found.append(lifecycle.Change(event, price, share, stop, candle))
            left -= share
        return tuple(found)


def run(series: Series, rules: Rules, *, since: int = 0, finer: walk.Finer | None = None) -> Outcome:
    """What the strategy brought on this history, by the rules of live; candles before `since` only warm up.

    `since` is an open time in epoch milliseconds. `finer` gives the shorter candles that make up one that touched both
    stop and target. Pure; the work grows with the candles and the entries, whatever the strategy says. Raises
    StrategyFailedError.
    """
    first = int(np.searchsorted(series.open_time, since))
    entries = _said(rules.strategy, series)
    found = plans.plans(series, entries, rules.exits, rules.tick, first)
    length = timeframes.ms(rules.timeframe)
    walked = walk.Walk(series, found, rules.shares, length, rules.strategy.expires_after, finer)
    taken, running = _follow(walked)
    return Outcome(series, rules, entries, walked, taken, running, first)


def _said(strategy: base.Strategy, series: Series) -> base.Entries:
    """What the strategy says; raises StrategyFailedError where it cannot."""
    try:
        entries = strategy.entries(series)
        lengths = {len(column) for column in (entries.direction, entries.target, entries.stop)}
    except Exception as error:  # whoever wrote the strategy: everybody reads a sentence
        said = f"The strategy {strategy.name} failed: {type(error).__name__}."
        raise StrategyFailedError(said, str(error)[:200]) from error
    if lengths != {len(series)}:
        raise StrategyFailedError(f"The strategy {strategy.name} must say something for every candle it is given.")
    return entries


def _follow(walked: walk.Walk) -> tuple[NDArray[np.intp], int | None]:
    """One position after the other: the plans that were free to open, and the one that is still open at the end."""
    candle, free = walked.plans.candle, 0
    taken: list[int] = []
    for start in range(0, len(candle), _BLOCK):
        stop = min(start + _BLOCK, len(candle))
        begin = max(start, int(np.searchsorted(candle, free)))
        if begin < stop:
            taken += _follow_block(walked, begin, stop)
            if walked.state[taken[-1]] == walk.State.OPEN:
                return np.array(taken[:-1], np.intp), taken[-1]
            free = int(walked.last(np.array(taken[-1:]))[0])
    return np.array(taken, np.intp), None


def _follow_block(walked: walk.Walk, begin: int, stop: int) -> list[int]:
    """The plans of this block that open, of which `begin` is the first; one that stays open is the last."""
    rows = np.arange(begin, stop)
    walked.settle(rows)
    # One that stays open leaves no room for another.
    ends = np.where(walked.state[rows] == walk.State.OPEN, len(walked.series), walked.last(rows))
    following = np.searchsorted(walked.plans.candle, ends).tolist()
    taken, row = [], begin
    while row < stop:
        taken.append(row)
        row = following[row - begin]
    return taken
