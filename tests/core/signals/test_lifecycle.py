"""How a candle ends an open signal: the stop first, gaps at the open, both directions alike, expiry at the close."""

from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.market import candles
from core.models import Signal, SignalStatus
from core.signals import lifecycle

HOUR = 3_600_000
OPENED = 450_000 * HOUR
AXIS = Decimal(2000)
"""Prices are drawn below it, so that every market has a mirror image above."""


@dataclass(frozen=True)
class Bar:
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    def candle(self, number: int = 1) -> candles.Candle:
        """The candle that opens `number` hours after the deciding one."""
        return candles.Candle(OPENED + number * HOUR, self.open, self.high, self.low, self.close, Decimal(1))

    def mirrored(self) -> "Bar":
        return Bar(AXIS - self.open, AXIS - self.low, AXIS - self.high, AXIS - self.close)


def signal(stop: Decimal, target: Decimal, *, direction: str = "long", expires_after: int = 9) -> Signal:
    expires = OPENED + (expires_after + 1) * HOUR
    entry = (stop + target) / 2
    return Signal(direction=direction, entry=entry, stop=stop, target=target, timeframe="1h", expires=expires)


PRICES = st.integers(1, 100_000).map(lambda cents: Decimal(cents) / 100)
BARS = st.tuples(PRICES, PRICES, PRICES, PRICES).map(lambda four: Bar(four[0], max(four), min(four), four[3]))
LEVELS = st.lists(PRICES, min_size=2, max_size=2, unique=True).map(sorted)
AGES = st.integers(1, 12)


def bar(opened: str, high: str, low: str, close: str) -> Bar:
    return Bar(Decimal(opened), Decimal(high), Decimal(low), Decimal(close))


@pytest.mark.parametrize(
    ("seen", "status", "price"),
    [
        (bar("100", "104", "96", "101"), None, None),
        (bar("100", "110", "99", "105"), "target", "110"),
        (bar("100", "109.99", "95.01", "105"), None, None),
        (bar("100", "101", "95", "99"), "stopped", "95"),
        (bar("100", "112", "94", "99"), "stopped", "95"),  # nobody knows which came first: the worse one counts
        (bar("113", "114", "112", "112"), "target", "113"),  # a real order would have filled at the open
        (bar("93", "94", "92", "93"), "stopped", "93"),
        (bar("93", "112", "92", "111"), "stopped", "93"),
        (bar("113", "114", "94", "100"), "stopped", "95"),
    ],
)
def test_a_long_signal_ends_where_a_real_order_would_have_filled(
    seen: Bar, status: str | None, price: str | None
) -> None:
    end = lifecycle.step(signal(Decimal(95), Decimal(110)), seen.candle())
    assert (end and end.status.value) == status
    assert (end and end.price) == (Decimal(price) if price else None)
    assert end is None or end.candle == OPENED + HOUR


@given(LEVELS, BARS, AGES)
def test_a_stop_that_was_touched_always_counts_and_never_fills_better(
    levels: list[Decimal], seen: Bar, age: int
) -> None:
    stop, target = levels
    end = lifecycle.step(signal(stop, target), seen.candle(age))
    if seen.low <= stop:
        assert end is not None
        assert end.status is SignalStatus.STOPPED
        assert end.price == min(stop, seen.open)
    elif seen.high >= target:
        assert end is not None
        assert end.status is SignalStatus.TARGET
        assert end.price == max(target, seen.open)
    else:
        assert (end is not None) == (age >= 9)


@given(LEVELS, BARS, AGES)
def test_a_signal_ends_at_a_price_that_was_traded(levels: list[Decimal], seen: Bar, age: int) -> None:
    end = lifecycle.step(signal(*levels), seen.candle(age))
    assert end is None or seen.low <= end.price <= seen.high


@given(LEVELS, BARS, AGES)
def test_long_and_short_are_mirror_images(levels: list[Decimal], seen: Bar, age: int) -> None:
    stop, target = levels
    long = lifecycle.step(signal(stop, target), seen.candle(age))
    short = lifecycle.step(signal(AXIS - stop, AXIS - target, direction="short"), seen.mirrored().candle(age))
    assert (long and long.status) == (short and short.status)
    assert (long and AXIS - long.price) == (short and short.price)


@pytest.mark.parametrize("expires_after", [1, 2, 48])
def test_a_signal_expires_exactly_at_the_close_of_its_last_candle(expires_after: int) -> None:
    open_one = signal(Decimal(95), Decimal(110), expires_after=expires_after)
    quiet = bar("100", "101", "99", "100.5")
    ends = [lifecycle.step(open_one, quiet.candle(number)) for number in range(1, expires_after + 2)]
    assert ends[: expires_after - 1] == [None] * (expires_after - 1)
    last = ends[expires_after - 1]
    assert last == lifecycle.Close(SignalStatus.EXPIRED, Decimal("100.5"), OPENED + expires_after * HOUR)
    assert last.candle + HOUR == open_one.expires


def test_a_signal_whose_last_candle_never_came_expires_with_the_next_one() -> None:
    end = lifecycle.step(signal(Decimal(95), Decimal(110), expires_after=2), bar("100", "101", "99", "100").candle(7))
    assert end is not None
    assert (end.status, end.candle) == (SignalStatus.EXPIRED, OPENED + 7 * HOUR)


def test_on_its_last_candle_the_levels_still_count() -> None:
    open_one = signal(Decimal(95), Decimal(110), expires_after=1)
    for seen, status in [(bar("100", "111", "99", "105"), "target"), (bar("100", "101", "94", "99"), "stopped")]:
        end = lifecycle.step(open_one, seen.candle(1))
        assert end is not None
        assert end.status == status


@given(LEVELS, PRICES)
def test_c11_a_level_is_reached_to_the_last_digit_and_not_before(levels: list[Decimal], price: Decimal) -> None:
    hair = Decimal("0.000000001")
    stop, target = levels
    inside = Bar(price, target - hair, stop + hair, price)
    assert lifecycle.step(signal(stop, target), inside.candle()) is None
    assert lifecycle.step(signal(stop, target), Bar(price, target, stop + hair, price).candle()) is not None
    assert lifecycle.step(signal(stop, target), Bar(price, target - hair, stop, price).candle()) is not None
