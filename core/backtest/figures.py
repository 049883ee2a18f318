"""What a row of trades comes to in figures. Every result is after costs; R is the risk between entry and stop.

Expectancy is the mean R of a trade (Van Tharp, Trade Your Way to Financial Freedom, 1998); profit factor is all gains
over all losses in R; the Sharpe ratio is the one of Sharpe (The Sharpe Ratio, 1994) with a risk-free rate of nought.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.backtest import engine, walk
from core.market import timeframes
from core.signals import tally

Floats = NDArray[np.float64]

RISK = 0.01
"""The share of its equity that the stated sizing rule risks in each trade: a loss of 1 R costs 1 % of what is there."""
POINTS = 500
_YEAR_MS = 365 * 86_400_000


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures; those that say nothing yet are None.

    `win_rate` is in percent of all trades, None under 30 of them. `total_percent` adds the trades' percents up, with
    the same sum in each. `drawdown_r` is the deepest fall of the sum of R from its highest point before;
    `drawdown_percent` and `growth_percent` are of an equity that risks 1 % of itself in each trade. `sharpe` is the
    mean of that equity's changes from candle to candle (booked when a trade closes) over their standard deviation, by
    the square root of the candles in a year of 365 days. `exposure` is the share of candles with a position, percent.
    """

    trades: int
    long: int
    target: int
    stopped: int
    expired: int
    wins: int
    losses: int
    win_rate: float | None
    expectancy_r: float | None
    profit_factor: float | None
    total_r: float
    total_percent: float
    best_r: float | None
    worst_r: float | None
    drawdown_r: float
    drawdown_percent: float
    growth_percent: float
    sharpe: float | None
    exposure: float
    losing_run: int
    holding_hours: float | None
    unclear: int
    """Candles that touched stop and target with no finer candles to decide: the stop counted."""
    open: bool
    """Whether one more position is open at the end; it is counted nowhere."""


def summary(outcome: engine.Outcome) -> Summary:
    """The figures of everything that was closed."""
    r, count = outcome.r, len(outcome)
    state = outcome.walked.state[outcome.taken]
    equity = sized(r)
    return Summary(
        trades=count,
        long=int(outcome.walked.plans.long[outcome.taken].sum()),
        target=int((state == walk.State.TARGET).sum()),
        stopped=int((state == walk.State.STOPPED).sum()),
        expired=int((state == walk.State.EXPIRED).sum()),
        wins=int((r > 0).sum()),
        losses=int((r < 0).sum()),
        win_rate=round(100 * float((r > 0).mean()), 1) if count >= tally.ENOUGH else None,
        expectancy_r=round(float(r.mean()), 4) if count else None,
        profit_factor=profit_factor(r),
        total_r=round(float(r.sum()), 2) + 0.0,
        total_percent=round(float(outcome.percent.sum()), 2) + 0.0,
        best_r=float(r.max()) if count else None,
        worst_r=float(r.min()) if count else None,
        drawdown_r=round(deepest_fall(np.concatenate(([0.0], np.cumsum(r)))), 2),
        drawdown_percent=round(100 * deepest_fall_share(equity), 2),
        growth_percent=round(100 * (float(equity[-1]) - 1), 2) + 0.0,
        sharpe=sharpe(equity, len(outcome.series) - outcome.first, outcome.rules.timeframe),
        exposure=exposure(outcome),
        losing_run=longest_run(r < 0),
        holding_hours=_holding_hours(outcome),
        unclear=_unclear(outcome),
        open=outcome.running is not None,
    )


def sized(r: Floats) -> Floats:
    """The equity before the first and after each trade, 1 at the start, when each trade risks 1 % of it."""
    # A loss of more than everything there is ends at nothing.
    return np.concatenate(([1.0], np.cumprod(np.maximum(0.0, 1 + RISK * r))))


def deepest_fall(path: Floats) -> float:
    """The greatest difference between a point and a later one that is lower; 0 where none is."""
    return float((np.maximum.accumulate(path) - path).max(initial=0.0)) + 0.0


def deepest_fall_share(path: Floats) -> float:
    """The same as a share of the higher point; all points before a total loss are above nought."""
    highest = np.maximum.accumulate(path)
    return float(((highest - path) / highest).max(initial=0.0)) + 0.0


def profit_factor(r: Floats) -> float | None:
    """All gains over all losses; None without a loss."""
    lost = -float(r[r < 0].sum())
    return round(float(r[r > 0].sum()) / lost, 2) if lost else None


def sharpe(equity: Floats, candles: int, timeframe: str) -> float | None:
    """The annual Sharpe ratio of the equity's changes from candle to candle; None where it did not move or ended."""
    if len(equity) < 3 or candles < 2 or float(equity.min()) <= 0:
        return None
    changes = equity[1:] / equity[:-1] - 1
    mean = float(changes.sum()) / candles
    variance = (float((changes**2).sum()) - candles * mean**2) / (candles - 1)
    if variance <= 1e-18:
        return None
    return round(mean / math.sqrt(variance) * math.sqrt(_YEAR_MS / timeframes.ms(timeframe)), 2)


def exposure(outcome: engine.Outcome) -> float:
    """The share of candles in which a position was held, percent; the open one at the end is not counted."""
    candles = len(outcome.series) - outcome.first
    return round(100 * float((outcome.ended - outcome.decided).sum()) / candles, 2) if candles else 0.0


def longest_run(losing: NDArray[np.bool_]) -> int:
    """How many losses came one after the other at most."""
    ends = np.flatnonzero(np.diff(np.concatenate(([False], losing, [False]))))
    return int(np.diff(ends)[::2].max(initial=0))


def equity_points(outcome: engine.Outcome) -> list[list[float]]:
    """At most 500 points [epoch milliseconds, sum of R], from the first candle on, a point at the end of a trade."""
    if outcome.first >= len(outcome.series):
        return []
    times, length = outcome.series.open_time, timeframes.ms(outcome.rules.timeframe)
    at = np.concatenate(([times[outcome.first]], times[outcome.ended] + length))
    total = np.concatenate(([0.0], np.cumsum(outcome.r)))
    kept = np.linspace(0, len(at) - 1, min(len(at), POINTS)).round().astype(int)
    return [[int(at[i]), round(float(total[i]), 2) + 0.0] for i in kept]


def _holding_hours(outcome: engine.Outcome) -> float | None:
    if not len(outcome):
        return None
    times, length = outcome.series.open_time, timeframes.ms(outcome.rules.timeframe)
    held = times[outcome.ended] + length - times[outcome.decided + 1]
    return round(float(held.mean()) / 3_600_000, 2)


def _unclear(outcome: engine.Outcome) -> int:
    """How many closed trades were stopped in a candle that had touched a target as well, and nothing decided."""
    stopped = outcome.walked.state[outcome.taken] == walk.State.STOPPED
    ends = outcome.series.open_time[outcome.ended[stopped]].tolist()
    return len(outcome.unclear.intersection(ends))
