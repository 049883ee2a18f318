"""The pacer over several processes, in real time, with a real Redis that hangs, dies and forgets."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import structlog
from redis.asyncio import Redis

from core import redis as door
from core.delivery import pacing
from tests import servers
from tests.core.delivery import virtual

ROOT = Path(__file__).parents[3]


class Sent:
    """The moments at which messages left."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._more = asyncio.Event()

    def add(self) -> None:
        self.times.append(time.monotonic())
        self._more.set()

    async def more(self, count: int) -> None:
        """So many more messages have left."""
        wanted = len(self.times) + count
        async with asyncio.timeout(10):
            while len(self.times) < wanted:
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def sender(url: str, seconds: float, number: int) -> AsyncIterator[asyncio.subprocess.Process]:
    start = [sys.executable, "-m", "tests.core.delivery.sender", url, str(seconds), str(number)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*start, cwd=ROOT, stdin=pipe, stdout=pipe)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_t08_processes_together_keep_the_limits_and_the_pause(redis_url: str) -> None:
    async with AsyncExitStack() as stack:
        team = [await stack.enter_async_context(sender(redis_url, 3.2, number)) for number in range(3)]
        for process in team:
            assert process.stdout is not None
            assert process.stdin is not None
            assert await process.stdout.readline() == b"ready\n"
        for process in team:
            process.stdin.write(b"go\n")  # type: ignore[union-attr]
        await asyncio.sleep(1.2)
        team[0].stdin.write(b"pause\n")  # type: ignore[union-attr]
        said = await asyncio.gather(*(process.communicate(b"") for process in team))
    lines = [line.split(maxsplit=1) for out, _ in said for line in out.decode().splitlines()]
    sent = [(float(at), chat) for at, chat in lines if chat != "pause"]
    [paused] = [float(at) for at, chat in lines if chat == "pause"]
    times = [at for at, _ in sent]
    assert virtual.most(times) <= 30
    assert not [at for at in times if paused + 0.01 < at < paused + 0.99]
    assert len(times) >= 0.75 * 29 * 2.2
    for chat in {chat for _, chat in sent}:
        assert virtual.closest([at for at, where in sent if where == chat]) >= 1.0
    assert len([at for at, chat in sent if chat == "-100"]) <= 3
    per_process = [len(out.splitlines()) for out, _ in said]
    assert min(per_process) >= max(per_process) / 4


@asynccontextmanager
async def pair(url: str) -> AsyncIterator[Sent]:
    """Two pacers as in two processes, each with its own connection and more messages than may leave."""
    sent = Sent()

    async def send(pacer: pacing.Pacer, chat: str) -> None:
        while True:
            await pacer.acquire(chat)
            sent.add()

    async with AsyncExitStack() as stack:
        jobs = []
        for number in range(2):
            redis = await stack.enter_async_context(door.connect(url))
            pacer = pacing.Pacer("telegram", pacing.Limits(), redis=redis)
            jobs += [asyncio.create_task(send(pacer, f"{number} {chat}")) for chat in range(60)]
        yield sent
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


async def test_q11_a_flushed_redis_breaks_no_limit(own_redis: servers.Redis) -> None:
    async with pair(own_redis.url) as sent, Redis.from_url(own_redis.url) as redis:
        await sent.more(25)
        await redis.flushall()
        await sent.more(35)
    assert virtual.most(sent.times) <= 30


@pytest.mark.parametrize("how", ["stopped", "hanging"])
async def test_q11_without_redis_messages_leave_at_a_lower_rate(own_redis: servers.Redis, how: str) -> None:
    with structlog.testing.capture_logs() as logs:
        async with pair(own_redis.url) as sent:
            await sent.more(25)
            if how == "stopped":
                own_redis.stop(signal.SIGKILL)
            else:
                own_redis.send(signal.SIGSTOP)
            away = time.monotonic()
            await asyncio.sleep(2)
            alone = [at for at in sent.times if at > away + 0.5]
            if how == "stopped":
                own_redis.start()
            else:
                own_redis.send(signal.SIGCONT)
            await sent.more(35)
    assert virtual.most(sent.times) <= 30
    assert 2 <= len(alone) <= 2 * 7 * 2
    events = [log["event"] for log in logs]
    assert events.count("pacing_redis_away") == 2  # once for each process
    assert events.count("pacing_redis_returned") == 2


async def test_q11_a_dead_port_delays_the_first_message_by_little_more_than_a_second() -> None:
    async with door.connect(f"redis://127.0.0.1:{servers.free_port()}") as redis:
        pacer = pacing.Pacer("telegram", pacing.Limits(), redis=redis)
        async with asyncio.timeout(2):
            await pacer.acquire("1")


async def test_the_first_message_of_all_leaves_at_once(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        pacer = pacing.Pacer("telegram", pacing.Limits(), redis=redis)
        async with asyncio.timeout(0.5):
            await pacer.acquire("1")


async def test_t07_a_pause_for_one_chat_is_kept_by_the_others(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        one, other = (pacing.Pacer("telegram", pacing.Limits(), redis=redis) for _ in range(2))
        await one.pause(0.6, "slow")
        begun = time.monotonic()
        slow = asyncio.create_task(other.acquire("slow"))
        await other.acquire("quick")
        assert time.monotonic() - begun < 0.5
        await slow
        assert time.monotonic() - begun >= 0.59


async def test_t07_a_pause_outlives_a_flushed_redis(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        one, other = (pacing.Pacer("telegram", pacing.Limits(), redis=redis) for _ in range(2))
        await one.pause(1.5)
        begun = time.monotonic()
        waiting = asyncio.create_task(one.acquire("1"))
        await asyncio.sleep(0.1)
        await redis.flushdb()
        await asyncio.sleep(0.6)
        await other.acquire("2")
        assert time.monotonic() - begun >= 1.49
        await waiting


async def test_platforms_do_not_share_their_limits(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        one, other = (pacing.Pacer(name, pacing.Limits(), redis=redis) for name in ("telegram", "discord"))
        await one.pause(30)
        async with asyncio.timeout(1):
            await other.acquire("1")
