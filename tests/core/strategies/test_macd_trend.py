from collections.abc import Sequence

import numpy as np
import pytest
import talib

from core import errors, strategies
from core.strategies import base, indicators
from tests.core.strategies import markets
from tests.core.strategies.markets import HOUR, START, candles

SMALL = {"fast": 2, "slow": 3, "signal": 2, "trend": 4, "atr_window": 2, "stop_atr": 1.0, "target_atr": 2.0}
# A rise that pauses and goes on: the MACD falls below its signal line and comes back while the close is above its mean.
PAUSED_RISE = [*range(100, 130), 130, 130, 130, 130, 135]


def directions(closes: Sequence[float], **params: object) -> list[int]:
    made = strategies.create("macd_trend", {**SMALL, **params})
    found: list[int] = made.entries(candles(*closes)).direction.tolist()
    return found


def test_a_rise_that_goes_on_enters_long() -> None:
    decision = strategies.create("macd_trend", SMALL).decide(candles(*PAUSED_RISE))
    assert decision is not None
    # The last two true ranges: 130.5 - 129.5 = 1 and 135.5 - 129.5 = 6; their mean 3.5.
    assert (decision.direction, decision.entry, decision.target, decision.stop) == ("long", 135.0, 142.0, 131.5)
    assert decision.candle_open_time == START + (len(PAUSED_RISE) - 1) * HOUR
    assert decision.reason.startswith("MACD 2/3 ")
    assert "crossed above its signal line" in decision.reason
    assert "the close 135.00 is above its 4-candle exponential mean" in decision.reason
    assert decision.reason.endswith("ATR 2 = 3.50.")
    assert decision.figures["macd"] > decision.figures["signal_line"]


def test_a_fall_that_goes_on_enters_short_at_mirrored_prices() -> None:
    decision = strategies.create("macd_trend", SMALL).decide(candles(*(300 - close for close in PAUSED_RISE)))
    assert decision is not None
    assert (decision.direction, decision.target, decision.stop) == (base.Direction.SHORT, 158.0, 168.5)
    assert "crossed below its signal line" in decision.reason


def test_the_figures_are_those_of_the_usual_macd() -> None:
    series = markets.Market(seed=4, length=3_000, scale=100.0, kind="walk").series()
    strategy = strategies.create("macd_trend", {})
    _, figures = strategy.explain(series, 2_999)
    endless = talib.EMA(series.close, 12) - talib.EMA(series.close, 26)
    spread = np.ptp(series.close[-300:])
    assert figures["macd"] == pytest.approx(endless[-1], abs=0.00068 * spread)
    assert figures["signal_line"] == pytest.approx(talib.EMA(endless[100:], 9)[-1], abs=0.00136 * spread)
    assert figures["trend"] == indicators.exponential_mean(series.close, 100)[-1]


def test_only_the_candle_that_crosses_enters() -> None:
    assert directions([*PAUSED_RISE, 141, 148]) == [0] * (len(PAUSED_RISE) - 1) + [1, 0, 0]


def test_a_crossing_against_the_trend_enters_nothing() -> None:
    bounce = [*range(200, 140, -1), 144]  # above the short mean, far below the long one
    assert directions(bounce, trend=2)[-1] == 1
    assert directions(bounce, trend=15)[-1] == 0


def test_short_entries_can_be_switched_off() -> None:
    closes = [300 - close for close in PAUSED_RISE]
    assert directions(closes)[-1] == -1
    assert directions(closes, allow_short=False)[-1] == 0


def test_a_market_that_stands_still_or_moves_evenly_enters_nothing() -> None:
    for step in (0.0, 0.1, 0.3, -0.1, -0.7):
        assert directions([100.0 + step * i for i in range(60)]) == [0] * 60


def test_fast_must_be_less_than_slow() -> None:
    with pytest.raises(errors.ConfigError, match=r"`fast` must be less than `slow`, and 26 is not less than 26"):
        strategies.create("macd_trend", {"fast": 26})


@pytest.mark.parametrize(
    ("params", "warmup"), [({}, 400), ({"trend": 2}, 140), ({"atr_window": 500}, 501), (SMALL, 20)]
)
def test_warmup_is_the_longest_chain_of_windows(params: dict[str, object], warmup: int) -> None:
    assert strategies.create("macd_trend", params).warmup == warmup
