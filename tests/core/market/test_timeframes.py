"""When candles open and close."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.market import timeframes

FRAMES = st.sampled_from(["1m", "5m", "15m", "1h", "4h", "12h", "1d", "1w"])
MOMENTS = st.integers(min_value=1_500_000_000_000, max_value=2_500_000_000_000)


def ms(moment: str) -> int:
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(("timeframe", "length"), [("5m", 300), ("1h", 3600), ("4h", 14400), ("1d", 86400)])
def test_a_timeframe_has_its_length(timeframe: str, length: int) -> None:
    assert timeframes.seconds(timeframe) == length


@pytest.mark.parametrize("timeframe", ["", "h", "0h", "1x", "-1h", "1.5h", "1H", "1h ", "1M", "9999m"])
def test_what_is_no_timeframe_is_refused(timeframe: str) -> None:
    with pytest.raises(ValueError, match="write a timeframe"):
        timeframes.seconds(timeframe)


def test_weeks_open_on_mondays() -> None:
    assert timeframes.floor("1w", ms("2023-02-01 12:00")) == ms("2023-01-30")


@given(FRAMES, MOMENTS)
def test_the_newest_closed_candle_ends_just_before_the_open_one(timeframe: str, now: int) -> None:
    opened, closed = timeframes.floor(timeframe, now), timeframes.last_closed(timeframe, now)
    assert opened <= now < opened + timeframes.ms(timeframe)
    assert closed + timeframes.ms(timeframe) == opened
    assert timeframes.floor(timeframe, opened) == opened


def test_openings_go_stale_after_half_the_timeframe_but_fifteen_minutes_at_most() -> None:
    assert [timeframes.staleness(frame) for frame in ("5m", "15m", "1h", "1d")] == [150, 450, 900, 900]
