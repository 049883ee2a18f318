"""Which rows are believed, and what is kept of them."""

import random
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import db
from core.market import candles, refusals
from core.strategies.mean_reversion import MeanReversion, MeanReversionParams

HOUR = 3_600_000
FIRST = 1_675_209_600_000
KEY = candles.Key("binance", "BTC/USDT", "1h")


def rows(count: int, start: int = FIRST) -> list[list[Any]]:
    return [[start + n * HOUR, "100.0", "101.5", "99", str(100 + n % 2), "12.5"] for n in range(count)]


def closed(given_rows: Any, now: int) -> list[candles.Candle]:
    return candles.closed(given_rows, "1h", now)


def test_c01_the_open_candle_is_left_out_by_time() -> None:
    answer = rows(3)
    end = FIRST + 3 * HOUR
    assert [row.open_time for row in closed(answer, end - 1)] == [FIRST, FIRST + HOUR]
    assert [row.open_time for row in closed(answer[:2], end - 1)] == [FIRST, FIRST + HOUR]  # no open one was sent
    assert len(closed(answer, end + candles.LAG_MS - 1)) == 2
    assert len(closed(answer, end + candles.LAG_MS)) == 3


def test_c01_an_unsound_open_candle_does_not_matter() -> None:
    answer = rows(3)
    answer[2][4] = None
    assert len(closed(answer, FIRST + 3 * HOUR)) == 2


def test_c03_unsorted_and_repeated_rows_become_one_sorted_candle_each() -> None:
    answer = rows(5) + rows(5)
    random.Random(1).shuffle(answer)
    assert closed(answer, FIRST + 9 * HOUR) == closed(rows(5), FIRST + 9 * HOUR)


def test_c03_one_candle_with_two_stories_is_not_believed() -> None:
    with pytest.raises(refusals.UnusableError, match="twice"):
        closed([*rows(2), [FIRST, "100", "101.5", "99", "101.2", "12.5"]], FIRST + 9 * HOUR)


def test_c03_a_gap_stays_a_gap_and_makes_no_decision() -> None:
    strategy = MeanReversion(MeanReversionParams(window=20, threshold=2.0, min_reward_risk=0))
    whole = rows(30)
    whole[-1][3:5] = ["89", "90"]
    history = closed(whole, FIRST + 99 * HOUR)
    assert strategy.decide(candles.series(history)) is not None
    holed = history[:15] + history[16:]
    assert candles.missing(holed, "1h") == 1
    assert len(candles.series(holed)) == 29
    assert strategy.decide(candles.series(holed)) is None


@pytest.mark.parametrize(
    "spoilt",
    [
        [None] * 6,
        None,
        "<",
        [FIRST + HOUR],
        [1, None, None, None, None, None],
        [FIRST + 1, "100", "101", "99", "100", "1"],
        [str(FIRST), "100", "101", "99", "100", "1"],
        *([FIRST, "100", "101", "99", close, "1"] for close in (None, "NaN", "Infinity", "-1", "0", "102", "x", True)),
        [FIRST, "100", "99", "101", "100", "1"],
        [FIRST, "100", "101", "99", "100", "-1"],
        [FIRST, "100", "101", "0", "100", "1"],
    ],
)
def test_c04_one_unsound_row_spoils_the_whole_answer(spoilt: Any) -> None:
    with pytest.raises(refusals.UnusableError):
        closed([spoilt, *rows(3, FIRST + 5 * HOUR)], FIRST + 99 * HOUR)


