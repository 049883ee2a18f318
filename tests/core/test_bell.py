"""The bell wakes whoever waits, here and in other processes, and without Redis costs latency and nothing else."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from core import bell, redis
from tests import servers

LONG = 20.0
SHORT = 0.05
Maker = Callable[[str], Awaitable[bell.Bell]]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[bell.Bell]:
    connection = redis.connect(url)
    made = bell.Bell(connection)
    await made.open()
    try:
        yield made
    finally:
        await made.close()
        await connection.aclose()


@pytest.fixture
async def make_bell() -> AsyncIterator[Maker]:
    async with AsyncExitStack() as all_bells:

        async def make(url: str) -> bell.Bell:
            return await all_bells.enter_async_context(opened(url))

        yield make


async def heard(ringing: bell.Bell, waiting: bell.Bell, topic: str) -> None:
    """The one hears the other; rung again until then, because subscribing takes a moment."""
    async with asyncio.timeout(LONG):
        while True:
            ringing.ring(topic)
            if await waiting.wait(topic, SHORT):
                return


async def test_a_waiter_wakes_when_its_topic_is_rung() -> None:
    one = bell.Bell()
    await one.open()
    waiting = asyncio.create_task(one.wait("scan", LONG))
    await asyncio.sleep(0)
    one.ring("inbox:stripe")
    one.ring("scan")
    began = time.monotonic()
    assert await waiting
    assert time.monotonic() - began < 1
    await one.close()


async def test_a_ring_before_the_wait_is_not_lost_and_counts_once() -> None:
    one = bell.Bell()
    one.ring("scan")
    one.ring("scan")
    assert await one.wait("scan", LONG)
    assert not await one.wait("scan", 0)


async def test_every_waiter_of_a_topic_hears_every_ring() -> None:
    one = bell.Bell()
    waiters = [asyncio.create_task(one.wait("scan", LONG, who=who)) for who in ("", "a", "b")]
    await asyncio.sleep(0)
    one.ring("scan")
    assert await asyncio.gather(*waiters) == [True] * 3
    one.ring("scan")
    for who in ("a", "b"):
        assert await one.wait("scan", LONG, who=who)


async def test_a_wait_without_a_ring_is_bounded() -> None:
    began = time.monotonic()
    assert not await bell.Bell().wait("scan", SHORT)
    assert SHORT / 2 < time.monotonic() - began < 5


async def test_a_ring_is_heard_in_another_process(redis_url: str, make_bell: Maker) -> None:
    here, there = await make_bell(redis_url), await make_bell(redis_url)
    await heard(here, there, "scan")
    await heard(there, here, "outbox:telegram")
    waiting = asyncio.create_task(there.wait("inbox:stripe", LONG))
    await asyncio.sleep(0)
    here.ring("inbox:stripe")
    assert await waiting


async def test_q11_without_redis_waits_are_bounded_and_rings_are_heard_here(make_bell: Maker) -> None:
    one = await make_bell(f"redis://127.0.0.1:{servers.free_port()}/0")
    began = time.monotonic()
    one.ring("scan")
    assert await one.wait("scan", LONG)
    assert not await one.wait("scan", SHORT)
    assert time.monotonic() - began < 2


async def test_q11_a_redis_that_stops_and_comes_back_is_heard_again(own_redis: servers.Redis, make_bell: Maker) -> None:
    here, there = await make_bell(own_redis.url), await make_bell(own_redis.url)
    await heard(here, there, "scan")
    await asyncio.to_thread(own_redis.stop, signal.SIGKILL)
    began = time.monotonic()
    here.ring("inbox:stripe")
    assert await here.wait("inbox:stripe", LONG)
    assert not await there.wait("inbox:stripe", SHORT)
    assert time.monotonic() - began < 2
    await asyncio.to_thread(own_redis.start)
    await heard(here, there, "scan")


async def test_q11_a_redis_that_hangs_collects_no_connections_and_delays_nobody(
    own_redis: servers.Redis, make_bell: Maker
) -> None:
    one = await make_bell(own_redis.url)
    await heard(one, one, "scan")
    own_redis.send(signal.SIGSTOP)
    try:
        for _ in range(20):
            one.ring("inbox:stripe")
        assert await one.wait("inbox:stripe", LONG)
        assert not await one.wait("inbox:stripe", SHORT)
        async with asyncio.timeout(LONG):
            while one._ringing:
                await asyncio.wait(one._ringing)
    finally:
        own_redis.send(signal.SIGCONT)
    other = await make_bell(own_redis.url)
    await heard(one, other, "scan")


async def test_q11_a_flushed_redis_changes_nothing(redis_url: str, make_bell: Maker) -> None:
    here, there = await make_bell(redis_url), await make_bell(redis_url)
    await heard(here, there, "scan")
    async with redis.connect(redis_url) as client:
        await client.flushall()
    await heard(here, there, "scan")


async def test_a_closed_bell_leaves_nothing_running(redis_url: str) -> None:
    before = asyncio.all_tasks()
    async with opened(redis_url) as one:
        for _ in range(5):
            one.ring("scan")
    assert asyncio.all_tasks() == before
