from collections.abc import Sequence

import pytest

from core import strategies
from core.strategies import base
from tests.core.strategies.markets import HOUR, START, candles

SMALL = {"window": 3, "stop_window": 2, "reward_risk": 1.5}


def directions(closes: Sequence[float], **params: object) -> list[int]:
    made = strategies.create("donchian_breakout", {**SMALL, **params})
    found: list[int] = made.entries(candles(*closes)).direction.tolist()
    return found


def test_a_close_above_the_channel_enters_long_at_hand_computed_prices() -> None:
    # Highs of the three candles before: 11.5, 11.5, 11.5. Lows of the last two: 9.5 and 9.5; risk 13 - 9.5 = 3.5.
    decision = strategies.create("donchian_breakout", SMALL).decide(candles(10, 11, 10, 11, 10, 13))
    assert decision is not None
    assert (decision.direction, decision.entry, decision.target, decision.stop) == ("long", 13.0, 18.25, 9.5)
    assert decision.candle_open_time == START + 5 * HOUR
    assert decision.reason == (
        "Close 13.00 broke above 11.50, the 3-candle high; the stop 9.50 is the other end of the last 2 candles."
    )
    assert decision.figures == {"close": 13.0, "highest": 11.5, "lowest": 9.5}


def test_a_close_below_the_channel_enters_short_at_mirrored_prices() -> None:
    decision = strategies.create("donchian_breakout", SMALL).decide(candles(10, 11, 10, 11, 10, 8))
    assert decision is not None
    # The stop is the highest high of the last two candles, 11.5; risk 3.5.
    assert (decision.direction, decision.target, decision.stop) == (base.Direction.SHORT, 2.75, 11.5)
    assert "broke below 9.50, the 3-candle low" in decision.reason


def test_a_close_at_the_edge_is_inside() -> None:
    assert directions([10, 11, 10, 11, 10, 11.5])[-1] == 0
    assert directions([10, 11, 10, 11, 10, 11.51])[-1] == 1


def test_only_the_candle_that_breaks_out_enters() -> None:
    assert directions([10, 11, 10, 11, 10, 13, 15, 17]) == [0, 0, 0, 0, 0, 1, 0, 0]


def test_the_candle_itself_is_no_part_of_its_channel() -> None:
    closes = [10, 11, 10, 11, 10, 13]
    assert directions(closes, window=1)[-1] == 1
    assert directions(closes, window=4)[-1] == 1


def test_short_entries_can_be_switched_off() -> None:
    closes = [10, 11, 10, 11, 10, 8]
    assert directions(closes)[-1] == -1
    assert directions(closes, allow_short=False)[-1] == 0


def test_a_target_below_zero_makes_no_entry() -> None:
    assert directions([10, 11, 10, 11, 10, 8], reward_risk=3.0)[-1] == 0


@pytest.mark.parametrize(("params", "warmup"), [({}, 50), ({"window": 5, "stop_window": 30}, 30), (SMALL, 5)])
def test_warmup_is_the_channel_of_the_candle_before_or_the_stops(params: dict[str, object], warmup: int) -> None:
    assert strategies.create("donchian_breakout", params).warmup == warmup
