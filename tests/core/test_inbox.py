"""What providers and chats told us: kept once, worked off once, by one worker at a time."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from core import db, errors, inbox, models

SECOND = timedelta(seconds=1)


async def put(database: db.Database, now: datetime, event_id: str, source: str = "stripe") -> bool:
    async with database.transaction() as session:
        return await inbox.put(session, source, event_id, "invoice.paid", b"{}", now=now)


async def claim(database: db.Database, now: datetime, limit: int = 1, source: str = "stripe") -> list[inbox.Item]:
    async with database.transaction() as session:
        return await inbox.claim(session, source, now=now, lease=30, limit=limit)


async def done(database: db.Database, item: inbox.Item) -> None:
    async with database.transaction() as session:
        await inbox.done(session, item)


async def retry(database: db.Database, item: inbox.Item, now: datetime, error: str = "away") -> None:
    async with database.transaction() as session:
        await inbox.retry(session, item, error, now=now)


async def rows(database: db.Database) -> list[models.Inbox]:
    async with database.reading() as session:
        return list(await session.scalars(select(models.Inbox).order_by(models.Inbox.id)))


async def test_s06_twenty_deliveries_of_one_event_at_once_are_one_item(database: db.Database, now: datetime) -> None:
    new = await asyncio.gather(*(put(database, now, "evt_1") for _ in range(20)))
    assert sum(new) == 1
    assert len(await rows(database)) == 1
    assert await put(database, now, "evt_1", source="telegram")


async def test_an_item_comes_back_as_it_was_put(database: db.Database, now: datetime) -> None:
    body = bytes(range(256))
    async with database.transaction() as session:
        await inbox.put(session, "telegram", "42", "message", body, now=now)
    [item] = await claim(database, now, source="telegram")
    assert item == inbox.Item(item.id, "telegram", "42", "message", body, attempts=1, epoch=1)


async def test_items_are_claimed_in_the_order_of_their_arrival(database: db.Database, now: datetime) -> None:
    for number in range(5):
        await put(database, now, f"evt_{number}")
    await put(database, now, "u1", source="telegram")
    assert [item.event_id for item in await claim(database, now, limit=3)] == ["evt_0", "evt_1", "evt_2"]
    assert [item.event_id for item in await claim(database, now, limit=9)] == ["evt_3", "evt_4"]
    assert await claim(database, now, limit=9) == []


async def test_many_workers_at_once_never_get_the_same_item(database: db.Database, now: datetime) -> None:
    for number in range(30):
        await put(database, now, f"evt_{number}")
    batches = await asyncio.gather(*(claim(database, now, limit=4) for _ in range(10)))
    ids = [item.id for batch in batches for item in batch]
    assert max(len(batch) for batch in batches) == 4
    assert len(ids) == len(set(ids))
    while batch := await claim(database, now, limit=4):
        ids += [item.id for item in batch]
    assert len(set(ids)) == len(ids) == 30


async def test_s08_the_item_of_a_dead_worker_is_worked_on_again(database: db.Database, now: datetime) -> None:
    await put(database, now, "evt_1")
    [dead] = await claim(database, now)
    assert not await put(database, now, "evt_1")  # the provider tells it again meanwhile
    assert await claim(database, now + 30 * SECOND) == []
    [again] = await claim(database, now + 31 * SECOND)
    assert (again.id, again.attempts, again.epoch) == (dead.id, 2, dead.epoch + 1)
    await done(database, again)
    assert await claim(database, now + 99 * SECOND) == []


async def test_a04_a_zombie_settles_nothing(database: db.Database, now: datetime) -> None:
    await put(database, now, "evt_1")
    [zombie] = await claim(database, now)
    [mine] = await claim(database, now + 31 * SECOND)
    for settle in (done(database, zombie), retry(database, zombie, now)):
        with pytest.raises(errors.LostLeaseError, match="taken over"):
            await settle
    await done(database, mine)
    with pytest.raises(errors.LostLeaseError):
        await done(database, mine)
    assert [row.state for row in await rows(database)] == ["done"]


async def test_s08_the_end_of_an_item_and_its_effect_are_one(database: db.Database, now: datetime) -> None:
    await put(database, now, "evt_1")
    [zombie] = await claim(database, now)
    await claim(database, now + 31 * SECOND)

    async def write() -> None:
        async with database.transaction() as session:
            session.add(models.Member(created_at=now))
            await session.flush()
            await inbox.done(session, zombie)

    with pytest.raises(errors.LostLeaseError):
        await write()
    async with database.reading() as session:
        assert await session.scalar(select(models.Member.id)) is None


async def test_a_failing_item_waits_longer_each_time_and_dies_in_the_end(database: db.Database, now: datetime) -> None:
    await put(database, now, "evt_1")
    at, pauses = now, []
    for _ in range(inbox.MAX_ATTEMPTS):
        [item] = await claim(database, at)
        await retry(database, item, at, error="x" * 999)
        [row] = await rows(database)
        pauses.append((row.not_before - at).total_seconds())
        assert await claim(database, row.not_before - SECOND) == []
        at = row.not_before
    assert pauses[:4] == [2, 4, 8, 16]
    assert pauses[-2:] == [600, 600]
    assert (row.state, row.error) == ("dead", "x" * 500)
    assert await claim(database, at + timedelta(days=1)) == []


async def test_q04_an_item_that_kills_every_worker_is_dead_in_the_end(database: db.Database, now: datetime) -> None:
    await put(database, now, "evt_1")
    at = now
    for _ in range(inbox.MAX_ATTEMPTS):
        assert len(await claim(database, at)) == 1
        at += 31 * SECOND
    await put(database, at, "evt_2")
    assert [item.event_id for item in await claim(database, at, limit=2)] == ["evt_2"]
    [first, _] = await rows(database)
    assert (first.state, first.error) == ("dead", "the process ended while it was being worked on")


async def test_x10_bodies_of_finished_items_are_forgotten(database: db.Database, now: datetime) -> None:
    for number in range(3):
        await put(database, now + number * SECOND, f"evt_{number}")
    for item in await claim(database, now + 9 * SECOND, limit=2):
        await done(database, item)
    async with database.transaction() as session:
        assert await inbox.forget(session, before=now + SECOND) == 1
        assert await inbox.forget(session, before=now + 9 * SECOND) == 1
        assert await inbox.forget(session, before=now + 9 * SECOND) == 0
    assert [row.body for row in await rows(database)] == [None, None, b"{}"]
    assert not await put(database, now, "evt_0")  # still known


async def test_an_item_without_a_body_can_be_worked_on(database: db.Database, now: datetime) -> None:
    await put(database, now, "evt_1")
    async with database.transaction() as session:
        row = await session.get_one(models.Inbox, 1)
        row.body = None
    [item] = await claim(database, now)
    assert item.body == b""
