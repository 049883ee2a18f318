"""The figures of a summary, by hand on few trades, and what holds for any."""

import itertools
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as draws

from core.backtest import engine, figures
from core.market.candles import series as as_series
from tests.core.backtest import dice
from tests.core.strategies import markets

RESULTS = draws.lists(draws.integers(-300, 500).map(lambda cents: cents / 100), max_size=80).map(np.array)


def _outcome(market: dice.Jumps, **params: Any) -> engine.Outcome:
    strategy = dice.Dice(dice.DiceParams.model_validate(params))
    return engine.run(as_series(market.candles()), engine.Rules(strategy, "1h", market.tick))


def test_the_figures_of_a_few_trades_by_hand() -> None:
    r = np.array([1.0, -1.0, -1.0, 2.0])
    equity = figures.sized(r)
    assert equity.tolist() == pytest.approx([1, 1.01, 0.9999, 0.989901, 1.00969902])
    assert figures.deepest_fall(np.cumsum(r)) == 2
    assert figures.deepest_fall_share(equity) == pytest.approx(1 - 0.99**2)
    assert figures.profit_factor(r) == 1.5
    assert figures.longest_run(r < 0) == 2


def test_the_sharpe_ratio_is_that_of_the_changes_from_candle_to_candle() -> None:
    changes = np.zeros(100)
    changes[[10, 40, 70]] = 0.01, -0.01, 0.02
    mean, deviation = changes.mean(), changes.std(ddof=1)
    expected = mean / deviation * math.sqrt(365 * 24)
    assert figures.sharpe(figures.sized(np.array([1.0, -1.0, 2.0])), 100, "1h") == round(expected, 2)


@given(r=RESULTS)
@markets.PROPERTY
def test_what_holds_for_any_results(r: np.ndarray) -> None:
    path = np.concatenate(([0.0], np.cumsum(r)))
    fall = figures.deepest_fall(path)
    assert 0 <= fall <= -r[r < 0].sum() + 1e-9
    assert fall >= -path.min() - 1e-9
    equity = figures.sized(r)
    assert 0 <= figures.deepest_fall_share(equity) < 1
    assert figures.deepest_fall_share(figures.sized(np.sort(r)[::-1])) <= 1 - np.prod(1 + 0.01 * r[r < 0]) + 1e-12
    assert figures.longest_run(r < 0) <= (r < 0).sum()
    factor = figures.profit_factor(r)
    assert (factor is None) == (not (r < 0).any())
    # More than 1 means that more was gained than lost.
    assert factor is None or abs(r.sum()) < 0.05 or (factor > 1) == (r.sum() > 0) or factor == 1


@given(losing=draws.lists(draws.booleans(), max_size=60))
@markets.PROPERTY
def test_the_longest_run_is_the_longest_of_all_runs(losing: list[bool]) -> None:
    words = "".join("x" if lost else " " for lost in losing).split()
    assert figures.longest_run(np.array(losing, np.bool_)) == max(map(len, words), default=0)


@given(market=dice.jumps(), seed=draws.integers(0, 99))
@markets.PROPERTY
def test_a_summary_adds_up(market: dice.Jumps, seed: int) -> None:
    outcome = _outcome(market, seed=seed)
    one = figures.summary(outcome)
    assert one.target + one.stopped + one.expired == one.trades == len(outcome)
    assert one.wins + one.losses <= one.trades
    assert one.total_r == round(sum(float(trade.r or 0) for trade in outcome.trades()), 2)
    assert 0 <= one.exposure <= 100
    points = figures.equity_points(outcome)
    assert points[0][1] == 0
    assert points[-1][1] == one.total_r
    assert all(before[0] < after[0] for before, after in itertools.pairwise(points))
    assert len(points) <= figures.POINTS
    assert all(math.isfinite(value) for value in asdict(one).values() if isinstance(value, float))


def test_a_share_of_wins_is_not_told_of_a_few() -> None:
    few, many = (_outcome(dice.Jumps(seed=2, hours=hours), often=2) for hours in (30, 300))
    assert 0 < len(few) < 30 <= len(many)
    assert figures.summary(few).win_rate is None
    assert figures.summary(many).win_rate == round(100 * float((many.r > 0).mean()), 1)


def test_nothing_traded_has_no_figures_to_boast_of() -> None:
    one = figures.summary(_outcome(dice.Jumps(seed=1), often=10**9))
    assert (one.trades, one.total_r, one.drawdown_r, one.exposure, one.losing_run) == (0, 0, 0, 0, 0)
    assert {one.win_rate, one.expectancy_r, one.profit_factor, one.best_r, one.sharpe, one.holding_hours} == {None}


def test_a_long_history_has_a_curve_of_few_points() -> None:
    outcome = _outcome(dice.Jumps(seed=4, hours=4000, gaps=0.0), often=1, expires_after=1)
    assert len(outcome) > figures.POINTS
    points = figures.equity_points(outcome)
    assert len(points) == figures.POINTS
    assert points[-1][1] == figures.summary(outcome).total_r
