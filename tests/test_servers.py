"""The servers and databases that tests stand on."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis
from sqlalchemy import select, text

from core import db, models, settings
from tests import conftest, databases, servers


@pytest.mark.parametrize("_again", [1, 2])
async def test_every_test_gets_an_empty_database_with_all_tables(
    database: db.Database, now: datetime, _again: int
) -> None:
    async with database.transaction() as session:
        assert (await session.scalars(select(models.Member))).all() == []
        session.add(models.Member(created_at=now))
    async with database.reading() as session:
        assert [member.created_at for member in await session.scalars(select(models.Member))] == [now]


async def test_one_dialect_can_be_asked_for(sqlite_database: db.Database, postgres_database: db.Database) -> None:
    assert (sqlite_database.dialect, postgres_database.dialect) == ("sqlite", "postgresql")


def test_a_postgresql_database_is_gone_after_its_test(database_maker: databases.Maker) -> None:
    url = database_maker.filled()
    database_maker.drop(url)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        asyncio.run(asyncpg.connect(url))


async def test_a_stack_opens_on_the_given_database(
    database: db.Database, redis_url: str, make_stack: conftest.StackMaker
) -> None:
    stack = await make_stack(database, redis_url=redis_url, grace_days=5)
    assert stack.db is database
    assert stack.settings.grace_days == 5
    assert stack.redis is not None
    assert await stack.redis.ping()
    assert [watch.symbol for watch in stack.catalogue.watches] == ["BTC/USDT", "ETH/USDT"]


@pytest.mark.parametrize("_again", [1, 2])
def test_redis_is_empty_at_the_start(redis_url: str, _again: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys() == []
        client.set("left", "over")


def test_own_redis_can_hang_stop_and_come_back_on_its_port(own_redis: servers.Redis) -> None:
    with redis.Redis.from_url(own_redis.url, socket_timeout=0.2) as client:
        own_redis.send(signal.SIGSTOP)
        with pytest.raises(redis.TimeoutError):
            client.ping()
        own_redis.send(signal.SIGCONT)
        assert client.ping()
        own_redis.stop()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        own_redis.start()
        assert client.ping()


async def test_own_postgresql_survives_an_immediate_stop(own_postgres: servers.Postgres) -> None:
    database = db.Database(own_postgres.url)
    async with database.transaction() as session:
        await session.execute(text("CREATE TABLE kept (n int)"))
    # In a thread, as another process would: what is connected here hears of it.
    await asyncio.to_thread(own_postgres.stop, signal.SIGQUIT)
    await asyncio.to_thread(own_postgres.start)
    async with database.reading() as session:
        assert (await session.scalar(text("SELECT count(*) FROM kept"))) == 0
    await database.close()


def test_settings_of_this_machine_reach_no_test() -> None:
    assert not {name.upper() for name in settings.Settings.model_fields} & set(os.environ)


_HOLDER = """
import sys, time
from tests import servers
run = servers.Run()
server = servers.Redis(run.folder / "redis")
server.start()
print(run.folder, (run.folder / "redis.pid").read_text(), flush=True)
time.sleep(60)
"""


def test_no_server_outlives_the_process_that_wanted_it() -> None:
    root = Path(__file__).parents[1]
    with subprocess.Popen([sys.executable, "-c", _HOLDER], cwd=root, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        folder, pid = holder.stdout.readline().split()
        server = psutil.Process(int(pid))
        holder.kill()
    servers._wait_for(Path(folder) / "redis.leash")
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    assert not Path(folder).exists()
