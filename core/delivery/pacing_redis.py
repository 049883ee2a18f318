"""The limits that all processes share, kept in Redis and decided by one script on Redis's own clock.

Redis may be flushed, restarted or away. A memory that was lost is noticed by its `generation`: the first process that
still remembers recent messages then closes the way until those are older than any limit's second. While Redis is away
every process goes on alone with a quarter of the rate, and the way is closed again when they come back.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import structlog

from core.delivery import lanes

if TYPE_CHECKING:
    from core.redis import Redis

BOUND = 0.25
RETRY = 0.5
# A call that takes this much longer than usual says that our own loop stood still.
_STALL = 0.1
_LATE = 0.02
log = structlog.get_logger()

_SCRIPT = """
local grants, due, pause, generation, closed, busy, held, group = unpack(KEYS)
local me, mine, known, recent, fresh = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5]
local hard, every, slack, window = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local urgent, interval, group_limit, shut = ARGV[10] == '1', ARGV[11], tonumber(ARGV[12]), ARGV[13]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local text = string.format('%.0f', now)

local born = redis.call('GET', generation)
if not born then
  born = fresh
  redis.call('SET', generation, born)
end
if known ~= born and recent then redis.call('SET', closed, 1, 'PX', shut, 'NX') end
if mine ~= '' then
  redis.call('ZREM', grants, mine)
  if redis.call('GET', busy) == mine then
    redis.call('DEL', busy)
    redis.call('RPOP', group)
  end
end

local function left(key)
  local ms = redis.call('PTTL', key)
  if ms < 0 then return nil end
  return (ms + 1) * 1000
end
local wait = left(pause)
if wait then return {wait, 'pause', born} end
wait = left(closed)
if wait then return {wait, 'all', born} end
wait = left(held)
if wait then return {wait, 'held', born} end
wait = left(busy)
if wait then return {wait, 'chat', born} end
if group_limit > 0 then
  local oldest = redis.call('LINDEX', group, -group_limit)
  if oldest and oldest + 60030000 > now then return {oldest + 60030000 - now, 'chat', born} end
end

redis.call('ZREMRANGEBYSCORE', grants, '-inf', now - window)
redis.call('ZREMRANGEBYSCORE', grants, now + window, '+inf')
local count = redis.call('ZCARD', grants)
if count >= hard then
  local first = redis.call('ZRANGE', grants, count - hard, count - hard, 'WITHSCORES')
  return {first[2] + window - now + 100, 'all', born}
end
local at = math.min(tonumber(redis.call('GET', due) or '0'), now + 1000000)
if not urgent and at - slack > now then return {at - slack - now + 100, 'bulk', born} end

redis.call('ZADD', grants, text, me)
redis.call('PEXPIRE', grants, 5000)
redis.call('SET', due, string.format('%.0f', math.max(at, now) + every), 'PX', 5000)
if interval ~= '0' then redis.call('SET', busy, me, 'PX', interval) end
if group_limit > 0 then
  redis.call('RPUSH', group, text)
  redis.call('LTRIM', group, -group_limit, -1)
  redis.call('PEXPIRE', group, 61000)
end
return {0, '', born}
"""


@dataclass(frozen=True, slots=True)
class Rates:
    """The limits as the script wants them; seconds, `slack` is how much a burst may be ahead of even spacing."""

    hard: int
    every: float
    slack: float
    window: float
    interval: float
    group_limit: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Go when `wait` is 0; else ask again in `wait` seconds. `why`: pause, all, bulk, held, chat, again or nothing."""

    wait: float
    why: str = ""
    token: str = ""


class Shared:
    """This process's side of the shared limits of one platform."""

    def __init__(self, redis: "Redis", name: str, rates: Rates, clock: Callable[[], float]) -> None:
        self._redis, self._rates, self._clock = redis, rates, clock
        self._prefix = f"{{signalstack:pace:{name}}}"
        self._script = redis.register_script(_SCRIPT)
        self._me, self._asked = secrets.token_hex(6), 0
        self._generation = ""
        self._took: deque[float] = deque(maxlen=16)
        self._stalls = 0
        self._retry_at = -inf
        self.away_since: float | None = None

    def in_reach(self, now: float) -> bool:
        """Whether Redis should be asked, because it is there or it is time to look again."""
        return self.away_since is None or now >= self._retry_at

    def late(self, grant: lanes.Grant, now: float) -> bool:
        """Whether the grant is used so much later than usual that Redis's count of this second is no longer true."""
        return bool(grant.token) and now - grant.asked > min(self._took, default=0) + _LATE

    async def ask(self, waiter: lanes.Waiter, *, recent: bool) -> Verdict | None:
        """May this message leave now? `recent`: this process sent within the window. None: Redis is away."""
        self._asked += 1
        token = f"{self._me}:{self._asked}"
        memory: list[str | int] = [token, waiter.returned, self._generation, int(recent), secrets.token_hex(8)]
        answer = await self._call(self._script(keys=self._keys(waiter.chat), args=[*memory, *self._limits(waiter)]))
        waiter.returned = ""
        if answer is None:
            return None if self.away_since is not None else Verdict(0, "again")
        wait, why, self._generation = int(answer[0]) / 1e6, answer[1].decode(), answer[2].decode()
        return Verdict(wait, why, "" if wait else token)

    async def pause(self, seconds: float, chat: str | None) -> None:
        """Nothing leaves (to this chat) before `seconds` have passed, as far as Redis can tell the others."""
        if not self.in_reach(self._clock()) or seconds <= 0:
            return
        key = self._keys(chat or "")[2 if chat is None else 6]
        lasting = await self._call(self._redis.pttl(key))
        if lasting is not None and lasting < seconds * 1000:
            await self._call(self._redis.set(key, 1, px=max(1, round(seconds * 1000))))

    def _keys(self, chat: str) -> list[str]:
        common = [f"{self._prefix}:{name}" for name in ("grants", "due", "pause", "generation", "closed")]
        return common + [f"{self._prefix}:{name}:{chat}" for name in ("busy", "held", "group")]

    def _limits(self, waiter: lanes.Waiter) -> list[int]:
        rates = self._rates
        times = [round(seconds * 1e6) for seconds in (rates.every, rates.slack, rates.window)]
        shut = round((BOUND + RETRY + rates.window) * 1000)
        group = rates.group_limit if waiter.group else 0
        return [rates.hard, *times, int(waiter.urgent), round(rates.interval * 1000), group, shut]

    async def _call(self, command: Any) -> Any:
        from core import redis as door  # noqa: PLC0415 - only processes with a Redis import its client

        start = self._clock()
        try:
            async with asyncio.timeout(BOUND):
                answer = await command
        except door.AWAY as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from error  # the client turned our end into an error of its own
            self._failed(error, self._clock() - start)
            return None
        self._answered(self._clock() - start)
        return answer

    def _failed(self, error: Exception, took: float) -> None:
        self._stalls += 1
        if isinstance(error, TimeoutError) and took > BOUND + _STALL and self._stalls < 4:
            return  # we stood still, not Redis
        now = self._clock()
        self._retry_at = now + RETRY
        self._generation = ""
        if self.away_since is None:
            self.away_since = now
            log.warning("pacing_redis_away", error=type(error).__name__)

    def _answered(self, took: float) -> None:
        self._took.append(took)
        self._stalls = 0
        if self.away_since is not None:
            self.away_since = None
            log.info("pacing_redis_returned")
