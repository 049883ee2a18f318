"""One holder at a time, and an epoch that fences off the one who slept."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from core import db, errors, leases
from tests.core import people

SECOND = timedelta(seconds=1)


async def acquire(database: db.Database, holder: str, now: datetime, name: str = "scheduler") -> int | None:
    async with database.transaction() as session:
        return await leases.acquire(session, name, holder, ttl=30, now=now)


async def check(database: db.Database, epoch: int) -> None:
    async with database.transaction() as session:
        await leases.check(session, "scheduler", epoch)


async def release(database: db.Database, epoch: int, now: datetime) -> None:
    async with database.transaction() as session:
        await leases.release(session, "scheduler", epoch, now=now)


async def test_a03_of_many_processes_one_gets_the_lease(database: db.Database, now: datetime) -> None:
    epochs = await asyncio.gather(*(acquire(database, f"host:{number}", now) for number in range(10)))
    assert sorted(epoch for epoch in epochs if epoch is not None) == [1]
    assert await acquire(database, "host:late", now + 29 * SECOND) is None
    assert await acquire(database, "other", now, name="sweep") == 1


async def test_a_holder_who_asks_in_time_keeps_the_epoch(database: db.Database, now: datetime) -> None:
    for second in range(0, 200, 20):
        assert await acquire(database, "a", now + second * SECOND) == 1
        assert await acquire(database, "b", now + second * SECOND) is None
    assert await acquire(database, "b", now + 209 * SECOND) is None
    assert await acquire(database, "b", now + 210 * SECOND) == 2


async def test_a_holder_who_comes_too_late_gets_a_new_epoch(database: db.Database, now: datetime) -> None:
    assert await acquire(database, "a", now) == 1
    assert await acquire(database, "a", now + 30 * SECOND) == 2
    with pytest.raises(errors.LostLeaseError):
        await check(database, 1)


async def test_a04_a_zombie_writes_nothing_after_another_took_over(database: db.Database, now: datetime) -> None:
    zombie = await acquire(database, "a", now)
    assert zombie == 1
    await check(database, zombie)
    mine = await acquire(database, "b", now + 31 * SECOND)
    assert mine == 2
    with pytest.raises(errors.LostLeaseError, match="scheduler"):
        await check(database, zombie)
    await release(database, zombie, now + 31 * SECOND)  # changes nothing
    await check(database, mine)
    assert await acquire(database, "a", now + 32 * SECOND) is None


async def test_a04_nobody_takes_over_before_checked_work_is_written(
    postgres_database: db.Database, now: datetime
) -> None:
    assert await acquire(postgres_database, "a", now) == 1
    async with postgres_database.transaction() as session:
        await leases.check(session, "scheduler", 1)
        other = asyncio.create_task(acquire(postgres_database, "b", now + 60 * SECOND))
        await people.blocked_on_a_lock(postgres_database, 1)
        assert not other.done()
    assert await other == 2


async def test_a_released_lease_is_free_at_once_and_holds_no_longer(database: db.Database, now: datetime) -> None:
    assert await acquire(database, "a", now) == 1
    await release(database, 1, now + SECOND)
    with pytest.raises(errors.LostLeaseError):
        await check(database, 1)
    assert await acquire(database, "b", now + SECOND) == 2


async def test_a_clock_behind_the_others_steals_nothing(database: db.Database, now: datetime) -> None:
    assert await acquire(database, "a", now) == 1
    assert await acquire(database, "b", now - timedelta(hours=1)) is None
    await check(database, 1)


async def test_a05_a_lost_connection_loses_no_lease(postgres_database: db.Database, now: datetime) -> None:
    """A lease is a row and no lock of a session: whoever ends our connections ends nothing else."""
    epoch = await acquire(postgres_database, "a", now)
    assert epoch == 1
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
    killer = db.Database(postgres_database.url.render_as_string(hide_password=False))
    async with killer.transaction() as session:
        await session.execute(text(others + "pg_backend_pid()"))
    await killer.close()
    await check(postgres_database, epoch)
    assert await acquire(postgres_database, "b", now + 29 * SECOND) is None
    assert await acquire(postgres_database, "a", now + 29 * SECOND) == epoch
