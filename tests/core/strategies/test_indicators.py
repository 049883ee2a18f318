import fractions
import math
import time

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as draws

from core.strategies import indicators
from tests.core.strategies import markets


def test_mean_and_population_deviation_by_hand() -> None:
    mean, deviation = indicators.rolling_mean_and_deviation(np.array([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), 8)
    assert np.isnan(mean[:7]).all()
    assert np.isnan(deviation[:7]).all()
    assert (mean[7], deviation[7]) == (5.0, 2.0)


def test_mean_of_an_odd_window_by_hand() -> None:
    mean = indicators.rolling_mean(np.array([1.0, 2.0, 6.0, 4.0]), 3)
    assert np.isnan(mean[:2]).all()
    assert mean[2:].tolist() == [3.0, 4.0]


def test_average_true_range_by_hand_counts_the_previous_close() -> None:
    high, low = np.array([10.0, 12.0, 9.0, 8.0]), np.array([8.0, 11.0, 8.0, 5.0])
    close = np.array([9.0, 11.0, 8.5, 6.0])
    # |12 - 9| = 3 (gap up), |8 - 11| = 3 (gap down), |5 - 8.5| = 3.5
    assert indicators.true_range(high, low, close)[1:].tolist() == [3.0, 3.0, 3.5]
    average = indicators.average_true_range(high, low, close, 2)
    assert np.isnan(average[:2]).all()
    assert average[2:].tolist() == [3.0, 3.25]


@pytest.mark.parametrize("window", [1, 2, 3, 7, 14, 48, 64, 101])
@given(seed=draws.integers(0, 2**32), length=draws.integers(0, 150), level=draws.sampled_from([0.0, 1.0, 1e6, 1e9]))
@settings(markets.PROPERTY, max_examples=20)
def test_values_agree_with_exact_arithmetic(window: int, seed: int, length: int, level: float) -> None:
    values = level + np.random.default_rng(seed).normal(0, 1, length)
    mean, deviation = indicators.rolling_mean_and_deviation(values, window)
    alone = indicators.rolling_mean(values, window)
    for i in {window - 1, length // 2, length - 1} & set(range(window - 1, length)):
        exact = [fractions.Fraction(float(value)) for value in values[i - window + 1 : i + 1]]
        centre = sum(exact) / window
        squares = sum((value - centre) ** 2 for value in exact) / window
        assert mean[i] == pytest.approx(float(centre), rel=1e-14, abs=1e-14)
        assert alone[i] == pytest.approx(float(centre), rel=1e-14, abs=1e-14)
        # Re-centred: precise to the resolution of the values themselves, even at a level of a thousand million.
        assert deviation[i] == pytest.approx(math.sqrt(squares), rel=1e-12, abs=4e-16 * level)


@given(market=markets.markets(), window=draws.integers(1, 60), cut=draws.integers(0, 299))
@markets.PROPERTY
def test_values_do_not_depend_on_what_lies_before_the_window(market: markets.Market, window: int, cut: int) -> None:
    close = market.series().close
    whole, parts = indicators.rolling_mean_and_deviation(close, window), close[cut:]
    for line, recent in zip(whole, indicators.rolling_mean_and_deviation(parts, window), strict=True):
        assert line[cut + window - 1 :].tobytes() == recent[window - 1 :].tobytes()


def test_blocks_leave_no_trace() -> None:
    values = np.random.default_rng(5).normal(100, 1, 3 * 8192 + 11)
    whole = indicators.rolling_mean_and_deviation(values, 48)
    for start in (1, 4_000, 8_190, 16_384):
        part = indicators.rolling_mean_and_deviation(values[start:], 48)
        assert whole[0][start + 47 :].tobytes() == part[0][47:].tobytes()
        assert whole[1][start + 47 :].tobytes() == part[1][47:].tobytes()


@pytest.mark.parametrize("price", [1e-12, 0.1, 1.1, 27_412.1, 1e300])
@pytest.mark.parametrize("window", [2, 3, 7, 48, 101])
def test_equal_prices_deviate_by_exactly_nothing(price: float, window: int) -> None:
    mean, deviation = indicators.rolling_mean_and_deviation(np.full(150, price), window)
    assert set(mean[window - 1 :]) == {price}
    assert set(deviation[window - 1 :]) == {0.0}


def test_values_agree_with_ta_lib() -> None:
    values = np.exp(np.cumsum(np.random.default_rng(11).normal(0, 0.01, 2_000)))
    mean, deviation = indicators.rolling_mean_and_deviation(values, 48)
    np.testing.assert_allclose(mean, talib.SMA(values, 48), rtol=1e-10)
    np.testing.assert_allclose(deviation, talib.STDDEV(values, 48), rtol=1e-6)


def test_a_million_candles_take_a_fraction_of_a_second() -> None:
    values = np.random.default_rng(2).normal(100, 1, 1_000_000)
    start = time.process_time()
    indicators.rolling_mean_and_deviation(values, 48)
    assert time.process_time() - start < 1.0  # about 0.03 s; the bound only tells a slip into quadratic cost
