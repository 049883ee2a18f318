"""Everything a process holds open: opened in one place, contacted when needed, closed in reverse."""

import asyncio
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from core import clock, db, errors, redis, settings, stack
from tests import servers
from tests.conftest import StackMaker, make_catalogue


def conf(path: Path, **values: str) -> settings.Settings:
    return settings.Settings(_env_file=None, database_url=f"sqlite:///{path}/x.db", **values)  # type: ignore[arg-type]


async def test_a_stack_works_until_its_block_ends(sqlite_url: str, redis_url: str) -> None:
    made = settings.Settings(_env_file=None, database_url=sqlite_url, redis_url=redis_url)
    async with stack.opened(made, make_catalogue(made)) as one:
        assert one.redis is not None
        assert await one.redis.ping()
        async with one.db.reading() as session:
            assert await session.scalar(text("SELECT 1")) == 1
        one.bell.ring("scan")
        assert await one.bell.wait("scan", 5)
        assert one.clock is clock.utcnow
    assert one.db.engine.pool.checkedin() == 0  # type: ignore[attr-defined]


async def test_a_stack_is_closed_when_its_block_fails(tmp_path: Path) -> None:
    made = conf(tmp_path)
    before = asyncio.all_tasks()
    with pytest.raises(errors.RefusedError):
        async with stack.opened(made, make_catalogue(made)):
            raise errors.RefusedError("x")
    assert asyncio.all_tasks() == before


async def test_nothing_is_contacted_before_it_is_needed(tmp_path: Path) -> None:
    made = settings.Settings(
        _env_file=None,
        database_url=f"postgresql://u@127.0.0.1:{servers.free_port()}/x",
        redis_url=f"redis://127.0.0.1:{servers.free_port()}/0",
    )
    began = time.monotonic()
    async with stack.opened(made, make_catalogue(made)):
        pass
    assert time.monotonic() - began < 5


async def test_every_process_has_a_name_of_its_own(tmp_path: Path) -> None:
    made = conf(tmp_path)
    names = set()
    for _ in range(20):
        async with stack.opened(made, make_catalogue(made)) as one:
            names.add(one.holder)
    assert len(names) == 20
    assert max(map(len, names)) <= 64  # the width of its column


async def test_without_a_redis_address_there_is_no_redis(tmp_path: Path) -> None:
    made = conf(tmp_path)
    async with stack.opened(made, make_catalogue(made)) as one:
        assert one.redis is None
        one.bell.ring("scan")
        assert await one.bell.wait("scan", 5)


async def test_a_redis_address_that_is_none_is_the_operators_to_mend(tmp_path: Path) -> None:
    made = conf(tmp_path, redis_url="localhost")
    with pytest.raises(errors.ConfigError, match="REDIS_URL"):
        async with stack.opened(made, make_catalogue(made)):
            raise AssertionError


async def test_q11_a_dead_redis_is_noticed_at_once(tmp_path: Path) -> None:
    made = conf(tmp_path, redis_url=f"redis://127.0.0.1:{servers.free_port()}/0")
    async with stack.opened(made, make_catalogue(made)) as one:
        assert one.redis is not None
        began = time.monotonic()
        with pytest.raises(redis.AWAY):
            await one.redis.get("x")
        assert time.monotonic() - began < 1


async def test_tests_share_one_database_with_their_stack(database: db.Database, make_stack: StackMaker) -> None:
    one = await make_stack(database)
    assert one.db is database
