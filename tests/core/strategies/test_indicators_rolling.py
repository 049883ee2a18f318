"""Exponential means, extremes and the RSI: by hand, against exact arithmetic and TA-Lib, and with finite memory."""

import fractions
import math
import time
from collections.abc import Callable

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as draws
from numpy.typing import NDArray

from core.strategies import indicators
from tests.core.strategies import markets

Floats = NDArray[np.float64]
Indicator = Callable[[Floats, int], Floats]

# Each with how many values it reads for a window of n.
EVERY: list[tuple[Indicator, Callable[[int], int]]] = [
    (indicators.rolling_mean, lambda n: n),
    (indicators.exponential_mean, indicators.exponential_window),
    (indicators.rolling_max, lambda n: n),
    (indicators.rolling_min, lambda n: n),
    (indicators.relative_strength_index, lambda n: n + 1),
]
each = pytest.mark.parametrize(("indicator", "reads"), EVERY, ids=[one.__name__ for one, _ in EVERY])


def test_an_exponential_mean_by_hand() -> None:
    # Span 3: each value weighs half as much as the next; over 12 values the weights sum to 2 - 2 ** -11.
    values = np.zeros(13)
    values[[11, 12]] = 2.0, 4.0
    mean = indicators.exponential_mean(values, 3)
    assert np.isnan(mean[:11]).all()
    assert mean[11] == pytest.approx(2 / (2 - 2**-11), rel=1e-15)
    assert mean[12] == pytest.approx((4 + 2 / 2) / (2 - 2**-11), rel=1e-15)


@pytest.mark.parametrize("span", [2, 3, 9, 12, 26, 100])
def test_an_exponential_mean_agrees_with_exact_arithmetic(span: int) -> None:
    window = indicators.exponential_window(span)
    values = 1e6 + np.random.default_rng(span).normal(0, 1, window + 5)
    mean = indicators.exponential_mean(values, span)
    keep = fractions.Fraction(span - 1, span + 1)
    weights = [keep**age for age in range(window)]
    for i in range(window - 1, len(values)):
        newest_first = [fractions.Fraction(float(value)) for value in values[i - window + 1 : i + 1]][::-1]
        exact = sum(map(lambda weight, value: weight * value, weights, newest_first)) / sum(weights)
        assert mean[i] == pytest.approx(float(exact), rel=1e-15, abs=0)


def test_the_weight_that_an_exponential_mean_leaves_out_is_what_its_docstring_says() -> None:
    left_out = [((span - 1) / (span + 1)) ** indicators.exponential_window(span) for span in range(2, 5001)]
    assert max(left_out) < math.exp(-8) < 0.00034


def test_an_exponential_mean_is_close_to_ta_libs_endless_one() -> None:
    values = np.exp(np.cumsum(np.random.default_rng(11).normal(0, 0.01, 3_000)))
    for span in (12, 26, 100):
        ours, endless = indicators.exponential_mean(values, span)[1_000:], talib.EMA(values, span)[1_000:]
        # What is left out weighs less than 0.034 %, and lies no further from the mean than the prices range.
        assert np.max(np.abs(ours - endless)) < 0.00034 * np.ptp(values)


@pytest.mark.parametrize("price", [1e-12, 0.1, 27_412.1, 1e300])
@pytest.mark.parametrize("span", [2, 9, 26, 101])
def test_the_exponential_mean_of_equal_prices_is_exactly_the_price(price: float, span: int) -> None:
    mean = indicators.exponential_mean(np.full(500, price), span)
    assert set(mean[indicators.exponential_window(span) - 1 :]) == {price}


@pytest.mark.parametrize("window", [1, 2, 3, 7, 8, 20, 63])
def test_extremes_agree_with_looking_at_each_window(window: int) -> None:
    values = np.random.default_rng(window).normal(0, 1, 200)
    most, least = indicators.rolling_max(values, window), indicators.rolling_min(values, window)
    for i in range(200):
        recent = values[max(0, i - window + 1) : i + 1]
        expected = (recent.max(), recent.min()) if i >= window - 1 else (np.nan, np.nan)
        np.testing.assert_array_equal((most[i], least[i]), expected)


def test_extremes_of_a_window_with_a_missing_figure_are_missing() -> None:
    values = np.array([1.0, 2.0, np.nan, 4.0, 5.0, 3.0])
    np.testing.assert_array_equal(indicators.rolling_max(values, 2), [np.nan, 2, np.nan, np.nan, 5, 5])


def test_the_rsi_by_hand() -> None:
    # Changes +3, -1, 0, +2: of the first three gains 3 and losses 1, of the last three gains 2 and losses 1.
    index = indicators.relative_strength_index(np.array([10.0, 13.0, 12.0, 12.0, 14.0]), 3)
    assert np.isnan(index[:3]).all()
    assert index[3:].tolist() == pytest.approx([75.0, 100 * 2 / 3], rel=1e-15)


def test_the_rsi_at_its_ends_and_where_nothing_moves() -> None:
    assert indicators.relative_strength_index(np.arange(1.0, 9.0), 4)[4:].tolist() == [100.0] * 4
    assert indicators.relative_strength_index(np.arange(9.0, 1.0, -1), 4)[4:].tolist() == [0.0] * 4
    assert indicators.relative_strength_index(np.full(9, 3.3), 4)[4:].tolist() == [50.0] * 5
    assert indicators.relative_strength_index(np.array([]), 4).tolist() == []


def test_the_rsi_is_wilders_formula_with_simple_means() -> None:
    close = np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.01, 400)))
    change = np.diff(close)
    gain, loss = talib.SMA(np.maximum(change, 0), 14), talib.SMA(np.maximum(-change, 0), 14)
    np.testing.assert_allclose(
        indicators.relative_strength_index(close, 14)[1:], 100 - 100 / (1 + gain / loss), rtol=1e-9
    )


@each
@given(market=markets.markets(), window=draws.integers(2, 40), cut=draws.integers(0, 299))
@markets.PROPERTY
def test_values_do_not_depend_on_what_lies_before_the_window(
    indicator: Indicator, reads: Callable[[int], int], market: markets.Market, window: int, cut: int
) -> None:
    close, first = market.series().close, reads(window) - 1
    whole, recent = indicator(close, window), indicator(close[cut:], window)
    assert whole[cut + first :].tobytes() == recent[first:].tobytes()
    assert np.isnan(whole[:first]).all()
    strange = close.copy()
    strange[:cut] = np.nan
    assert indicator(strange, window)[cut + first :].tobytes() == recent[first:].tobytes()


@each
def test_blocks_leave_no_trace(indicator: Indicator, reads: Callable[[int], int]) -> None:
    values = np.random.default_rng(5).normal(100, 1, 3 * 8192 + 11)
    whole, first = indicator(values, 26), reads(26) - 1
    for start in (1, 4_000, 8_190, 16_384):
        assert whole[start + first :].tobytes() == indicator(values[start:], 26)[first:].tobytes()


@each
def test_a_million_candles_take_a_fraction_of_a_second(indicator: Indicator, reads: object) -> None:
    values = np.random.default_rng(2).normal(100, 1, 1_000_000)
    start = time.process_time()
    indicator(values, 48)
    assert time.process_time() - start < 1.0  # about 0.03 s; the bound only tells a slip into quadratic cost
