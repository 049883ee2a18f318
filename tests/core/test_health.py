"""Parts that get somewhere, parts that do not, and alarms for operators."""

import asyncio
from datetime import datetime, timedelta

from sqlalchemy import select

from core import db, health, models

SECOND = timedelta(seconds=1)


async def raise_alarm(
    database: db.Database, now: datetime, key: str = "dead", text: str = "A message is dead."
) -> bool:
    async with database.transaction() as session:
        return await health.alarm(session, key, text, now=now)


async def test_a_part_is_red_when_its_progress_is_older_than_its_limit(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        assert not (await health.report(session, now=now)).ok  # nothing runs
        await health.beat(session, "scan", limit=90, now=now, note="4 markets")
        await health.beat(session, "delivery", limit=30, now=now)
    async with database.reading() as session:
        good = await health.report(session, now=now + 30 * SECOND)
        late = await health.report(session, now=now + 31 * SECOND)
    assert good.ok
    assert [(part.name, part.age, part.ok) for part in late.parts] == [("delivery", 31, False), ("scan", 31, True)]
    assert late.parts[1] == health.Part("scan", now, 31, 90, "4 markets")
    assert not late.ok


async def test_a_new_beat_makes_a_part_green_again(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await health.beat(session, "scan", limit=90, now=now)
        await health.beat(session, "scan", limit=10, now=now + 100 * SECOND, note="x" * 300)
        report = await health.report(session, now=now + 105 * SECOND)
    assert report.ok
    assert (report.parts[0].limit, len(report.parts[0].note)) == (10, 200)


async def test_the_beat_of_a_faster_clock_is_not_negative(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await health.beat(session, "scan", limit=90, now=now + 5 * SECOND)
        assert (await health.report(session, now=now)).parts[0].age == 0


async def test_a_part_that_stopped_in_good_order_is_missed_by_nobody(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await health.beat(session, "scan", limit=90, now=now)
        await health.beat(session, "delivery", limit=90, now=now)
        await health.retire(session, "scan")
        await health.retire(session, "never ran")
    async with database.reading() as session:
        assert [part.name for part in (await health.report(session, now=now)).parts] == ["delivery"]


async def test_an_alarm_is_new_once_and_counted_after_that(database: db.Database, now: datetime) -> None:
    assert await raise_alarm(database, now)
    assert not await raise_alarm(database, now + SECOND, text="Another one. " + "x" * 500)
    async with database.reading() as session:
        [alarm] = (await health.report(session, now=now)).alarms
    assert (alarm.first_at, alarm.last_at, alarm.count) == (now, now + SECOND, 2)
    assert alarm.text.startswith("Another one. ")
    assert len(alarm.text) == 400


async def test_a_cleared_alarm_is_gone_and_new_when_it_comes_back(database: db.Database, now: datetime) -> None:
    await raise_alarm(database, now)
    await raise_alarm(database, now)
    async with database.transaction() as session:
        await health.clear(session, "dead", now=now + SECOND)
        await health.clear(session, "dead", now=now + 2 * SECOND)
        await health.clear(session, "never raised", now=now)
        assert (await health.report(session, now=now)).alarms == []
        row = await session.get_one(models.Alarm, "dead")
        assert row.cleared_at == now + SECOND
    assert await raise_alarm(database, now + 9 * SECOND)
    async with database.reading() as session:
        [alarm] = (await health.report(session, now=now)).alarms
        assert (alarm.first_at, alarm.count, alarm.cleared_at) == (now + 9 * SECOND, 1, None)


async def test_alarm_and_clear_follow_each_other_in_one_transaction(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        for _ in range(3):
            assert await health.alarm(session, "dead", "text", now=now)
            assert not await health.alarm(session, "dead", "text", now=now)
            await health.clear(session, "dead", now=now)
    async with database.reading() as session:
        assert (await health.report(session, now=now)).alarms == []


async def test_workers_that_see_the_same_trouble_at_once_do_not_hinder_each_other(
    database: db.Database, now: datetime
) -> None:
    new = await asyncio.gather(*(raise_alarm(database, now) for _ in range(10)))
    assert sum(new) == 1
    async with database.reading() as session:
        assert (await session.scalars(select(models.Alarm.count))).all() == [10]


async def test_alarms_do_not_make_the_report_red(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await health.beat(session, "scan", limit=90, now=now)
        await health.alarm(session, "b", "second", now=now + SECOND)
        await health.alarm(session, "a", "first", now=now)
        report = await health.report(session, now=now)
    assert report.ok
    assert [alarm.text for alarm in report.alarms] == ["first", "second"]


async def test_an_alarm_that_was_not_raised_for_long_is_closed(database: db.Database, now: datetime) -> None:
    await raise_alarm(database, now, key="old")
    await raise_alarm(database, now + 9 * SECOND, key="new")
    async with database.transaction() as session:
        assert await health.clear_old(session, before=now + 9 * SECOND, now=now + 9 * SECOND) == 1
        assert await health.clear_old(session, before=now + 9 * SECOND, now=now + 9 * SECOND) == 0
        assert [alarm.key for alarm in (await health.report(session, now=now)).alarms] == ["new"]


async def kept(database: db.Database, now: datetime) -> list[tuple[str, datetime, datetime | None]]:
    async with database.reading() as session:
        return [(one.key, one.began_at, one.ended_at) for one in await health.incidents(session, since=now)]


async def test_an_alarm_that_members_notice_is_an_incident_until_it_is_cleared(
    database: db.Database, now: datetime
) -> None:
    key = "market:binance"
    await raise_alarm(database, now, key=key)
    await raise_alarm(database, now + SECOND, key=key)
    assert await kept(database, now) == [(key, now, None)]
    async with database.transaction() as session:
        await health.clear(session, key, now=now + 2 * SECOND)
        await health.clear(session, key, now=now + 3 * SECOND)
    assert await kept(database, now) == [(key, now, now + 2 * SECOND)]
    await raise_alarm(database, now + 4 * SECOND, key=key)
    async with database.transaction() as session:
        await health.clear_old(session, before=now + 9 * SECOND, now=now + 9 * SECOND)
    first, again = (key, now, now + 2 * SECOND), (key, now + 4 * SECOND, now + 9 * SECOND)
    assert await kept(database, now) == [again, first]
    assert await kept(database, now + 5 * SECOND) == [again]


async def test_an_alarm_about_one_person_or_for_the_operator_alone_is_no_incident(
    sqlite_database: db.Database, now: datetime
) -> None:
    for key in ("charged_without_member:sub_1", "unlinked:sub_1", "brake:vip", "intake:desk:late", "telegram:dead"):
        await raise_alarm(sqlite_database, now, key=key)
    assert await kept(sqlite_database, now) == []


async def test_an_incident_that_is_undone_with_its_alarm_never_was(sqlite_database: db.Database, now: datetime) -> None:
    async with sqlite_database.transaction() as session:
        await health.alarm(session, "market:binance", "No candles.", now=now)
        await session.rollback()
    assert await kept(sqlite_database, now) == []
