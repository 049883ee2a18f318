from collections.abc import Sequence

import pytest

from core import strategies
from core.strategies import base
from tests.core.strategies.markets import HOUR, START, candles

SMALL = {"window": 3, "oversold": 30, "overbought": 70, "atr_window": 2, "stop_atr": 1.0, "target_atr": 2.0}


def directions(closes: Sequence[float], **params: object) -> list[int]:
    made = strategies.create("rsi_reversal", {**SMALL, **params})
    found: list[int] = made.entries(candles(*closes)).direction.tolist()
    return found


def test_an_rsi_that_comes_back_up_enters_long_at_hand_computed_prices() -> None:
    # Changes of the last three candles: -2, -2, +2, RSI 100 * 2 / 6; before: -2, -2, -2, RSI 0.
    # The last two true ranges: |16.5 - 13.5| = 3 and |16.5 - 13.5| = 3.
    decision = strategies.create("rsi_reversal", SMALL).decide(candles(20, 18, 16, 14, 16))
    assert decision is not None
    assert (decision.direction, decision.entry, decision.target, decision.stop) == ("long", 16.0, 22.0, 13.0)
    assert decision.candle_open_time == START + 4 * HOUR
    assert decision.reason == "RSI 3 rose from 0.0 to 33.3, back above 30, at the close 16.00; ATR 2 = 3.00."
    assert decision.figures == pytest.approx({"close": 16.0, "rsi": 100 / 3, "rsi_before": 0.0, "atr": 3.0})


def test_an_rsi_that_comes_back_down_enters_short_at_mirrored_prices() -> None:
    decision = strategies.create("rsi_reversal", SMALL).decide(candles(20, 22, 24, 26, 24))
    assert decision is not None
    assert (decision.direction, decision.target, decision.stop) == (base.Direction.SHORT, 18.0, 27.0)
    assert decision.reason.startswith("RSI 3 fell from 100.0 to 66.7, back below 70, at the close 24.00")


def test_only_the_candle_that_crosses_enters() -> None:
    assert directions([20, 18, 16, 14, 16, 17, 18]) == [0, 0, 0, 0, 1, 0, 0]


def test_an_rsi_that_stays_outside_enters_nothing() -> None:
    assert directions([20, 18, 16, 14, 12, 10]) == [0] * 6


def test_an_rsi_at_the_edge_has_not_turned_yet() -> None:
    assert directions([20, 18, 16, 14, 16], oversold=34)[-1] == 0
    assert directions([20, 18, 16, 14, 16], oversold=33)[-1] == 1


def test_a_jump_from_one_end_to_the_other_is_no_turn() -> None:
    # The fall of 60 leaves the window of two changes at once: RSI 0, then 100.
    closes = [20, 19, 18, 40, 41]
    assert directions(closes, window=2, oversold=30, overbought=95)[3:] == [1, 0]
    assert directions(closes, window=2, oversold=30, overbought=99)[3:] == [1, 0]


def test_short_entries_can_be_switched_off() -> None:
    closes = [20, 22, 24, 26, 24]
    assert directions(closes)[-1] == -1
    assert directions(closes, allow_short=False)[-1] == 0


def test_a_stop_below_zero_makes_no_entry() -> None:
    assert directions([20, 18, 16, 14, 16], stop_atr=6.0)[-1] == 0


@pytest.mark.parametrize(("params", "warmup"), [({}, 26), ({"window": 5, "atr_window": 30}, 31), (SMALL, 5)])
def test_warmup_is_the_longest_window_and_what_comes_before_it(params: dict[str, object], warmup: int) -> None:
    assert strategies.create("rsi_reversal", params).warmup == warmup
