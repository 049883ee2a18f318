"""How often somebody may ask: counted by the library `limits`, in Redis where there is one, else in this process.

Redis may be away: then this process counts alone, which lets a little more through and keeps nobody out.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio import storage, strategies

API = RateLimitItemPerMinute(120)
"""Requests of one key."""
MEMBER = RateLimitItemPerMinute(240)
"""Requests of one member, with all their keys."""
ADDRESS = RateLimitItemPerMinute(300)
"""Requests of one address to the members' API, with or without a key."""
GUESSES = RateLimitItemPerMinute(10)
"""Wrong keys from one address, and wrong secrets for one prefix."""
HEAVY = RateLimitItemPerHour(30)
"""Requests of one member that set work going, such as backtests."""
SCANS = RateLimitItemPerMinute(3)
"""How often a member may have the markets looked at."""
PAGES = RateLimitItemPerMinute(120)
"""Requests of one address for pages, and for what does not exist."""
FILES = RateLimitItemPerMinute(600)
"""Requests of one address for the files that pages are made of."""
LINKS = RateLimitItemPerMinute(60)
"""Requests of one address under signed links: checkout and portal."""
PAYING = RateLimitItemPerMinute(12)
"""How often one address may have the payment provider open something."""
FIGURES = RateLimitItemPerMinute(60)
"""Requests of one address for the figures."""
PROVIDER = RateLimitItemPerMinute(6000)
"""Events of one provider that are proven to be its own; whoever cannot prove that uses up nothing of it."""
FORGED = RateLimitItemPerMinute(60)
"""Events of one address that nobody signed."""
INTAKE, SOURCE = RateLimitItemPerMinute(120), RateLimitItemPerMinute(30)
"""Requests of one address for alerts, and alerts of one source; strangers use up nothing of what a source has."""
NOTED = RateLimitItemPerMinute(2)
"""Alarms about those who knock in vain."""
_AWAY, _PATIENCE = 10.0, 0.5  # seconds for which nobody asks a Redis that did not answer in so many
T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether one more was allowed, out of how many, how many are left, and after how many seconds more are."""

    ok: bool
    limit: int
    left: int
    reset: int

    @property
    def headers(self) -> dict[str, str]:
        """What a program reads of it (draft-ietf-httpapi-ratelimit-headers, the version with three fields)."""
        told = {"RateLimit-Limit": self.limit, "RateLimit-Remaining": self.left, "RateLimit-Reset": self.reset}
        return {name: str(value) for name, value in told.items()} | (
            {} if self.ok else {"Retry-After": str(max(1, self.reset))}
        )


class TooOftenError(Exception):
    """The request is answered with a 429 that says when to ask again."""

    def __init__(self, allowance: Allowance) -> None:
        super().__init__("That was too often.")
        self.allowance = allowance


class _Memory(storage.MemoryStorage):
    """The library's own counters in memory look for old ones at every request; with many callers that is work.

    Here that is done every few seconds, and there are never more counters than a process can bear.
    """

    _MOST, _EVERY = 100_000, 5.0

    def __init__(self) -> None:
        super().__init__()
        self._swept = 0.0

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """One more; the counter ends `expiry` seconds after its first."""
        now = time.time()
        if now >= self._swept + self._EVERY:
            self._sweep(now)
        await self.get(key)
        self.storage[key] += amount
        self.expirations.setdefault(key, now + expiry)
        return self.storage[key]

    def _sweep(self, now: float) -> None:
        self._swept = now
        if len(self.storage) > self._MOST:  # so many callers are an attack; whoever counts afresh keeps nobody out
            self.storage.clear()
            self.expirations.clear()
        for key in [key for key, end in self.expirations.items() if end <= now]:
            self.storage.pop(key, None)
            self.expirations.pop(key, None)


class Limits:
    """The counters of one site."""

    def __init__(self, redis_url: str = "", *, times: int = 1) -> None:
        self._times = times  # every rule allows so many times as much
        self._alone = strategies.SlidingWindowCounterRateLimiter(_Memory())
        self._shared, self._kept = None, None
        if redis_url:
            self._kept = storage.RedisStorage(f"async+{redis_url}", implementation="redispy")
            self._shared = strategies.SlidingWindowCounterRateLimiter(self._kept)
        self._away_until = 0.0

    async def take(self, rule: RateLimitItem, *who: str) -> Allowance:
        """One more of `who` is counted, if the rule allows it."""
        return await self._asked(self._taken, self._grown(rule), who)

    async def refusal(self, rule: RateLimitItem, *who: str) -> Allowance | None:
        """One more of `who` is counted and this is None, or the rule does not allow it."""
        return await self._asked(self._refused, self._grown(rule), who)

    async def _asked(self, ask: Callable[..., Awaitable[T]], rule: RateLimitItem, who: tuple[str, ...]) -> T:
        if self._shared is not None and time.monotonic() >= self._away_until:
            try:
                async with asyncio.timeout(_PATIENCE):
                    return await ask(self._shared, rule, who)
            except Exception as error:  # noqa: BLE001 - whatever its client raises, members are answered
                self._away_until = time.monotonic() + _AWAY
                log.warning("limits_redis_away", error=type(error).__name__)
        return await ask(self._alone, rule, who)

    async def left(self, rule: RateLimitItem, *who: str) -> bool:
        """Whether one more would be allowed; nothing is counted."""
        return await self._asked(self._left, self._grown(rule), who)

    async def close(self) -> None:
        """No connection is held open any more."""
        if self._kept is not None:
            bridge: Any = self._kept.bridge
            await bridge.storage.aclose()

    def _grown(self, rule: RateLimitItem) -> RateLimitItem:
        return rule if self._times == 1 else type(rule)(rule.amount * self._times, rule.multiples)

    @staticmethod
    async def _taken(limiter: strategies.RateLimiter, rule: RateLimitItem, who: tuple[str, ...]) -> Allowance:
        ok = await limiter.hit(rule, *who)
        return await Limits._standing(ok, limiter, rule, who)

    @staticmethod
    async def _refused(limiter: strategies.RateLimiter, rule: RateLimitItem, who: tuple[str, ...]) -> Allowance | None:
        return None if await limiter.hit(rule, *who) else await Limits._standing(False, limiter, rule, who)

    @staticmethod
    async def _standing(
        ok: bool, limiter: strategies.RateLimiter, rule: RateLimitItem, who: tuple[str, ...]
    ) -> Allowance:
        """What the answer was, with what is left now; nothing more is counted, for a place may have fallen free."""
        standing = await limiter.get_window_stats(rule, *who)
        return Allowance(ok, rule.amount, standing.remaining, max(0, round(standing.reset_time - time.time())))

    @staticmethod
    async def _left(limiter: strategies.RateLimiter, rule: RateLimitItem, who: tuple[str, ...]) -> bool:
        return await limiter.test(rule, *who)
