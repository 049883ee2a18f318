"""How far each watched market has been looked at."""

from datetime import datetime, timedelta

import pytest

from core import catalogue, clock, db, models
from core.signals import watched

HOUR = 3_600_000
ONE, TWO = catalogue.Watch(symbol="BTC/USDT"), catalogue.Watch(symbol="BTC/USDT", strategy="macd_trend")
OTHER = catalogue.Watch(exchange="kraken", symbol="BTC/USDT", timeframe="4h")
BOOK = catalogue.Catalogue(watches=(ONE, TWO, OTHER))


async def ages(
    database: db.Database, now: datetime, *marks: tuple[catalogue.Watch, int, int, datetime]
) -> list[tuple[float | None, bool]]:
    async with database.transaction() as session:
        for watch, candle, there, at in marks:
            session.add(models.ScanMark(watch=watch.key, candle=candle, scanned_at=at, clock=there))
        await session.flush()
        found = await watched.markets(session, BOOK, now=now)
    assert [" ".join(one.key) for one in found] == ["binance BTC/USDT 1h", "kraken BTC/USDT 4h"]
    return [(one.age, one.late) for one in found]


async def test_the_age_is_that_of_the_slowest_strategy_by_the_exchanges_clock(
    database: db.Database, now: datetime
) -> None:
    there = clock.to_ms(now) - 7 * 24 * HOUR  # an exchange in another time, as in the sandbox
    before = now - timedelta(minutes=10)
    marks = (
        (ONE, there - 2 * HOUR, there, before),
        (TWO, there - 3 * HOUR, there - 5 * HOUR, now - timedelta(hours=6)),
    )
    assert await ages(database, now, *marks) == [(2 * 3600 + 600, True), (None, False)]


@pytest.mark.parametrize(("minutes", "late"), [(75, False), (76, True)])
async def test_a_market_is_late_when_its_next_candle_should_have_been_judged_long_ago(
    sqlite_database: db.Database, now: datetime, minutes: int, late: bool
) -> None:
    closed = clock.to_ms(now) - minutes * 60_000
    marks = tuple((watch, closed - HOUR, clock.to_ms(now), now) for watch in (ONE, TWO))
    assert (await ages(sqlite_database, now, *marks))[0] == (minutes * 60, late)


async def test_a_market_that_one_strategy_has_not_judged_yet_has_no_age(
    sqlite_database: db.Database, now: datetime
) -> None:
    there = clock.to_ms(now)
    assert await ages(sqlite_database, now, (TWO, there - HOUR, there, now)) == [(None, False), (None, False)]
    async with sqlite_database.reading() as session:
        assert await watched.markets(session, catalogue.Catalogue(), now=now) == []


async def test_where_the_exchange_was_never_asked_our_clock_counts(sqlite_database: db.Database, now: datetime) -> None:
    open_time = clock.to_ms(now) - 5 * HOUR
    assert (await ages(sqlite_database, now, (OTHER, open_time, 0, now)))[1] == (3600, False)
