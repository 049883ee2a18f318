"""Slots for streams: five for a key in all processes together, none lost with a process, and Redis may be away."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from core import db, redis
from tests import servers
from tests.webhooks import streaming
from webhooks import slots

ANNA, BEN = 7, 8


@asynccontextmanager
async def process(url: str, name: str) -> AsyncIterator[slots.Slots]:
    """The slots of one process."""
    client = redis.connect(url)
    made = slots.Slots(client, name)
    try:
        yield made
    finally:
        await made.close()
        await client.aclose()


async def taken(of: slots.Slots, times: int, key: int = ANNA) -> list[str]:
    return [await of.take(key) for _ in range(times)]


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Returns as soon as the condition holds."""
    async with asyncio.timeout(10):
        while not await true():  # noqa: ASYNC110 - nobody else tells
            await asyncio.sleep(0.01)


async def test_processes_share_what_a_key_has(redis_url: str) -> None:
    async with process(redis_url, "one") as one, process(redis_url, "other") as other:
        assert all(await taken(one, 3))
        held = await taken(other, 2)
        assert all(held)
        assert await taken(one, 1) == await taken(other, 1) == [""]
        assert await other.take(BEN)
        other.free(held[0])

        async def allowed() -> bool:
            return bool(await one.take(ANNA))

        await until(allowed)
        assert await other.take(ANNA) == ""


async def test_a_process_that_ends_gives_back_what_it_held(redis_url: str) -> None:
    async with process(redis_url, "other") as other:
        async with process(redis_url, "one") as one:
            for name in await taken(one, slots.PER_KEY):
                one.free(name)
        assert all(await taken(other, slots.PER_KEY))


async def test_what_a_killed_process_held_is_soon_free_and_what_lives_is_kept(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "_MS", 1000)
    monkeypatch.setattr(slots, "_EVERY", 0.05)
    async with process(redis_url, "killed") as killed, process(redis_url, "alive") as alive:
        assert all(await taken(killed, 3))
        assert all(await taken(alive, 2))
        found = []

        async def three() -> bool:
            alive.renew()
            if await alive.take(ANNA):
                found.append(len(alive))
            return len(found) == 3

        await until(three)

        async def refused() -> bool:
            alive.renew()
            name = await killed.take(ANNA)
            killed.free(name)
            return not name

        await until(refused)


async def test_a_flushed_redis_is_told_again(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_EVERY", 0.0)
    async with process(redis_url, "one") as one, process(redis_url, "other") as other:
        assert all(await taken(one, slots.PER_KEY))
        async with redis.connect(redis_url) as client:
            await client.flushall()
            one.renew()

            async def written() -> bool:
                return bool(await client.zcard(slots._place(ANNA)) == slots.PER_KEY)

            await until(written)
        assert await other.take(ANNA) == ""


async def test_many_slots_are_renewed_in_few_questions(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_CHUNK", 4)
    monkeypatch.setattr(slots, "_EVERY", 0.0)
    async with process(redis_url, "one") as one, redis.connect(redis_url) as client:
        for key in range(10):
            assert await one.take(key)
        await client.flushall()
        one.renew()

        async def written() -> bool:
            return bool(await client.dbsize() == 10)

        await until(written)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
async def test_without_its_redis_a_process_counts_alone_and_answers_soon(
    own_redis: servers.Redis, how: signal.Signals
) -> None:
    loop = asyncio.get_running_loop()
    async with process(own_redis.url, "one") as one, process(own_redis.url, "other") as other:
        held = await taken(one, 2)
        if how is signal.SIGKILL:
            await asyncio.to_thread(own_redis.stop, how)
        else:
            own_redis.send(how)
        began = loop.time()
        assert [bool(name) for name in await taken(one, 4)] == [True, True, True, False]
        assert loop.time() - began < 3  # one of them has asked in vain, for half a second; nobody after it does
        one.free(held[0])
        assert await one.take(ANNA)
        assert all(await taken(other, slots.PER_KEY))
        own_redis.send(signal.SIGCONT)


async def test_redis_counts_again_once_it_is_back(own_redis: servers.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_AWAY", 0.0)
    monkeypatch.setattr(slots, "_EVERY", 0.0)
    async with process(own_redis.url, "one") as one, process(own_redis.url, "other") as other:
        await asyncio.to_thread(own_redis.stop, signal.SIGKILL)
        assert all(await taken(one, slots.PER_KEY))
        await asyncio.to_thread(own_redis.start)

        async def heard() -> bool:
            one.renew()
            name = await other.take(ANNA)
            other.free(name)
            return not name

        await until(heard)


async def test_who_goes_away_while_redis_is_asked_holds_nothing(own_redis: servers.Redis) -> None:
    async with process(own_redis.url, "one") as one:
        own_redis.send(signal.SIGSTOP)
        asking = [asyncio.create_task(one.take(ANNA)) for _ in range(slots.PER_KEY)]
        await asyncio.sleep(0)
        assert await one.take(ANNA) == ""
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        assert not len(one)
        own_redis.send(signal.SIGCONT)


async def test_without_a_redis_each_process_counts_alone() -> None:
    one, other = slots.Slots(None, "one"), slots.Slots(None, "other")
    for alone in (one, other):
        assert [bool(name) for name in await taken(alone, 6)] == [True] * 5 + [False]
        alone.renew()
        await alone.close()


async def test_a_member_meets_the_limit_at_every_process_and_is_let_in_when_a_stream_ends(
    sqlite_database: db.Database, make_stack: Any, now: datetime, redis_url: str
) -> None:
    async with AsyncExitStack() as opened:
        here, there = [
            await opened.enter_async_context(
                streaming.open_scene(sqlite_database, make_stack, now, redis_url=redis_url)
            )
            for _ in range(2)
        ]
        _, key = await here.payer()
        held = [await scene.listen(key) for scene in (here, here, here, there, there)]
        for scene in (here, there):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
                await scene.listen(key)
        await held[4].close()

        async def again() -> bool:
            try:
                return bool(await here.listen(key))
            except aiohttp.WSServerHandshakeError:
                return False

        await until(again)
