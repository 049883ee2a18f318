"""Transactions that are whole, and errors that say whether trying again helps."""

import asyncio
import signal
import socket
import sqlite3
import threading
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.util import greenlet_spawn

from core import db, errors, models
from tests import servers


class CrashError(Exception):
    pass


async def number(database: db.Database) -> int:
    async with database.reading() as session:
        return await session.scalar(select(func.count()).select_from(models.Member)) or 0


async def run(database: db.Database, statement: str) -> None:
    async with database.transaction() as session:
        await session.execute(text(statement))


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("postgresql://u:p@h/n", "postgresql+asyncpg"),
        ("postgres://u@h/n", "postgresql+asyncpg"),
        ("postgresql+psycopg2://u@h/n", "postgresql+asyncpg"),
        ("sqlite:///x.db", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:///x.db", "sqlite+aiosqlite"),
    ],
)
def test_any_driver_becomes_ours(given: str, driver: str) -> None:
    assert db.normalised(given).drivername == driver


def test_an_address_that_is_none_is_the_operators_to_mend() -> None:
    with pytest.raises(errors.ConfigError, match="not a database address"):
        db.normalised("nonsense")
    with pytest.raises(errors.ConfigError, match="names mysql"):
        db.normalised("mysql://h/n")


async def test_a_transaction_is_all_or_nothing(database: db.Database, now: datetime) -> None:
    async def crash() -> None:
        async with database.transaction() as session:
            session.add(models.Member(created_at=now))
            await session.flush()
            raise CrashError

    with pytest.raises(CrashError):
        await crash()
    assert await number(database) == 0
    async with database.transaction() as session:
        session.add(models.Member(created_at=now))
    assert await number(database) == 1


async def test_what_a_reader_writes_is_thrown_away(database: db.Database, now: datetime) -> None:
    async with database.reading() as session:
        session.add(models.Member(created_at=now))
        await session.flush()
    assert await number(database) == 0


async def test_a_reader_does_not_wait_for_a_writer(database: db.Database, now: datetime) -> None:
    async with asyncio.timeout(10), database.transaction() as session:
        session.add(models.Member(created_at=now))
        await session.flush()
        assert await number(database) == 0


async def test_many_writers_count_without_losing_one(database: db.Database) -> None:
    await run(database, "INSERT INTO leases (name, holder, epoch, until) VALUES ('x', '', 0, '2026-01-01 00:00:00')")

    async def add() -> None:
        async with database.transaction() as session:
            seen = select(models.Lease.epoch).where(models.Lease.name == "x").with_for_update()
            epoch = await session.scalar(seen) or 0
            await asyncio.sleep(0)
            await session.execute(update(models.Lease).values(epoch=epoch + 1))

    await asyncio.gather(*(add() for _ in range(30)))
    async with database.reading() as session:
        assert await session.scalar(select(models.Lease.epoch)) == 30


async def test_a_cancelled_transaction_leaves_nothing_and_blocks_nobody(database: db.Database, now: datetime) -> None:
    began = asyncio.Event()

    async def hang() -> None:
        async with database.transaction() as session:
            session.add(models.Member(created_at=now))
            await session.flush()
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10), database.transaction() as session:
        session.add(models.Member(created_at=now))
    assert await number(database) == 1


async def test_sqlite_keeps_foreign_keys_and_a_journal(sqlite_database: db.Database, now: datetime) -> None:
    with pytest.raises(IntegrityError):
        async with sqlite_database.transaction() as session:
            session.add(
                models.Identity(member_id=999, platform="t", external_id="1", address="1", name="", created_at=now)
            )
    async with sqlite_database.reading() as session:
        assert await session.scalar(text("PRAGMA journal_mode")) == "wal"


async def test_another_process_that_writes_to_the_same_file_is_waited_for(sqlite_database: db.Database) -> None:
    other = sqlite3.connect(str(sqlite_database.url.database), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.2, other.execute, ["COMMIT"])
    timer.start()
    await run(sqlite_database, "INSERT INTO members (created_at) VALUES ('2026-01-01 00:00:00')")
    timer.join()
    other.close()
    assert await number(sqlite_database) == 1


async def test_a_locked_or_missing_sqlite_file_is_unavailable_and_a_wrong_statement_is_not(
    sqlite_database: db.Database, tmp_path: Path
) -> None:
    missing = db.Database(f"sqlite:///{tmp_path}/no/such/folder.db")
    with pytest.raises(OperationalError) as away:
        await run(missing, "SELECT 1")
    await missing.close()
    with pytest.raises(OperationalError) as wrong:
        await run(sqlite_database, "SELECT nothing")
    locked = OperationalError("", {}, sqlite3.OperationalError("database is locked"))
    assert db.is_unavailable(away.value)
    assert db.is_unavailable(locked)
    assert not db.is_unavailable(wrong.value)


def test_what_is_no_error_of_a_database_is_not_its_absence() -> None:
    assert db.is_unavailable(ConnectionRefusedError())
    assert db.is_unavailable(TimeoutError())
    assert not db.is_unavailable(ValueError("x"))
    assert not db.is_unavailable(CrashError())


class Starting(Exception):  # noqa: N818 - what asyncpg raises while PostgreSQL starts, not wrapped by SQLAlchemy
    sqlstate = "57P03"


def test_q10_a_server_that_is_starting_is_unavailable() -> None:
    assert db.is_unavailable(Starting())


