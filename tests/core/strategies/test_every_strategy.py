"""What every strategy promises, whoever wrote it: found automatically, held to it on any market."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as draws

from core import errors, strategies
from core.market.series import Series
from core.strategies import base
from tests.core.strategies import markets

EVERY = pytest.mark.parametrize("name", strategies.names())


def draw_strategy(data: draws.DataObject, name: str) -> base.Strategy:
    kind = type(strategies.create(name, {}))
    try:
        return strategies.create(name, data.draw(markets.params(kind.Params), label="params"))
    except errors.ConfigError:
        assume(False)
        raise


def said_of(entries: base.Entries, i: int) -> bytes:
    """What was said of candle `i`, bit for bit."""
    return b"".join(column[i].tobytes() for column in (entries.direction, entries.target, entries.stop))


def telling(entries: base.Entries) -> list[int]:
    """Candles worth a look: those with entries, and others evenly over the history."""
    n = len(entries.direction)
    return sorted({*np.flatnonzero(entries.direction)[:40].tolist(), *range(n - 1, -1, -7)})


@EVERY
@given(market=markets.markets(), data=draws.data())
@markets.PROPERTY
def test_finite_memory_is_exact(name: str, market: markets.Market, data: draws.DataObject) -> None:
    strategy, series = draw_strategy(data, name), market.series()
    whole = strategy.entries(series)
    for i in telling(whole):
        recent = strategy.entries(series.window(i + 1, strategy.warmup))
        assert said_of(recent, -1) == said_of(whole, i), i


@EVERY
@given(market=markets.markets(), data=draws.data())
@markets.PROPERTY
def test_live_decisions_agree_with_the_backtest(name: str, market: markets.Market, data: draws.DataObject) -> None:
    strategy, series = draw_strategy(data, name), market.series()
    whole = strategy.entries(series)
    for i in telling(whole):
        decision = strategy.decide(series.head(i + 1))
        if not whole.direction[i]:
            assert decision is None, i
            continue
        assert decision is not None, i
        assert decision.direction == (base.Direction.LONG if whole.direction[i] > 0 else base.Direction.SHORT)
        assert (decision.entry, decision.target, decision.stop) == (series.close[i], whole.target[i], whole.stop[i])
        assert decision.candle_open_time == series.open_time[i]
        assert decision.expires_after == strategy.expires_after
        assert (decision.reason, decision.figures) == strategy.explain(series, i)


@EVERY
@given(market=markets.markets(), data=draws.data())
@markets.PROPERTY
def test_future_candles_never_change_the_past(name: str, market: markets.Market, data: draws.DataObject) -> None:
    strategy, series = draw_strategy(data, name), market.series()
    known = data.draw(draws.integers(0, len(series)), label="known candles")
    before, after = strategy.entries(series.head(known)), strategy.entries(series)
    assert all(said_of(before, i) == said_of(after, i) for i in range(known))


@EVERY
@given(market=markets.markets(), data=draws.data())
@markets.PROPERTY
def test_entries_are_whole_and_the_right_way_up(name: str, market: markets.Market, data: draws.DataObject) -> None:
    strategy, series = draw_strategy(data, name), market.series()
    entries = strategy.entries(series)
    assert [column.dtype.char for column in (entries.direction, entries.target, entries.stop)] == ["b", "d", "d"]
    assert len(entries.direction) == len(entries.target) == len(entries.stop) == len(series)
    silent = entries.direction == 0
    assert np.isnan(entries.target[silent]).all()
    assert np.isnan(entries.stop[silent]).all()
    for i in np.flatnonzero(~silent):
        low, high = sorted([entries.target[i], entries.stop[i]])
        assert 0 < low < series.close[i] < high < np.inf
        assert (entries.target[i] > series.close[i]) == (entries.direction[i] > 0)
        window = series.window(int(i) + 1, strategy.warmup)
        assert len(window) == strategy.warmup
        assert len(set(np.diff(window.open_time))) <= 1, "a gap lies inside"
        assert all(np.isfinite(column).all() for column in (*window.prices, window.volume)), "a broken figure"


@EVERY
def test_a_wild_market_makes_it_speak(name: str) -> None:
    """Without this the properties above could hold for a strategy that never says anything."""
    strategy = strategies.create(name, {})
    series = markets.Market(seed=7, length=5_000, scale=100.0, kind="walk").series()
    entries = strategy.entries(series)
    directions = set(entries.direction.tolist())
    assert directions > {0}
    i = int(np.flatnonzero(entries.direction)[0])
    reason, figures = strategy.explain(series, i)
    assert reason.endswith(".")
    assert reason == reason.strip()
    assert len(reason) <= 200
    assert figures


@EVERY
def test_params_are_frozen_bounded_and_described(name: str) -> None:
    kind = type(strategies.create(name, {}))
    assert kind.name == name
    assert kind.Params.model_config.get("frozen")
    assert kind.Params.model_config.get("extra") == "forbid"
    for field, schema in kind.Params.model_json_schema()["properties"].items():
        assert schema.get("description"), field
        assert "default" in schema, field
        assert schema["type"] == "boolean" or {"minimum", "exclusiveMinimum", "enum"} & set(schema), field


@EVERY
def test_an_empty_or_short_history_says_nothing(name: str) -> None:
    strategy = strategies.create(name, {})
    series = markets.Market(seed=3, length=strategy.warmup - 1, scale=1.0, kind="walk").series()
    assert strategy.decide(series) is None
    assert strategy.decide(Series.from_rows([])) is None
    assert not strategy.entries(series).direction.any()
