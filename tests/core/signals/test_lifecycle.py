"""How candles end a position: the stop first, gaps at the open, both directions alike, parts, expiry at the close."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.columns import Level
from core.market import candles
from core.models import SignalStatus
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


def signal(stop: Decimal, target: Decimal, *, direction: str = "long", expires_after: int = 9) -> lifecycle.Position:
    return laddered(stop, Level(target, Decimal(1)), direction=direction, expires_after=expires_after)


def laddered(stop: Decimal, *levels: Level, direction: str = "long", expires_after: int = 9) -> lifecycle.Position:
    return lifecycle.Position(
        long=direction == "long",
        entry=(stop + levels[0].price) / 2,
        stop=stop,
        levels=levels,
        expires=OPENED + (expires_after + 1) * HOUR,
        length=HOUR,
    )


def end_of(position: lifecycle.Position, candle: candles.Candle) -> lifecycle.Change | None:
    """What this candle did to a position of one target."""
    after, changes = lifecycle.step(position, candle)
    assert after.closed == bool(changes)
    return changes[0] if changes else None


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
    end = end_of(signal(Decimal(95), Decimal(110)), seen.candle())
    assert (end and end.event) == status
    assert (end and end.price) == (Decimal(price) if price else None)
    assert end is None or end.candle == OPENED + HOUR


@given(LEVELS, BARS, AGES)
def test_a_stop_that_was_touched_always_counts_and_never_fills_better(
    levels: list[Decimal], seen: Bar, age: int
) -> None:
    stop, target = levels
    end = end_of(signal(stop, target), seen.candle(age))
    if seen.low <= stop:
        assert end is not None
        assert end.event == SignalStatus.STOPPED
        assert end.price == min(stop, seen.open)
    elif seen.high >= target:
        assert end is not None
        assert end.event == SignalStatus.TARGET
        assert end.price == max(target, seen.open)
    else:
        assert (end is not None) == (age >= 9)


@given(LEVELS, BARS, AGES)
def test_a_signal_ends_at_a_price_that_was_traded(levels: list[Decimal], seen: Bar, age: int) -> None:
    end = end_of(signal(*levels), seen.candle(age))
    assert end is None or seen.low <= end.price <= seen.high


@given(LEVELS, BARS, AGES)
def test_long_and_short_are_mirror_images(levels: list[Decimal], seen: Bar, age: int) -> None:
    stop, target = levels
    long = end_of(signal(stop, target), seen.candle(age))
    short = end_of(signal(AXIS - stop, AXIS - target, direction="short"), seen.mirrored().candle(age))
    assert (long and long.event) == (short and short.event)
    assert (long and AXIS - long.price) == (short and short.price)


@pytest.mark.parametrize("expires_after", [1, 2, 48])
def test_a_signal_expires_exactly_at_the_close_of_its_last_candle(expires_after: int) -> None:
    open_one = signal(Decimal(95), Decimal(110), expires_after=expires_after)
    quiet = bar("100", "101", "99", "100.5")
    ends = [end_of(open_one, quiet.candle(number)) for number in range(1, expires_after + 2)]
    assert ends[: expires_after - 1] == [None] * (expires_after - 1)
    last = ends[expires_after - 1]
    assert last is not None
    assert (last.event, last.price, last.candle) == ("expired", Decimal("100.5"), OPENED + expires_after * HOUR)
    assert last.candle + HOUR == open_one.expires


def test_a_signal_whose_last_candle_never_came_expires_with_the_next_one() -> None:
    end = end_of(signal(Decimal(95), Decimal(110), expires_after=2), bar("100", "101", "99", "100").candle(7))
    assert end is not None
    assert (end.event, end.candle) == (SignalStatus.EXPIRED, OPENED + 7 * HOUR)


def test_on_its_last_candle_the_levels_still_count() -> None:
    open_one = signal(Decimal(95), Decimal(110), expires_after=1)
    for seen, status in [(bar("100", "111", "99", "105"), "target"), (bar("100", "101", "94", "99"), "stopped")]:
        end = end_of(open_one, seen.candle(1))
        assert end is not None
        assert end.event == status


@given(LEVELS, PRICES)
def test_c11_a_level_is_reached_to_the_last_digit_and_not_before(levels: list[Decimal], price: Decimal) -> None:
    hair = Decimal("0.000000001")
    stop, target = levels
    inside = Bar(price, target - hair, stop + hair, price)
    assert end_of(signal(stop, target), inside.candle()) is None
    assert end_of(signal(stop, target), Bar(price, target, stop + hair, price).candle()) is not None
    assert end_of(signal(stop, target), Bar(price, target - hair, stop, price).candle()) is not None


HALF = Decimal("0.5")
LADDER = (Level(Decimal(110), HALF, Decimal(100)), Level(Decimal(120), HALF))


def played(position: lifecycle.Position, *seen: Bar) -> tuple[lifecycle.Position, list[tuple[str, str, str]]]:
    """The position after these candles, and what changed: event, price and share."""
    told: list[tuple[str, str, str]] = []
    for number, one in enumerate(seen, start=1):
        position, changes = lifecycle.step(position, one.candle(number))
        told += [(change.event, str(change.price), str(change.share)) for change in changes]
    return position, told


QUIET = bar("101", "104", "99", "103")


def test_a_position_counts_from_the_open_of_the_next_candle() -> None:
    position, told = played(signal(Decimal(95), Decimal(110)), QUIET, bar("103", "105", "102", "104"))
    assert (position.filled, told) == (Decimal(101), [])


@pytest.mark.parametrize(
    ("seen", "told", "banked"),
    [
        ([bar("101", "111", "100.5", "105"), bar("105", "121", "104", "119")],
         [("target1", "110", "0.5"), ("target", "120", "0.5")], "115.0"),
        ([bar("101", "111", "100.5", "105"), bar("105", "107", "99", "100")],
         [("target1", "110", "0.5"), ("stopped", "100", "0.5")], "105.0"),
        # Both in one candle, and a candle that opens beyond the first.
        ([bar("101", "121", "100.5", "119")], [("target1", "110", "0.5"), ("target", "120", "0.5")], "115.0"),
        ([bar("113", "121", "112", "119")], [("target1", "113", "0.5"), ("target", "120", "0.5")], "116.5"),
        # The stop that the first target moves counts from the next candle on.
        ([bar("101", "111", "98", "105"), bar("105", "106", "101", "104")], [("target1", "110", "0.5")], "55.0"),
        ([bar("101", "111", "94", "105")], [("stopped", "95", "1")], "95"),
    ],
)  # fmt: skip
def test_parts_leave_at_their_targets_and_the_stop_follows(
    seen: Sequence[Bar], told: list[tuple[str, str, str]], banked: str
) -> None:
    position, happened = played(laddered(Decimal(95), *LADDER), *seen)
    assert (happened, str(position.banked)) == (told, banked)


def test_finer_candles_decide_what_came_first() -> None:
    position = signal(Decimal(95), Decimal(110))
    wide = bar("100", "111", "94", "100").candle(1)
    up_first = [bar("100", "111", "99", "105").candle(1), bar("105", "106", "94", "100").candle(1)]
    for finer, event in (([], "stopped"), (up_first, "target"), (up_first[::-1], "stopped")):
        _, changes = lifecycle.step(position, wide, finer)
        assert [(one.event, one.candle) for one in changes] == [(event, OPENED + HOUR)]


def test_finer_candles_are_not_asked_where_nothing_is_unclear() -> None:
    nonsense = [bar("100", "111", "94", "100").candle(1)]
    _, changes = lifecycle.step(signal(Decimal(95), Decimal(110)), QUIET.candle(1), nonsense)
    assert changes == ()


RUNGS = st.lists(PRICES, min_size=3, max_size=6, unique=True).map(sorted)
WALKS = st.lists(BARS, min_size=1, max_size=12)


@given(RUNGS, WALKS, st.sampled_from(["", "entry", "before"]))
def test_whatever_happens_parts_add_up_to_the_whole(prices: list[Decimal], walk: list[Bar], moves: str) -> None:
    stop, entry, *targets = prices
    shares = [Decimal(1) / 8] * (len(targets) - 1)
    shares.append(1 - sum(shares))
    stops = {"": [None] * 9, "entry": [entry] * 9, "before": [entry, *targets]}[moves]
    levels = [Level(*one) for one in zip(targets, shares, stops, strict=False)]
    position = replace(laddered(stop, *levels, expires_after=len(walk)), entry=entry)
    out: list[lifecycle.Change] = []
    for number, one in enumerate(walk, start=1):
        if position.closed:
            break
        before = position.stop
        position, changes = lifecycle.step(position, one.candle(number))
        assert all(one.low <= change.price <= one.high for change in changes)
        assert position.stop >= before
        out += changes
    assert position.closed
    assert sum(change.share for change in out) == 1
    assert position.banked == sum(change.share * change.price for change in out)
    assert len({change.event for change in out}) == len(out)
