"""How often somebody may ask: counted by the library `limits`, in Redis where there is one, else in this process.

Redis may be away: then this process counts alone, which lets a little more through and keeps nobody out.
"""

import time
from dataclasses import dataclass

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
_AWAY = 10.0  # seconds for which nobody asks a Redis that did not answer
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


class Limits:
    """The counters of one site."""

    def __init__(self, redis_url: str = "", *, times: int = 1) -> None:
        self._times = times  # every rule allows so many times as much
        self._alone = strategies.SlidingWindowCounterRateLimiter(storage.MemoryStorage())
        self._shared = None
        if redis_url:
            kept = storage.RedisStorage(
                f"async+{redis_url}", implementation="redispy", socket_timeout=0.5, socket_connect_timeout=0.5
            )
            self._shared = strategies.SlidingWindowCounterRateLimiter(kept)
        self._away_until = 0.0

    async def take(self, rule: RateLimitItem, *who: str) -> Allowance:
        """One more of `who` is counted, if the rule allows it."""
        rule = self._grown(rule)
        if self._shared is not None and time.monotonic() >= self._away_until:
            try:
                return await self._taken(self._shared, rule, who)
            except Exception as error:  # noqa: BLE001 - whatever its client raises, members are answered
                self._away_until = time.monotonic() + _AWAY
                log.warning("limits_redis_away", error=type(error).__name__)
        return await self._taken(self._alone, rule, who)

    async def left(self, rule: RateLimitItem, *who: str) -> bool:
        """Whether one more would be allowed; nothing is counted."""
        rule = self._grown(rule)
        limiter = self._shared if self._shared is not None and time.monotonic() >= self._away_until else self._alone
        try:
            return await limiter.test(rule, *who)
        except Exception:  # noqa: BLE001 - as above
            self._away_until = time.monotonic() + _AWAY
            return await self._alone.test(rule, *who)

    def _grown(self, rule: RateLimitItem) -> RateLimitItem:
        return rule if self._times == 1 else type(rule)(rule.amount * self._times, rule.multiples)

    @staticmethod
    async def _taken(limiter: strategies.RateLimiter, rule: RateLimitItem, who: tuple[str, ...]) -> Allowance:
        ok = await limiter.hit(rule, *who)
        standing = await limiter.get_window_stats(rule, *who)
        return Allowance(ok, rule.amount, standing.remaining, max(0, round(standing.reset_time - time.time())))
