"""How well parts were on each day, and what they did not do in between."""

from datetime import UTC, datetime, timedelta

import pytest

from core import db, health, models, uptime

MINUTE = timedelta(minutes=1)


async def sampled(
    database: db.Database, last: datetime | None, now: datetime
) -> dict[tuple[str, str], tuple[int, int]]:
    """What is known by part and day, (well, seen), after a sample at `now`."""
    async with database.transaction() as session:
        await uptime.sample(session, last=last, now=now)
        return {(row.part, row.day): (row.well, row.seen) for row in await uptime.days(session, now=now)}


async def beat(database: db.Database, part: str, at: datetime) -> None:
    async with database.transaction() as session:
        await health.beat(session, part, limit=90, now=at)


async def incidents(database: db.Database, now: datetime) -> list[models.Incident]:
    async with database.reading() as session:
        return list(await health.incidents(session, since=now))


async def test_seconds_are_added_up_for_parts_that_are_well_and_for_those_that_are_not(
    database: db.Database, now: datetime
) -> None:
    await beat(database, "scan", now)
    await beat(database, "inbox", now - 5 * MINUTE)
    await beat(database, "telegram.bot", now - 5 * MINUTE)
    assert await sampled(database, None, now) == {}
    await sampled(database, now, now + MINUTE)
    await beat(database, "scan", now + 2 * MINUTE)
    known = await sampled(database, now + MINUTE, now + 2 * MINUTE)
    assert known == {("inbox", "2026-01-15"): (0, 120), ("scan", "2026-01-15"): (120, 120)}


@pytest.mark.parametrize("gap", [timedelta(0), -MINUTE, timedelta(seconds=151), timedelta(hours=9)])
async def test_time_in_which_nobody_looked_is_not_counted(
    sqlite_database: db.Database, now: datetime, gap: timedelta
) -> None:
    await beat(sqlite_database, "scan", now)
    assert await sampled(sqlite_database, now - gap, now) == {}


async def test_a_minute_over_midnight_belongs_to_both_days(sqlite_database: db.Database) -> None:
    now = datetime(2026, 1, 16, 0, 0, 20, tzinfo=UTC)
    await beat(sqlite_database, "scan", now)
    known = await sampled(sqlite_database, now - MINUTE, now)
    assert known == {("scan", "2026-01-15"): (40, 40), ("scan", "2026-01-16"): (20, 20)}


async def test_fractions_of_seconds_do_not_add_up_to_more_than_a_day(sqlite_database: db.Database) -> None:
    at, step = datetime(2026, 1, 15, 1, tzinfo=UTC), timedelta(seconds=60.7)
    for _ in range(20):
        await beat(sqlite_database, "scan", at + step)
        known = await sampled(sqlite_database, at, at + step)
        at += step
    assert known == {("scan", "2026-01-15"): (1214, 1214)}


async def test_a_silent_part_is_an_incident_from_its_last_progress_until_it_is_heard_again(
    database: db.Database, now: datetime
) -> None:
    await beat(database, "scan", now)
    for minutes in (2, 3, 4):
        await sampled(database, None, now + minutes * MINUTE)
    [one] = await incidents(database, now)
    assert (one.key, one.began_at, one.ended_at) == ("part:scan", now, None)
    await beat(database, "scan", now + 5 * MINUTE)
    await sampled(database, None, now + 5 * MINUTE)
    [one] = await incidents(database, now)
    assert one.ended_at == now + 5 * MINUTE
    await sampled(database, None, now + 9 * MINUTE)
    assert [two.ended_at for two in await incidents(database, now)] == [None, now + 5 * MINUTE]


async def test_a_part_that_stopped_in_good_order_is_no_incident_any_more(
    sqlite_database: db.Database, now: datetime
) -> None:
    await beat(sqlite_database, "scan", now)
    await sampled(sqlite_database, None, now + 2 * MINUTE)
    async with sqlite_database.transaction() as session:
        await health.retire(session, "scan")
    await sampled(sqlite_database, None, now + 3 * MINUTE)
    assert [one.ended_at for one in await incidents(sqlite_database, now)] == [now + 3 * MINUTE]


async def test_after_ninety_days_days_and_incidents_are_forgotten_but_not_what_goes_on(
    database: db.Database, now: datetime
) -> None:
    day = timedelta(days=1)
    for ago in (89, 90):
        await beat(database, "scan", now - ago * day)
        await sampled(database, now - ago * day - MINUTE, now - ago * day)
    async with database.transaction() as session:
        for key, ended in (("old", now - 91 * day), ("young", now - 89 * day), ("open", None)):
            session.add(models.Incident(key=key, text="", began_at=now - 200 * day, ended_at=ended))
        await session.flush()
        await uptime.forget(session, now=now)
        assert [row.day for row in await uptime.days(session, now=now)] == ["2025-10-18"]
        kept = await health.incidents(session, since=now - 200 * day)
    assert {one.key for one in kept} == {"young", "open"}
