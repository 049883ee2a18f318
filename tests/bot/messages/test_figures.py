from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from bot.messages import figures


@pytest.mark.parametrize(
    ("value", "tick", "shown"),
    [
        ("27412.1", "0.01", "27 412.10"),
        ("27412.1", "0.50", "27 412.1"),
        ("1234567", "10", "1 234 567"),
        ("0.00001234", "1E-8", "0.00001234"),
        ("12.5", "0.5", "12.5"),
    ],
)
def test_c11_prices_have_the_digits_of_their_tick(value: str, tick: str, shown: str) -> None:
    assert figures.price(Decimal(value), Decimal(tick)).replace("\u202f", " ") == shown


@pytest.mark.parametrize(("value", "shown"), [("1.776", "+1.78"), ("-1.1", "−1.10"), ("0.001", "0.00"), ("-0", "0.00")])
def test_figures_carry_their_sign(value: str, shown: str) -> None:
    assert figures.signed(Decimal(value)) == shown


def test_moments_are_said_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))

    assert figures.moment(datetime(2023, 3, 14, 19, 0, tzinfo=berlin)) == "14 Mar 2023, 18:00 UTC"
    assert figures.moment_of("2023-03-14T18:00:00+00:00") == figures.moment(datetime(2023, 3, 14, 18, tzinfo=UTC))
    assert figures.moment_of(None) == "further notice"


@pytest.mark.parametrize(("seconds", "shown"), [(40, "40 s"), (300, "5 min"), (7200, "2 h"), (200_000, "2 days")])
def test_ages_are_said_in_their_largest_unit(seconds: float, shown: str) -> None:
    assert figures.age(seconds) == shown


def test_things_are_counted() -> None:
    assert (figures.counted(1, "candle"), figures.counted(7, "candle")) == ("1 candle", "7 candles")
