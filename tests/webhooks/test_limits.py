"""How often somebody may ask: what is told, what several processes share, and what happens while Redis is away."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio import strategies

from tests import servers
from webhooks import limits

THREE = RateLimitItemPerMinute(3)


@asynccontextmanager
async def counters(redis_url: str = "") -> AsyncIterator[limits.Limits]:
    made = limits.Limits(redis_url)
    try:
        yield made
    finally:
        await made.close()


async def taken(counting: limits.Limits, times: int, who: str = "anna") -> list[bool]:
    return [(await counting.take(THREE, "trial", who)).ok for _ in range(times)]


async def test_so_many_are_allowed_and_the_next_is_told_when_to_come_back() -> None:
    async with counters() as counting:
        first = await counting.take(THREE, "trial", "anna")
        assert (first.ok, first.limit, first.left) == (True, 3, 2)
        assert set(first.headers) == {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}
        assert await taken(counting, 3) == [True, True, False]
        refused = await counting.take(THREE, "trial", "anna")
        assert (refused.ok, refused.left) == (False, 0)
        assert 1 <= int(refused.headers["Retry-After"]) <= 120


async def test_somebody_else_and_another_thing_are_counted_apart() -> None:
    async with counters() as counting:
        assert await taken(counting, 4) == [True, True, True, False]
        assert await taken(counting, 1, "ben") == [True]
        assert (await counting.take(THREE, "other", "anna")).ok


async def test_looking_at_what_is_left_uses_up_nothing() -> None:
    async with counters() as counting:
        assert all([await counting.left(THREE, "trial", "anna") for _ in range(5)])
        await taken(counting, 3)
        assert not await counting.left(THREE, "trial", "anna")


class _Moving(strategies.SlidingWindowCounterRateLimiter):
    """Its window moves on just after it has refused somebody, so the next one is allowed."""

    async def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        allowed = await super().hit(item, *identifiers, cost=cost)
        if not allowed:
            await self.clear(item, *identifiers)
        return allowed


async def test_a_refusal_says_when_to_come_back_also_when_a_place_falls_free_meanwhile() -> None:
    async with counters() as counting:
        await taken(counting, 3)
        counting._alone = _Moving(counting._alone.storage)
        refused = await counting.refusal(THREE, "trial", "anna")
        assert refused is not None
        assert (refused.ok, refused.left) == (False, 3)
        assert "Retry-After" in refused.headers
        assert await counting.refusal(THREE, "trial", "anna") is None


async def test_two_processes_share_what_they_allow(redis_url: str) -> None:
    async with counters(redis_url) as one, counters(redis_url) as other:
        assert await taken(one, 2) == [True, True]
        assert await taken(other, 2) == [True, False]
        assert not await one.left(THREE, "trial", "anna")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
async def test_without_its_redis_a_process_counts_alone_and_answers_soon(
    own_redis: servers.Redis, how: signal.Signals
) -> None:
    loop = asyncio.get_running_loop()
    async with counters(own_redis.url) as counting:
        assert await taken(counting, 2) == [True, True]
        if how is signal.SIGKILL:
            await asyncio.to_thread(own_redis.stop, how)
        else:
            own_redis.send(how)
        began = loop.time()
        assert await taken(counting, 4) == [True, True, True, False]
        assert loop.time() - began < 3  # one of them has asked in vain, for half a second; nobody after it does
        own_redis.send(signal.SIGCONT)


async def test_redis_counts_again_once_it_is_back(own_redis: servers.Redis, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "_AWAY", 0.0)
    async with counters(own_redis.url) as counting, counters(own_redis.url) as other:
        await asyncio.to_thread(own_redis.stop, signal.SIGKILL)
        assert await taken(counting, 1) == [True]
        await asyncio.to_thread(own_redis.start)
        assert await taken(counting, 3) == [True, True, True]
        assert await taken(other, 1) == [False]


async def test_old_and_too_many_counters_are_forgotten(monkeypatch: Any) -> None:
    memory = limits._Memory()
    for number in range(50):
        await memory.incr(f"gone {number}", -1)
    await memory.incr("stays", 60)
    memory._sweep(memory._swept + 10)
    assert set(memory.storage) == {"stays"}
    monkeypatch.setattr(limits._Memory, "_MOST", 10)
    for number in range(20):
        await memory.incr(f"caller {number}", 60)
    memory._sweep(memory._swept + 10)
    assert not memory.storage
