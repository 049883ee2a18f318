"""The rules of the walk, each on a market of a few candles."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as draws

from core import catalogue
from core.backtest import engine, merged
from core.market.candles import Candle
from core.market.series import Series
from core.models import SignalStatus
from core.signals import exits
from core.strategies import base
from tests.bench.backtest import Given
from tests.core.backtest import dice
from tests.core.strategies import markets

HOUR = dice.HOUR
NO_COSTS = catalogue.Costs(fee_percent=Decimal(0), slippage_percent=Decimal(0))
TICK = Decimal("0.01")
Shape = tuple[float, float, float, float]

FLAT: Shape = (100, 101, 99, 100)


def _series(shapes: Sequence[Shape], missing: Sequence[int] = ()) -> Series:
    rows = [(dice.START + at * HOUR, *shape, 1.0) for at, shape in enumerate(shapes) if at not in missing]
    return Series.from_rows(rows)


def _run(
    shapes: Sequence[Shape],
    *entries: tuple[int, int],
    exits: tuple[catalogue.Exit, ...] = (),
    expires_after: int = 100,
    missing: Sequence[int] = (),
    **options: object,
) -> engine.Outcome:
    """Entries (candle, direction) with a target of 110 and a stop of 90, or the other way round."""
    series = _series(shapes, missing)
    said = base.Entries(np.zeros(len(series), np.int8), np.full(len(series), np.nan), np.full(len(series), np.nan))
    for at, direction in entries:
        said.direction[at], said.target[at], said.stop[at] = direction, 100 + 10 * direction, 100 - 10 * direction
    rules = engine.Rules(Given(said, expires_after=expires_after), "1h", TICK, exits, NO_COSTS)
    return engine.run(series, rules, **options)  # type: ignore[arg-type]


def _ends(outcome: engine.Outcome) -> list[tuple[str, float, str]]:
    return [
        (str(trade.status), float(trade.exits[-1].price), str(trade.r)) for trade in outcome.trades() if trade.exits
    ]


def test_a_position_is_filled_at_the_open_of_the_next_candle() -> None:
    (trade,) = _run([FLAT, (102, 111, 101, 110)], (0, 1)).trades()
    assert (trade.entry, trade.filled, trade.filled_at) == (Decimal("100.00"), Decimal(102), dice.START + HOUR)
    assert (trade.status, trade.r, trade.percent) == (SignalStatus.TARGET, Decimal("0.80"), Decimal("7.84"))


@pytest.mark.parametrize(
    ("shape", "end"),
    [
        ((100, 110, 99, 105), ("target", 110.0, "1.00")),
        ((100, 105, 90, 91), ("stopped", 90.0, "-1.00")),
        ((100, 115, 85, 100), ("stopped", 90.0, "-1.00")),
        ((115, 116, 112, 113), ("target", 115.0, "0.00")),
        ((85, 86, 84, 85), ("stopped", 85.0, "0.00")),
    ],
    ids=["target", "stop", "both: the stop", "opens beyond the target", "opens beyond the stop"],
)
def test_the_first_candle_may_end_it(shape: Shape, end: tuple[str, float, str]) -> None:
    assert _ends(_run([FLAT, shape, FLAT], (0, 1))) == [end]


def test_a_gap_over_a_level_fills_at_the_open() -> None:
    assert _ends(_run([FLAT, FLAT, (112, 113, 111, 112)], (0, 1))) == [("target", 112.0, "1.20")]
    assert _ends(_run([FLAT, FLAT, (112, 113, 111, 112)], (0, -1))) == [("stopped", 112.0, "-1.20")]


def test_it_expires_at_a_close_by_time_whatever_candles_are_missing() -> None:
    shapes = [FLAT] * 3 + [(100, 102, 99, 101.5)] + [FLAT] * 6
    assert _ends(_run(shapes, (0, 1), expires_after=3)) == [("expired", 101.5, "0.15")]
    late = [FLAT] * 5 + [(100, 103, 99, 102.5)] + [FLAT] * 4
    outcome = _run(late, (0, 1), expires_after=3, missing=(2, 3, 4))
    assert _ends(outcome) == [("expired", 102.5, "0.25")]
    assert outcome.trades()[0].exits[-1].candle == dice.START + 5 * HOUR


def test_targets_take_shares_out_and_a_moved_stop_counts_from_the_next_candle() -> None:
    ladder = (
        catalogue.Exit(at=Decimal("0.5"), share=Decimal("0.5"), stop="entry"),
        catalogue.Exit(at=Decimal(1), share=Decimal("0.5")),
    )
    both = (102, 106, 99, 105)  # reaches 105, and the entry again in the same candle
    (trade,) = _run([FLAT, FLAT, both, (102, 103, 100, 101)], (0, 1), exits=ladder).trades()
    assert [(change.event, change.price, change.share) for change in trade.exits] == [
        ("target1", Decimal("105.00"), Decimal("0.5")),
        ("stopped", Decimal("100.00"), Decimal("0.5")),
    ]
    assert trade.exits[1].candle == dice.START + 3 * HOUR
    assert trade.r == Decimal("0.25")
    (trade,) = _run([FLAT, (100, 111, 99, 110), FLAT], (0, 1), exits=ladder).trades()
    assert [change.event for change in trade.exits] == ["target1", "target"]


def test_the_candle_that_closes_a_position_may_open_the_next_and_none_opens_before() -> None:
    shapes = [FLAT, FLAT, (100, 110, 99, 100), FLAT, (100, 101, 90, 95), FLAT]
    outcome = _run(shapes, (0, 1), (1, 1), (2, 1), (3, -1))
    assert outcome.decided.tolist() == [0, 2]
    assert outcome.ended.tolist() == [2, 4]


def test_what_is_open_at_the_end_is_told_and_not_counted() -> None:
    outcome = _run([FLAT, FLAT, FLAT], (0, 1), (1, 1))
    assert len(outcome) == 0
    (trade,) = outcome.trades()
    assert (trade.status, trade.filled, trade.r, trade.percent) == (SignalStatus.OPEN, Decimal(100), None, None)
    (trade,) = _run([FLAT], (0, 1)).trades()
    assert (trade.filled, trade.filled_at) == (None, None)


def test_candles_before_the_beginning_only_warm_up() -> None:
    shapes = [FLAT, (100, 110, 99, 100), FLAT, (100, 110, 99, 100)]
    assert _run(shapes, (0, 1), (2, 1), since=dice.START + HOUR).decided.tolist() == [2]
    assert len(_run(shapes, (0, 1), since=dice.START + 9 * HOUR).trades()) == 0


@pytest.mark.parametrize(("first", "end"), [("target", "target"), ("stop", "stopped")])
def test_finer_candles_decide_which_level_came_first(first: str, end: str) -> None:
    up, down = (100, 112, 99, 101), (101, 102, 88, 100)
    order = (up, down) if first == "target" else (down, up)
    begins = dice.START + HOUR

    def finer(open_time: int) -> list[Candle]:
        assert open_time == begins
        return [Candle(begins + at * HOUR // 2, *map(Decimal, shape), Decimal(1)) for at, shape in enumerate(order)]

    shapes = [FLAT, (100, 112, 88, 100), FLAT]
    assert _ends(_run(shapes, (0, 1), finer=finer))[0][0] == end
    blind = _run(shapes, (0, 1), finer=lambda _: [])
    assert _ends(blind)[0][0] == "stopped"
    assert blind.unclear == {begins}


def test_costs_are_taken_at_both_sides() -> None:
    series = _series([FLAT, (100, 110, 99, 110)])
    said = base.Entries(np.array([1, 0], np.int8), np.array([110, np.nan]), np.array([90, np.nan]))
    costs = catalogue.Costs(fee_percent=Decimal("0.1"), slippage_percent=Decimal("0.05"))
    (trade,) = engine.run(series, engine.Rules(Given(said), "1h", TICK, (), costs)).trades()
    assert trade.percent == Decimal("9.68")  # 10 less 0.15 % of 100 and of 110


@given(market=dice.jumps(), seed=draws.integers(0, 99), ladder=draws.sampled_from(dice.LADDERS))
@markets.PROPERTY
def test_arrays_and_listed_trades_agree(market: dice.Jumps, seed: int, ladder: tuple[catalogue.Exit, ...]) -> None:
    series = engine.Series.from_rows([(row[0], *map(float, row[1:])) for row in market.candles()])
    rules = engine.Rules(dice.Dice(dice.DiceParams(seed=seed)), "1h", market.tick, ladder)
    outcome = engine.run(series, rules)
    closed = [trade for trade in outcome.trades() if trade.result]
    assert [float(trade.r or 0) for trade in closed] == outcome.r.tolist()
    assert [float(trade.percent or 0) for trade in closed] == outcome.percent.tolist()
    assert (outcome.decided[1:] >= outcome.ended[:-1]).all()
    assert all(sum(change.share for change in trade.exits) == 1 for trade in closed)


@given(market=dice.jumps(), start=draws.integers(0, 50), low=draws.floats(-0.2, 0.2), long=draws.booleans())
@markets.PROPERTY
def test_merged_candles_find_the_first_that_touches(market: dice.Jumps, start: int, low: float, long: bool) -> None:
    series = engine.Series.from_rows([(row[0], *map(float, row[1:])) for row in market.candles()])
    stop, target = market.price * (1 - low), market.price * (1.1 + low)
    kinds = exits.touched(long, stop, target, series.open, series.high, series.low)
    touched = [at for at in np.flatnonzero(kinds).tolist() if at >= start]
    found = merged.Merged(series).first(np.array([start]), np.array([long]), np.array([stop]), np.array([target]))
    assert found.tolist() == [touched[0] if touched else len(series)]


class _Broken(dice.Dice):
    def entries(self, series: Series) -> base.Entries:
        raise ZeroDivisionError("nothing to divide by")


class _Short(dice.Dice):
    def entries(self, series: Series) -> base.Entries:
        return super().entries(series.head(3))


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (_Broken, "The strategy dice failed: ZeroDivisionError."),
        (_Short, "The strategy dice must say something for every candle it is given."),
    ],
)
def test_a_strategy_that_fails_is_named(kind: type[dice.Dice], sentence: str) -> None:
    rules = engine.Rules(kind(dice.DiceParams()), "1h", TICK)
    with pytest.raises(engine.StrategyFailedError) as failed:
        engine.run(_series([FLAT] * 9), rules)
    assert str(failed.value) == sentence


def test_prices_that_are_none_open_nothing() -> None:
    series = _series([FLAT] * 4)
    prices = np.array([110.0, np.inf, np.nan, -np.inf])
    said = base.Entries(np.array([0, 1, 1, -1], np.int8), prices, np.full(4, 90.0))
    assert engine.run(series, engine.Rules(Given(said), "1h", TICK)).trades() == []


def test_an_empty_history_brings_nothing() -> None:
    empty = Series.from_rows([])
    outcome = engine.run(empty, engine.Rules(dice.Dice(dice.DiceParams()), "1h", TICK))
    assert (len(outcome), outcome.trades(), outcome.r.tolist()) == (0, [], [])