@pytest.mark.parametrize("answer", [None, "<html></html>", {}, 7])
def test_c04_what_is_no_list_is_no_answer(answer: Any) -> None:
    with pytest.raises(refusals.UnusableError):
        closed(answer, FIRST)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(-5, 200),
    st.sampled_from(["NaN", "inf", "", "100", "99.5", "<p>", "-0", "1e400", "1e-400"]),
)
TIMES = st.one_of(st.integers(FIRST // HOUR, FIRST // HOUR + 8).map(lambda hour: hour * HOUR), VALUES)


@settings(max_examples=400)
@given(st.lists(st.tuples(TIMES, VALUES, VALUES, VALUES, VALUES, VALUES).map(list), max_size=6), st.integers(0, 8))
def test_c04_whatever_comes_only_sound_closed_candles_pass(answer: list[Any], hours: int) -> None:
    now = FIRST + hours * HOUR + 17
    try:
        passed = closed(answer, now)
    except refusals.UnusableError:
        return
    assert [row.open_time for row in passed] == sorted({row.open_time for row in passed})
    for row in passed:
        assert row.open_time % HOUR == 0
        assert row.open_time + HOUR + candles.LAG_MS <= now
        assert 0 < row.low <= min(row.open, row.close) <= max(row.open, row.close) <= row.high
        assert all(value.is_finite() for value in row[1:])
    assert np.isfinite(candles.series(passed).close).all()


def test_c02_a_late_candle_is_awaited_until_patience_ends() -> None:
    end = FIRST + HOUR
    due = end + candles.LAG_MS
    assert candles.arrival(FIRST, "1h", due, patience=60) is candles.Arrival.HERE
    assert candles.arrival(FIRST - HOUR, "1h", due - 1, patience=60) is candles.Arrival.HERE
    assert candles.arrival(FIRST - HOUR, "1h", due, patience=60) is candles.Arrival.AWAITED
    assert candles.arrival(FIRST - HOUR, "1h", end + 60_000, patience=60) is candles.Arrival.AWAITED
    assert candles.arrival(FIRST - HOUR, "1h", end + 60_001, patience=60) is candles.Arrival.MISSING
    assert candles.arrival(None, "1h", end + 60_001, patience=60) is candles.Arrival.MISSING


async def test_kept_candles_come_back_exactly(database: db.Database) -> None:
    answer = rows(1200)
    answer[7][2] = "103.12345678"
    history = closed(answer, FIRST + 9999 * HOUR)
    async with database.transaction() as session:
        assert await candles.newest(session, KEY) is None
        assert await candles.keep(session, KEY, history) == (1200, ())
    async with database.transaction() as session:
        assert await candles.keep(session, KEY, history) == (0, ())
        assert await candles.newest(session, KEY) == history[-1].open_time
        assert await candles.recent(session, KEY, 5) == history[-5:]
        assert await candles.recent(session, KEY, 3, until=history[9].open_time) == history[7:10]
        assert await candles.between(session, KEY, history[2].open_time, history[4].open_time) == history[2:5]
        assert await candles.recent(session, KEY._replace(timeframe="5m"), 5) == []


async def test_c02_a_corrected_candle_is_changed_and_named(database: db.Database) -> None:
    history = closed(rows(4), FIRST + 9 * HOUR)
    fixed = history[2]._replace(close=Decimal("100.5"))
    async with database.transaction() as session:
        await candles.keep(session, KEY, history)
        assert await candles.keep(session, KEY, [*history[1:2], fixed]) == (0, (fixed.open_time,))
        assert (await candles.recent(session, KEY, 2))[0] == fixed


async def test_old_candles_can_be_forgotten(database: db.Database) -> None:
    history = closed(rows(10), FIRST + 99 * HOUR)
    async with database.transaction() as session:
        await candles.keep(session, KEY, history)
        await candles.forget(session, KEY, history[6].open_time)
        assert await candles.recent(session, KEY, 99) == history[6:]


async def test_c11_the_tick_of_a_market_is_kept_exactly(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        assert await candles.tick(session, "binance", "BTC/USDT") is None
        for tick in ("0.01", "0.00000001"):
            await candles.keep_tick(session, "binance", "BTC/USDT", Decimal(tick), now=now)
            assert await candles.tick(session, "binance", "BTC/USDT") == Decimal(tick)
