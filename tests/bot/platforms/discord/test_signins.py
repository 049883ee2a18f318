"""D09: how long a sign-in has to wait, by itself."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.platforms.discord import signins

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


def before(*seconds: float) -> list[datetime]:
    return sorted(NOW - timedelta(seconds=second) for second in seconds)


@pytest.mark.parametrize(
    ("number", "pause"), [(0, 0), (4, 0), (5, 5), (6, 10), (8, 40), (11, 320), (12, 600), (40, 600)]
)
def test_d09_each_sign_in_within_an_hour_doubles_the_pause_up_to_ten_minutes(number: int, pause: float) -> None:
    made = before(*([0] * number))
    assert signins.wait(made, signins.Limit(), now=NOW) == signins.Wait(pause)
    assert signins.wait(made, signins.Limit(), now=NOW + timedelta(seconds=pause)).seconds == 0


def test_d09_the_two_hundredth_of_a_day_waits_until_the_first_is_a_day_old() -> None:
    made = before(*(80_000 - n for n in range(200)))
    assert signins.wait(made, signins.Limit(), now=NOW) == signins.Wait(6_400, spent=True)
    assert signins.wait(made[1:], signins.Limit(), now=NOW) == signins.Wait()


def test_large_bots_have_more_and_sign_in_once_for_each_shard() -> None:
    large = signins.Limit(shards=16, total=2000, remaining=2000)
    assert signins.wait(before(*([10] * 64)), large, now=NOW) == signins.Wait()
    assert signins.wait(before(*([10] * 399)), large, now=NOW).spent is False
    assert signins.wait(before(*([10] * 400)), large, now=NOW).spent is True


def test_what_discord_has_left_counts_too() -> None:
    spent = signins.Limit(remaining=0, reset_after=7200)
    assert signins.wait([], spent, now=NOW) == signins.Wait(7200, spent=True)


@given(st.lists(st.floats(0, 86_400), max_size=250))
def test_d09_no_day_has_more_than_two_hundred(ages: list[float]) -> None:
    made = before(*ages)
    wait = signins.wait(made, signins.Limit(), now=NOW)
    if not wait.seconds:
        assert len(made) < 200
    assert 0 <= wait.seconds <= 86_400
