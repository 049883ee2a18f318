"""How many streams each key has: counted over all processes in Redis where there is one, and in this process always.

A stream's slot is held for a short lease that its process renews, so that one that is killed keeps none for long. Redis
may be flushed or away: then this process counts alone, and what it holds is written down again once Redis is back.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from core.redis import Redis

PER_KEY = 5
"""Streams that one key may have."""
LEASE = 20.0
"""Seconds for which a slot is kept when nobody renews it."""
_MS, _EVERY = round(LEASE * 1000), 5.0
_AWAY, _PATIENCE = 10.0, 0.5  # seconds for which nobody asks a Redis that did not answer in so many
_AT_ONCE, _CHUNK = 5, 500
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
_KEEP = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for place, key in ipairs(KEYS) do
  redis.call('ZADD', key, now + ARGV[1], ARGV[place + 1])
  redis.call('PEXPIRE', key, ARGV[1])
end
"""
_FREE = """
for place, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[place]) end
"""
log = structlog.get_logger()


class Slots:
    """The slots that streams of this process hold, by name; `holder` names the process."""

    def __init__(self, redis: "Redis | None", holder: str) -> None:
        self._redis, self._holder = redis, holder
        self._number = itertools.count(1)
        self._held: dict[str, int] = {}  # the key of each slot
        self._by_key: Counter[int] = Counter()
        self._freed: list[tuple[str, int]] = []
        self._due, self._renew_at, self._away_until = False, 0.0, 0.0
        self._turn = asyncio.Semaphore(_AT_ONCE)  # all who come back after a restart must not be as many connections
        self._tending: asyncio.Task[None] | None = None
        if redis is not None:
            self._take, self._keep, self._free = map(redis.register_script, (_TAKE, _KEEP, _FREE))

    def __len__(self) -> int:
        return len(self._held)

    async def take(self, key: int) -> str:
        """The name of a slot that is this key's now; empty when the key has all that it may have."""
        if self._by_key[key] >= PER_KEY:
            return ""
        name = f"{self._holder}:{next(self._number)}"
        self._hold(name, key)  # before anything is awaited, so that not two have the last one
        allowed = False
        try:
            allowed = await self._allowed(name, key)
        finally:
            if not allowed:
                self.free(name)
        return name if allowed else ""

    def free(self, name: str) -> None:
        """The slot is nobody's; the others hear of it soon."""
        key = self._held.pop(name, None)
        if key is None:
            return
        self._by_key -= Counter([key])
        if self._redis is not None:
            self._freed.append((name, key))
            self._tend()

    def renew(self) -> None:
        """The slots in use are kept, when it is time; returns at once."""
        if self._redis is not None and self._held and time.monotonic() >= self._renew_at:
            self._renew_at, self._due = time.monotonic() + _EVERY, True
            self._tend()

    async def close(self) -> None:
        """What was freed has been told the others, if Redis answers."""
        if self._tending is not None:
            await asyncio.wait({self._tending}, timeout=2 * _PATIENCE)
            self._tending.cancel()
            with suppress(asyncio.CancelledError):
                await self._tending

    def _hold(self, name: str, key: int) -> None:
        self._held[name] = key
        self._by_key[key] += 1

    async def _allowed(self, name: str, key: int) -> bool:
        """Whether the other processes leave room for it, as far as Redis can tell."""
        if self._redis is None:
            return True
        async with self._turn:
            said = await self._asked(self._take, [_place(key)], [name, PER_KEY, _MS])
        return bool(said != 0)

    def _tend(self) -> None:
        if self._tending is None or self._tending.done():
            self._tending = asyncio.create_task(self._work(), name="slots")

    async def _work(self) -> None:
        """What is held is renewed and what was freed is free: in few questions, however many there are."""
        while self._due or self._freed:
            if self._due:
                self._due = False
                for some in _chunks(list(self._held.items())):
                    await self._asked(self._keep, *_said(some, _MS))
            freed, self._freed = self._freed, []  # after what is held, which may have been freed meanwhile
            for some in _chunks(freed):
                await self._asked(self._free, *_said(some))

    async def _asked(self, script: Any, keys: list[str], words: list[str | int]) -> Any:
        """What Redis says; None when it is away."""
        from core import redis as door  # noqa: PLC0415 - only processes with a Redis import its client

        if time.monotonic() < self._away_until:
            return None
        try:
            async with asyncio.timeout(_PATIENCE):
                return await script(keys=keys, args=words)
        except door.AWAY as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from error  # the client turned our end into an error of its own
            self._away_until = time.monotonic() + _AWAY
            log.warning("slots_redis_away", error=type(error).__name__)
            return None


def _chunks(slots: list[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    return (slots[start : start + _CHUNK] for start in range(0, len(slots), _CHUNK))


def _place(key: int) -> str:
    return f"signalstack:streams:{key}"


def _said(slots: Sequence[tuple[str, int]], *first: int) -> tuple[list[str], list[str | int]]:
    """Slots as a script wants them: where they are kept, and their names after these words."""
    return [_place(key) for _, key in slots], [*first, *(name for name, _ in slots)]
