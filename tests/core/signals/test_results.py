"""What a signal brought, exactly and with the right sign."""

from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.models import Signal
from core.signals import results


def signal(direction: str, entry: str, stop: str, target: str, close: str | None = None) -> Signal:
    prices = {"entry": Decimal(entry), "stop": Decimal(stop), "target": Decimal(target)}
    return Signal(id=7, direction=direction, close_price=None if close is None else Decimal(close), **prices)


@pytest.mark.parametrize(
    ("row", "percent", "r"),
    [
        (("long", "100", "95", "110", "110"), "10.00", "2.00"),
        (("long", "100", "95", "110", "95"), "-5.00", "-1.00"),
        (("long", "100", "95", "110", "93"), "-7.00", "-1.40"),
        (("short", "100", "105", "90", "90"), "10.00", "2.00"),
        (("short", "100", "105", "90", "105"), "-5.00", "-1.00"),
        (("short", "100", "105", "90", "100"), "0.00", "0.00"),
        (("long", "0.00001234", "0.00001200", "0.00001300", "0.00001235"), "0.08", "0.03"),
        (("long", "27412.10", "27000.00", "28000.00", "27600.01"), "0.69", "0.46"),
    ],
)
def test_gains_are_positive_and_losses_negative_in_both_directions(row: tuple[str, ...], percent: str, r: str) -> None:
    closed = signal(*row)
    assert str(results.percent(closed)) == percent
    assert str(results.r(closed)) == r


def test_an_open_signal_has_a_result_only_at_a_price() -> None:
    open_one = signal("long", "100", "95", "110")
    with pytest.raises(ValueError, match="Signal 7 is open"):
        results.percent(open_one)
    with pytest.raises(ValueError, match="Signal 7 is open"):
        results.r(open_one)
    assert str(results.percent(open_one, Decimal(101))) == "1.00"
    assert str(results.reward_risk(open_one)) == "2.00"
    assert str(results.reward_risk(signal("short", "100", "105", "90"))) == "2.00"


def test_a_price_that_is_given_goes_before_the_one_it_closed_at() -> None:
    assert str(results.percent(signal("long", "100", "95", "110", "110"), Decimal(90))) == "-10.00"


def test_c11_a_result_is_the_same_whatever_a_library_has_set_for_decimals() -> None:
    edge = results.Trade(True, *map(Decimal, ("100", "90", "100", "110")), Decimal("0.1"), Decimal("0.05"))
    with localcontext() as common:
        common.rounding, common.prec = ROUND_HALF_UP, 6
        said = edge.percent
    assert str(said) == "9.68"  # 9.685, half to even


CENTS = st.integers(1, 10_000_000)


@given(CENTS, CENTS, CENTS, st.integers(0, 8))
def test_c11_results_are_exact_to_half_a_hundredth_and_mirror_each_other(
    entry: int, close: int, risk: int, decimals: int
) -> None:
    unit = Decimal(1).scaleb(-decimals)
    long = Signal(direction="long", entry=entry * unit, stop=(entry - risk) * unit, close_price=close * unit)
    short = Signal(direction="short", entry=entry * unit, stop=(entry + risk) * unit, close_price=close * unit)
    exact = {"percent": Fraction(100 * (close - entry), entry), "r": Fraction(close - entry, risk)}
    for name, value in exact.items():
        said: Decimal = getattr(results, name)(long)
        assert abs(Fraction(said) - value) <= Fraction(1, 200)
        assert said.as_tuple().exponent == -2
        assert getattr(results, name)(short) == -said
    assert results.r(long, long.stop) == results.r(short, short.stop) == -1