async def test_a_database_whose_connections_are_all_in_use_is_unavailable(postgres_url: str) -> None:
    busy = db.Database(postgres_url, pool_size=1)
    busy.engine.pool._timeout = 0.1  # type: ignore[attr-defined]
    async with AsyncExitStack() as held:
        sessions = [await held.enter_async_context(busy.reading()) for _ in range(12)]
        for session in sessions[:11]:  # one, and ten more at need
            await session.execute(text("SELECT 1"))
        with pytest.raises(Exception, match="limit") as full:
            await sessions[11].execute(text("SELECT 1"))
        assert db.is_unavailable(full.value)
    await busy.close()


async def test_q10_a_deadlock_is_worth_another_try(postgres_database: db.Database) -> None:
    await run(postgres_database, "CREATE TABLE pair (id int PRIMARY KEY, value int)")
    await run(postgres_database, "INSERT INTO pair VALUES (1, 0), (2, 0)")
    both = asyncio.Barrier(2)

    async def cross(first: int, second: int) -> None:
        async with postgres_database.transaction() as session:
            mark = text("UPDATE pair SET value = 1 WHERE id = :id")
            await session.execute(mark, {"id": first})
            await both.wait()
            await session.execute(mark, {"id": second})

    ends = await asyncio.gather(cross(1, 2), cross(2, 1), return_exceptions=True)
    [deadlock] = [end for end in ends if end is not None]
    assert isinstance(deadlock, BaseException)
    assert db.is_unavailable(deadlock)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_q10_a_restart_of_the_database_is_survived(own_postgres: servers.Postgres, how: signal.Signals) -> None:
    database = db.Database(own_postgres.url, pool_size=2)
    try:
        asleep = asyncio.create_task(run(database, "SELECT pg_sleep(60)"))
        active = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        async with asyncio.timeout(20), database.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            while (await connection.exec_driver_sql(active)).first() is None:  # noqa: ASYNC110 - no event of ours
                await asyncio.sleep(0.01)
        await asyncio.to_thread(own_postgres.stop, how)
        with pytest.raises(Exception) as cut:  # noqa: PT011 - what it is, is the question
            await asleep
        with pytest.raises(OSError) as refused:  # noqa: PT011 - as above
            await run(database, "SELECT 1")
        await asyncio.to_thread(own_postgres.start)
        await run(database, "SELECT 1")
        with pytest.raises(Exception) as wrong:  # noqa: PT011 - as above
            await run(database, "SELECT 1/0")
    finally:
        await database.close()
    assert db.is_unavailable(cut.value)
    assert db.is_unavailable(refused.value)
    assert not db.is_unavailable(wrong.value)


@pytest.mark.parametrize("rested", [-1.0, 60.0], ids=["rested", "just used"])
async def test_a_connection_that_died_while_nobody_used_it_is_replaced(
    postgres_database: db.Database, monkeypatch: pytest.MonkeyPatch, rested: float
) -> None:
    monkeypatch.setattr(db, "_RESTED", rested)
    async with postgres_database.reading() as session:
        first = await session.scalar(text("SELECT pg_backend_pid()"))
        kept = (await (await session.connection()).get_raw_connection()).driver_connection
    async with postgres_database.reading() as session:
        assert await session.scalar(text("SELECT pg_backend_pid()")) == first
    sock = kept._transport.get_extra_info("socket")
    sock.shutdown(socket.SHUT_RDWR)  # as when a router between forgets the connection
    if rested > 0:
        async with asyncio.timeout(10):
            while not kept.is_closed():  # noqa: ASYNC110 - no event of ours
                await asyncio.sleep(0.01)
    async with postgres_database.reading() as session:
        assert await session.scalar(text("SELECT pg_backend_pid()")) != first


async def test_a_connection_that_was_cut_between_two_statements_is_unavailable(postgres_database: db.Database) -> None:
    async def be_cut() -> None:
        async with postgres_database.transaction() as session:
            pid = await session.scalar(text("SELECT pg_backend_pid()"))
            await run(postgres_database, f"SELECT pg_terminate_backend({pid}, 5000)")
            await session.execute(text("SELECT 1"))

    with pytest.raises(Exception) as cut:  # noqa: PT011 - what it is, is the question
        await be_cut()
    assert db.is_unavailable(cut.value)
    await run(postgres_database, "SELECT 1")


async def test_the_number_of_changed_rows_is_told(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        for _ in range(3):
            session.add(models.Member(created_at=now))
        await session.flush()
        assert await db.execute(session, update(models.Member).values(muted=True)) == 3
        assert await db.execute(session, update(models.Member).where(models.Member.id < 0).values(muted=True)) == 0


async def test_a_glance_sees_what_was_committed_before_it_and_leaves_nothing_open(database: db.Database) -> None:
    count = text("SELECT count(*) FROM members")
    async with database.glancing() as session:
        assert await session.scalar(count) == 0
        async with database.transaction() as writer:
            writer.add(models.Member(created_at=datetime(2026, 1, 15, tzinfo=UTC)))
        assert await session.scalar(count) == 1
    async with database.reading() as session:
        assert await session.scalar(count) == 1


async def test_a_connection_whose_closing_is_cancelled_leaves_nothing_that_waits_for_ever(
    sqlite_database: db.Database,
) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT count(*) FROM n"
    pooled: Any = await sqlite_database.engine.raw_connection()
    adapted, driver = pooled.dbapi_connection, pooled.driver_connection
    pooled.detach()
    before = asyncio.all_tasks()
    working = asyncio.create_task(driver.execute(many))
    await asyncio.sleep(0)
    closing = asyncio.create_task(greenlet_spawn(adapted.terminate))
    for _ in range(5):  # it is closed in a task of its own by then
        await asyncio.sleep(0)
    closing.cancel()
    _, waiting = await asyncio.wait(asyncio.all_tasks() - before, timeout=10)
    assert not waiting
    await working
    await asyncio.to_thread(driver._thread.join, 10)
