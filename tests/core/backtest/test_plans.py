"""Plans on ticks are what `publish.draft` makes of each decision."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as draws

from core import catalogue
from core.backtest import plans
from core.market import candles, ticks
from core.signals import publish
from tests.core.backtest import dice
from tests.core.strategies import markets

TICKS = draws.sampled_from(["0.01", "0.00000001", "1", "0.25", "0.5", "10", "0.0005", "0.000000000001"])


@given(tick=TICKS.map(Decimal), steps=draws.lists(draws.integers(1, 10**9), max_size=20), share=draws.floats(0, 1))
@markets.PROPERTY
def test_prices_are_rounded_as_decimals_are(tick: Decimal, steps: list[int], share: float) -> None:
    between = [float(step * tick) + share * float(tick) for step in steps]
    halves = [float((step + Decimal("0.5")) * tick) for step in steps]
    prices = np.array(between + halves, np.float64)
    grid = plans.Grid(tick)
    assume(not grid.is_beyond(prices))
    rounded = grid.price(grid.nearest(prices)).tolist()
    assert rounded == [float(ticks.nearest(price, tick)) for price in prices.tolist()]


@given(market=dice.jumps(), ladder=draws.sampled_from(dice.LADDERS), reach=draws.sampled_from([0.0001, 0.004, 0.1]))
@markets.PROPERTY
def test_plans_are_the_drafts_of_the_same_decisions(
    market: dice.Jumps, ladder: tuple[catalogue.Exit, ...], reach: float
) -> None:
    series = candles.series(market.candles())
    strategy = dice.Dice(dice.DiceParams(often=2, reach=reach))
    watch = catalogue.Watch(symbol="BTC/USDT", strategy="dice", exits=ladder)
    drafts = []
    for at in range(len(series)):
        decision = strategy.decide(series.head(at + 1))
        if decision and (draft := publish.draft(watch, decision, market.tick)):
            drafts.append((at, draft))
    said = strategy.entries(series)
    found = plans.plans(series, said, ladder, market.tick)
    assert found.candle.tolist() == [at for at, _ in drafts]
    for row, (at, draft) in enumerate(drafts):
        assert (found.long[row], found.entry[row], found.stop[row]) == (
            draft.long,
            float(draft.entry),
            float(draft.stop),
        )
        assert found.levels[row].tolist() == [float(level.price) for level in draft.levels]
        moves = [None if np.isnan(move) else move for move in found.moves[row].tolist()]
        assert moves == [None if level.stop is None else float(level.stop) for level in draft.levels]
        assert plans.exact(series, said, at, ladder, market.tick) == (draft.entry, draft.stop, draft.levels)


@pytest.mark.parametrize("ladder", dice.LADDERS, ids=len)
def test_prices_with_more_digits_than_a_float_counts_are_planned_in_decimals(
    ladder: tuple[catalogue.Exit, ...],
) -> None:
    market = dice.Jumps(seed=5, price=5e8, tick=Decimal("0.00000001"))
    series = candles.series(market.candles())
    said = dice.Dice(dice.DiceParams()).entries(series)
    assert plans.Grid(market.tick).is_beyond(series.close)
    found = plans.plans(series, said, ladder, market.tick)
    assert len(found) > 5
    for row, at in enumerate(found.candle.tolist()):
        entry, stop, levels = plans.exact(series, said, at, ladder, market.tick)
        assert (found.entry[row], found.stop[row]) == (float(entry), float(stop))
        assert found.levels[row].tolist() == [float(level.price) for level in levels]


def test_nothing_is_planned_where_nothing_is_said() -> None:
    series = candles.series(dice.Jumps(seed=1).candles())
    said = dice.Dice(dice.DiceParams(often=10**9)).entries(series)
    assert len(plans.plans(series, said, dice.LADDERS[1], Decimal("0.01"))) == 0
    empty = candles.series([])
    assert len(plans.plans(empty, dice.Dice(dice.DiceParams()).entries(empty), (), Decimal("0.01"))) == 0
