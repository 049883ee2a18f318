import dataclasses
from collections.abc import Sequence

import pytest

from core import errors, strategies
from core.strategies import base
from tests.core.strategies.markets import HOUR, START, candles

SMALL = {"window": 5, "threshold": 1.5, "atr_window": 2, "stop_atr": 1.0, "min_reward_risk": 0}


def directions(closes: Sequence[float], **params: object) -> list[int]:
    found: list[int] = (
        strategies.create("mean_reversion", {**SMALL, **params}).entries(candles(*closes)).direction.tolist()
    )
    return found


def test_a_fall_out_of_the_band_enters_long_at_hand_computed_prices() -> None:
    # The last five closes 11, 10, 11, 10, 3: mean 9, variance (4+1+4+1+36)/5 = 9.2, z = -6 / 3.0332 = -1.978.
    # The last two true ranges: 11.5 - 9.5 = 2, 10.5 - 2.5 = 8; their mean 5 is the distance of the stop.
    decision = strategies.create("mean_reversion", {**SMALL, "stop_atr": 0.5}).decide(candles(10, 11, 10, 11, 10, 3))
    assert decision is not None
    assert (decision.direction, decision.entry, decision.target, decision.stop) == ("long", 3.0, 9.0, 0.5)
    assert decision.candle_open_time == START + 5 * HOUR
    assert decision.reason == "Close 3.00 is 1.98 standard deviations below its 5-candle mean 9.00; ATR 2 = 5.00."
    assert decision.figures == pytest.approx(
        {"close": 3.0, "mean": 9.0, "deviation": 9.2**0.5, "z_score": -6 / 9.2**0.5, "atr": 5.0}
    )


def test_a_rise_out_of_the_band_enters_short_at_mirrored_prices() -> None:
    decision = strategies.create("mean_reversion", SMALL).decide(candles(10, 11, 10, 11, 10, 17.5))
    assert decision is not None
    # Mean (11+10+11+10+17.5)/5 = 11.9; true ranges 2 and 18 - 9.5 = 8.5, mean 5.25.
    assert (decision.direction, decision.stop) == (base.Direction.SHORT, 22.75)
    assert decision.target == pytest.approx(11.9)
    assert "1.97 standard deviations above" in decision.reason


def test_only_the_candle_that_crosses_enters() -> None:
    assert directions([30, 31, 30, 31, 30, 24, 20]) == [0, 0, 0, 0, 0, 1, 0]


def test_short_entries_can_be_switched_off() -> None:
    closes = [10, 11, 10, 11, 10, 17.5]
    assert directions(closes)[-1] == -1
    assert directions(closes, allow_short=False)[-1] == 0


def test_an_entry_must_promise_enough_for_its_risk() -> None:
    closes = [30, 31, 30, 31, 30, 23]  # mean 29, reward 6, average true range (2 + 8) / 2 = 5, ratio 1.2
    assert directions(closes, min_reward_risk=1.2)[-1] == 1
    assert directions(closes, min_reward_risk=1.21)[-1] == 0


def test_a_stop_below_zero_makes_no_entry() -> None:
    assert directions([10, 11, 10, 11, 10, 3])[-1] == 0


def test_a_market_that_stood_still_makes_no_entry() -> None:
    assert directions([30, 30, 30, 30, 30, 24]) == [0] * 6
    assert directions([30, 31, 30, 31, 30, 24])[-1] == 1


def test_warmup_is_the_longest_window_and_one() -> None:
    assert strategies.create("mean_reversion", {"window": 48, "atr_window": 14}).warmup == 49
    assert strategies.create("mean_reversion", {"window": 10, "atr_window": 20}).warmup == 21


def test_a_gap_inside_the_window_silences_both_ways() -> None:
    series = candles(30, 31, 30, 31, 30, 24)
    strategy = strategies.create("mean_reversion", SMALL)
    assert strategy.decide(series) is not None
    late = series.open_time.copy()
    late[3:] += HOUR
    gapped = dataclasses.replace(series, open_time=late)
    assert strategy.decide(gapped) is None
    assert not strategy.entries(gapped).direction.any()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"window": 1}, "param 'window' of strategy 'mean_reversion': Input should be greater than or equal to 2"),
        ({"windw": 20}, "param 'windw' of strategy 'mean_reversion': Extra inputs are not permitted"),
        ({"stop_atr": float("nan")}, "param 'stop_atr'"),
        ({"window": 5, "threshold": 2}, "no close is ever 2 deviations off the mean of 5 candles"),
    ],
)
def test_impossible_params_are_one_sentence_each(params: dict[str, object], words: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        strategies.create("mean_reversion", params)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(caught.value.faults) == 1


def test_an_unknown_strategy_is_answered_with_the_known_ones() -> None:
    with pytest.raises(errors.ConfigError, match=r"no strategy 'lucky'; known are .*mean_reversion"):
        strategies.create("lucky", {})
