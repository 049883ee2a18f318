"""Prices are exact and multiples of the tick."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.market import ticks

TICKS = st.sampled_from([Decimal(text) for text in ("0.00000001", "0.0001", "0.01", "0.05", "0.5", "1", "10")])
PRICES = st.floats(min_value=1e-6, max_value=1e7, allow_nan=False)


@given(PRICES, TICKS)
def test_c11_a_rounded_price_is_a_multiple_of_the_tick_with_its_decimals(price: float, tick: Decimal) -> None:
    for rounded in (ticks.nearest(price, tick), ticks.below(price, tick), ticks.above(price, tick)):
        assert rounded % tick == 0
        assert rounded.as_tuple().exponent == tick.as_tuple().exponent
    assert abs(ticks.nearest(price, tick) - ticks.exact(price)) <= tick / 2


@given(PRICES, TICKS.filter(lambda tick: tick >= Decimal("0.0001")))
def test_c11_a_target_is_never_hit_by_the_dust_of_a_float(price: float, tick: Decimal) -> None:
    target = ticks.nearest(price, tick)
    assert ticks.below(price, tick) <= ticks.exact(price) <= ticks.above(price, tick)
    assert ticks.nearest(float(target) * (1 + 1e-15), tick) == target
    assert ticks.nearest(target, tick) == target


def test_c11_a_sum_of_floats_prints_as_a_price() -> None:
    assert str(ticks.nearest(0.1 + 0.2, Decimal("0.01"))) == "0.30"
    assert str(ticks.nearest(16541.774999, Decimal("0.01"))) == "16541.77"
    assert str(ticks.nearest(26999.97, Decimal("0.5"))) == "27000.0"


@pytest.mark.parametrize(
    ("written", "kept"),
    [("16541.77000000", "16541.77"), ("100.0", "100"), (1e-08, "0.00000001"), (1e19, "1" + "0" * 19)],
)
def test_a_number_is_kept_as_it_is_written(written: object, kept: str) -> None:
    assert format(ticks.exact(written), "f") == kept


@pytest.mark.parametrize(
    "written", [None, "", "NaN", "Infinity", "-inf", "1,5", "<html>", float("nan"), [], True, "1e400", "1e-400"]
)
def test_what_is_no_finite_number_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="is no"):
        ticks.exact(written)
