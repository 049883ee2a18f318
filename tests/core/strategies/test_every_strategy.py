"""What every strategy promises, whoever wrote it: found automatically, held to it on any market.

`SIGNALSTACK_STRATEGIES=my_strategies pytest tests/core/strategies/test_every_strategy.py` holds an operator's own too.
"""

import time

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as draws

from core import errors, strategies
from core.market.series import Series
from core.strategies import base
from tests.core.strategies import markets, promises

# `sound_entries` leaves out what broken figures overflow to; ours are silent about it, an operator's need not be.
LENIENT = pytest.mark.filterwarnings("ignore::RuntimeWarning")
EVERY = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=LENIENT if name in strategies._files else ()) for name in strategies.names()]
)


def draw_strategy(data: draws.DataObject, name: str) -> base.Strategy:
    kind = type(strategies.create(name, {}))
    try:
        return strategies.create(name, data.draw(markets.params(kind.Params), label="params"))
    except errors.ConfigError:
        assume(False)
        raise


@EVERY
@given(market=markets.markets(), data=draws.data())
@markets.PROPERTY
def test_finite_memory_is_exact(name: str, market: markets.Market, data: draws.DataObject) -> None:
    promises.remembers_its_warmup_only(draw_strategy(data, name), market.series(), market.seed)


@EVERY
@given(market=markets.markets(), data=draws.data())
@markets.PROPERTY
def test_live_decisions_agree_with_the_backtest(name: str, market: markets.Market, data: draws.DataObject) -> None:
    strategy, series = draw_strategy(data, name), market.series()
    promises.says_live_what_the_backtest_says(strategy, series, promises.telling(strategy.entries(series)))


@EVERY
@given(market=markets.markets(), data=draws.data())
@markets.PROPERTY
def test_future_candles_never_change_the_past(name: str, market: markets.Market, data: draws.DataObject) -> None:
    strategy, series = draw_strategy(data, name), market.series()
    known = data.draw(draws.integers(0, len(series)), label="known candles")
    promises.sees_no_later_candle(strategy, series, known, market.seed)


@EVERY
@given(market=markets.markets(), data=draws.data())
@markets.PROPERTY
def test_entries_are_whole_and_the_right_way_up(name: str, market: markets.Market, data: draws.DataObject) -> None:
    promises.gives_sound_levels(draw_strategy(data, name), market.series())


@EVERY
@given(market=markets.markets(), data=draws.data())
@markets.PROPERTY
def test_the_series_stays_as_it_is(name: str, market: markets.Market, data: draws.DataObject) -> None:
    promises.leaves_the_series_alone(draw_strategy(data, name), market.series())


@EVERY
@pytest.mark.parametrize("seed", [1, 2])
def test_every_promise_holds_at_every_candle_of_a_walk_with_gaps(name: str, seed: int) -> None:
    """With the params that operators use unless they say otherwise."""
    strategy = strategies.create(name, {})
    promises.keeps_all(strategy, markets.walk(seed, strategy.warmup))


@EVERY
def test_a_wild_market_makes_it_speak(name: str) -> None:
    """Without this the properties above could hold for a strategy that never says anything."""
    strategy = strategies.create(name, {})
    series = markets.Market(seed=7, length=5_000 + 2 * strategy.warmup, scale=100.0, kind="walk").series()
    entries = strategy.entries(series)
    assert set(entries.direction.tolist()) > {0}
    i = int(np.flatnonzero(entries.direction)[0])
    reason, figures = strategy.explain(series, i)
    assert reason.endswith(".")
    assert reason == reason.strip()
    assert len(reason) <= 200
    assert figures


@pytest.mark.parametrize("name", [name for name in strategies.names() if name not in strategies._files])
def test_a_million_candles_take_a_fraction_of_a_second(name: str) -> None:
    strategy = strategies.create(name, {})
    series = markets.Market(seed=9, length=1_000_000, scale=100.0, kind="walk").series()
    start = time.process_time()
    strategy.entries(series)
    assert time.process_time() - start < 2.0  # ours take less than 0.1 s; the bound only tells a loop over candles


@EVERY
def test_params_are_frozen_bounded_and_described(name: str) -> None:
    kind = type(strategies.create(name, {}))
    assert kind.name == name
    promises.declares_its_params(kind)


@EVERY
def test_an_empty_or_short_history_says_nothing(name: str) -> None:
    strategy = strategies.create(name, {})
    series = markets.Market(seed=3, length=strategy.warmup - 1, scale=1.0, kind="walk").series()
    assert strategy.decide(series) is None
    assert strategy.decide(Series.from_rows([])) is None
    assert not strategy.entries(series).direction.any()
