"""Discord's rate limits: buckets of routes, the limit over all routes, and the pauses a refused sender must keep.

Discord publishes no table of its buckets, it tells them in the headers of each answer; these are the figures bots see.
"""

import hashlib
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from tests.sandbox import discord_wire

Rate = tuple[int, float]

MAJOR = ("channel_id", "guild_id", "webhook_id", "webhook_token")
"""The parts of a path that have limits of their own."""


@dataclass(frozen=True)
class Limits:
    """How many requests in how many seconds; None switches a limit off. `clock` returns monotonic seconds."""

    messages: Rate | None = (5, 5.0)
    """New messages in one channel."""
    edits: Rate | None = (5, 5.0)
    """Changed messages in one channel."""
    deletions: Rate | None = (5, 1.0)
    roles: Rate | None = (10, 10.0)
    """Roles given and taken in one guild."""
    webhooks: Rate | None = (5, 2.0)
    """Answers to one interaction after the first."""
    others: Rate | None = (50, 10.0)
    """Any other route, for each channel or guild."""
    per_second: int | None = 50
    """All routes together that need the bot's token."""
    clock: Callable[[], float] = field(default=time.monotonic)

    @classmethod
    def off(cls) -> Self:
        """No limit at all and no headers about one; pauses from injected refusals still count."""
        return cls(None, None, None, None, None, None, None)

    def of(self, method: str, route: str) -> Rate | None:
        """The limit of the route; None when there is none, as for the first answer to an interaction."""
        if route.startswith("/interactions/"):
            return None
        if route.startswith("/webhooks/"):
            return self.webhooks
        if route.endswith("/roles/{role_id}") and "/members/" in route:
            return self.roles
        if route == "/channels/{channel_id}/messages" and method == "POST":
            return self.messages
        if route == "/channels/{channel_id}/messages/{message_id}" and method in {"PATCH", "DELETE"}:
            return self.edits if method == "PATCH" else self.deletions
        return self.others


@dataclass(slots=True)
class Window:
    """One bucket's window: it opens with the first request and is empty again after its seconds."""

    ends: float = -math.inf
    used: int = 0


class Limiter:
    """Counts requests and remembers running pauses."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._windows: dict[str, Window] = {}
        self._all: deque[float] = deque()
        self._pauses: dict[str | None, tuple[float, float]] = {}

    def take(self, call: discord_wire.Call, *, counted: bool = True) -> dict[str, str]:
        """The request is counted; returns the headers that say how much room is left. Refused with 429, and a pause
        begins, when there is none. `counted`: towards the limit over all routes."""
        now = self.limits.clock()
        if counted and self.limits.per_second is not None:
            self._take_any(self.limits.per_second, now)
        rate = self.limits.of(call.method, call.route)
        if rate is None:
            return {}
        most, seconds = rate
        window = self._windows.setdefault(key(call), Window())
        if now >= window.ends:
            window.ends, window.used = now + seconds, 0
        headers = {"X-RateLimit-Limit": str(most), "X-RateLimit-Bucket": _bucket(call)}
        left = _up(window.ends - now)
        headers |= {"X-RateLimit-Reset-After": f"{left:.3f}", "X-RateLimit-Reset": f"{time.time() + left:.3f}"}
        if window.used >= most:
            self.pause(window.ends - now, key(call))
            raise too_many(window.ends - now, headers=headers | {"X-RateLimit-Remaining": "0"})
        window.used += 1
        return headers | {"X-RateLimit-Remaining": str(most - window.used)}

    def _take_any(self, most: int, now: float) -> None:
        while self._all and self._all[0] <= now - 1.0:
            self._all.popleft()
        if len(self._all) >= most:
            wait = self._all[0] + 1.0 - now
            self.pause(wait)
            raise too_many(wait, scope="global")
        self._all.append(now)

    def pause(self, seconds: float, bucket: str | None = None) -> None:
        """Requests of this bucket (None: all requests) are refused for so many seconds from now."""
        now = self.limits.clock()
        self._pauses[bucket] = (now, now + seconds)

    def paused(self, call: discord_wire.Call, *, counted: bool = True) -> tuple[str | None, float, float] | None:
        """The bucket (None: all) whose pause this request does not keep, how many seconds the pause has run and will
        still run; None when there is none."""
        if not self._pauses:
            return None
        now = self.limits.clock()
        for bucket in (None, key(call)) if counted else (key(call),):
            began, ends = self._pauses.get(bucket, (0.0, -math.inf))
            # A sender who waits exactly as long as it was told is never early; floats may differ in the last place.
            if now < ends - 1e-3:
                return bucket, now - began, ends - now
            self._pauses.pop(bucket, None)
        return None


def key(call: discord_wire.Call) -> str:
    """The bucket of a request with the channel, guild or webhook that has it for itself."""
    return ":".join([call.method, call.route, *(call.ids[name] for name in MAJOR if name in call.ids)])


def too_many(wait: float, *, scope: str = "user", headers: dict[str, str] | None = None) -> discord_wire.Refused:
    """The refusal 429. `scope`: "user", "global" or "shared"; without the header Via it would be Cloudflare's."""
    told = {"Via": "1.1 google", "Retry-After": str(math.ceil(wait)), "X-RateLimit-Scope": scope}
    if scope == "global":
        told["X-RateLimit-Global"] = "true"
    more = {"retry_after": _up(wait), "global": scope == "global"}
    return discord_wire.Refused(429, 0, "You are being rate limited.", headers=told | (headers or {}), more=more)


def _up(seconds: float) -> float:
    """Rounded up to a millisecond, so that nobody who waits as long as they were told is early."""
    return max(1, math.ceil(seconds * 1000)) / 1000


def _bucket(call: discord_wire.Call) -> str:
    return hashlib.sha256(f"{call.method} {call.route}".encode()).hexdigest()[:32]
