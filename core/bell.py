"""The bell: says "there is work" to whoever waits, in this process and, through Redis, in the others.

A ring is a hint and never the truth: the work lies in the database, and every waiter looks there again after its
time-out. So a bell without Redis, or with a Redis that is away, costs latency and nothing else.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from core.redis import Redis

_CHANNEL = "signalstack:bell"
_PATIENCE = 1.0
log = structlog.get_logger()


class Bell:
    """Rings and waits on named topics; with a Redis connection the ring is heard in every process."""

    def __init__(self, redis: "Redis | None" = None) -> None:
        self._redis = redis
        self._heard: dict[str, dict[str, asyncio.Event]] = {}  # by topic, then by waiter
        self._listener: asyncio.Task[None] | None = None
        self._ringing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Rings of other processes are heard from now on."""
        if self._redis is not None:
            self._listener = asyncio.create_task(self._listen(self._redis), name="bell")

    async def close(self) -> None:
        """Nothing of the bell is running any more."""
        for task in [*self._ringing, *([self._listener] if self._listener else [])]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def ring(self, topic: str, *, everywhere: bool = True) -> None:
        """Whoever waits for this topic wakes up, with `everywhere` in other processes too; returns at once."""
        self._wake(topic)
        if self._redis is not None and everywhere:
            task = asyncio.create_task(self._publish(self._redis, topic))
            self._ringing.add(task)
            task.add_done_callback(self._ringing.discard)

    async def wait(self, topic: str, timeout: float, *, who: str = "") -> bool:  # noqa: ASYNC109 - a bounded wait
        """Returns when the topic was rung since this waiter's last wait, or after `timeout` seconds; says which.

        Two workers that wait for one topic are told apart by `who`; each hears every ring.
        """
        event = self._heard.setdefault(topic, {}).setdefault(who, asyncio.Event())
        try:
            async with asyncio.timeout(timeout):
                await event.wait()
        except TimeoutError:
            return False
        event.clear()
        return True

    def _wake(self, topic: str) -> None:
        for event in self._heard.setdefault(topic, {"": asyncio.Event()}).values():
            event.set()

    async def _publish(self, redis: "Redis", topic: str) -> None:
        from core import redis as door  # noqa: PLC0415 - only processes with a Redis import its client

        try:
            async with asyncio.timeout(_PATIENCE):  # a Redis that hangs must not collect ever more connections
                await redis.publish(_CHANNEL, topic)
        except door.AWAY as error:
            log.debug("bell_not_published", error=type(error).__name__)

    async def _listen(self, redis: "Redis") -> None:
        from core import redis as door  # noqa: PLC0415 - only processes with a Redis import its client

        while True:
            try:
                async with redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(_CHANNEL)
                    self._wake_all()  # what was rung while nobody listened
                    async for message in channel.listen():
                        self._wake(message["data"].decode())
            except door.AWAY as error:
                log.warning("bell_redis_away", error=type(error).__name__)
                await asyncio.sleep(2)

    def _wake_all(self) -> None:
        for topic in self._heard:
            self._wake(topic)
