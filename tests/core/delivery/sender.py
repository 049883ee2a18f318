"""One process of several that send through the same Redis; prints the moment of each message.

Run as `python -m tests.core.delivery.sender REDIS_URL SECONDS NUMBER` and write a line to its input to begin; its loop
stands still for 120 ms each second. Another line pauses everything for a second.
"""

import asyncio
import sys
import time

from redis.asyncio import Redis

from core.delivery import pacing


async def _send(pacer: pacing.Pacer, chat: str, sent: list[tuple[float, str]]) -> None:
    while True:
        await pacer.acquire(chat, group=chat.startswith("-"), urgent=chat.startswith("urgent"))
        sent.append((time.monotonic(), chat))


async def _stall() -> None:
    while True:
        await asyncio.sleep(0.88)
        time.sleep(0.12)  # noqa: ASYNC251 - the loop is meant to stand still


async def _pause(pacer: pacing.Pacer) -> None:
    if await asyncio.to_thread(sys.stdin.readline):
        await pacer.pause(1)
        print(f"{time.monotonic()} pause", flush=True)


async def main(url: str, seconds: float, number: str) -> None:
    sent: list[tuple[float, str]] = []
    # Some chats are everybody's, most are this process's own.
    chats = ["shared 1", "shared 2", "-100", *(f"{number} {chat}" for chat in range(40)), f"urgent {number}"]
    async with Redis.from_url(url) as redis:
        pacer = pacing.Pacer("telegram", pacing.Limits(group_per_minute=3), redis=redis)
        print("ready", flush=True)
        sys.stdin.readline()
        jobs = [asyncio.create_task(job) for job in (_stall(), _pause(pacer))]
        jobs += [asyncio.create_task(_send(pacer, chat, sent)) for chat in chats]
        await asyncio.sleep(seconds)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
    for at, chat in sent:
        print(at, chat, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), sys.argv[3]))
