"""Telegram's published sending limits, and the pauses a refused sender must keep.

Telegram publishes: about 30 messages a second over all chats, one a second in one chat with short bursts allowed, 20 a
minute in one group. How its true limiter works is not published; this one is strict where a sender could be careless.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True)
class Limits:
    """What is allowed; None switches a limit off. `clock` returns monotonic seconds."""

    per_second: int | None = 30
    """Messages in any sliding second, over all chats."""
    per_chat_second: float | None = 1.0
    """Messages a second in one chat, in the long run."""
    chat_burst: int = 3
    """Messages one chat may get at once before its long-run rate holds; 1 is the strict reading."""
    per_group_minute: int | None = 20
    """Messages in any sliding minute in one group, supergroup or channel."""
    clock: Callable[[], float] = field(default=time.monotonic)

    @classmethod
    def off(cls) -> Self:
        """No limit at all; pauses from injected refusals still count."""
        return cls(per_second=None, per_chat_second=None, per_group_minute=None)

    @classmethod
    def paid(cls, per_second: int = 1000) -> Self:
        """The limits of paid broadcasts."""
        return cls(per_second=per_second)


@dataclass(frozen=True)
class Excess:
    """A message over a limit: `wait` seconds until there is room, for one chat or (None) for the whole bot."""

    wait: float
    chat_id: int | None

    @property
    def retry_after(self) -> int:
        return max(1, math.ceil(self.wait))


class Limiter:
    """Counts messages as they are stored and remembers running pauses."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._all: deque[float] = deque()
        self._groups: dict[int, deque[float]] = {}
        self._due: dict[int, float] = {}
        self._pauses: dict[int | None, tuple[float, float]] = {}

    def take(self, chat_id: int) -> Excess | None:
        """The message is counted; or it would be over a limit, is not counted, and a pause has begun."""
        now = self.limits.clock()
        excess = self._over_all(now) or self._over_chat(chat_id, now) or self._over_group(chat_id, now)
        if excess:
            self.pause(excess.retry_after, excess.chat_id)
            return excess
        if self.limits.per_second is not None:
            self._all.append(now)
        if self.limits.per_chat_second:
            self._due[chat_id] = max(self._due.get(chat_id, now), now) + 1 / self.limits.per_chat_second
        if chat_id < 0 and self.limits.per_group_minute is not None:
            self._groups.setdefault(chat_id, deque()).append(now)
        return None

    def pause(self, seconds: float, chat_id: int | None = None) -> None:
        """Messages to this chat (None: to all chats) are refused for so many seconds from now."""
        now = self.limits.clock()
        self._pauses[chat_id] = (now, now + seconds)

    def paused(self, chat_id: int | None) -> tuple[float, float] | None:
        """How many seconds a pause for this chat or for the bot has run and will still run; None when there is none."""
        if not self._pauses:
            return None
        now = self.limits.clock()
        for key in (None, chat_id):
            began, ends = self._pauses.get(key, (0.0, -math.inf))
            if now < ends:
                return now - began, ends - now
            self._pauses.pop(key, None)
        return None

    def _over_all(self, now: float) -> Excess | None:
        if self.limits.per_second is None:
            return None
        wait = _room(self._all, self.limits.per_second, now, 1.0)
        return Excess(wait, None) if wait > 0 else None

    def _over_chat(self, chat_id: int, now: float) -> Excess | None:
        if not self.limits.per_chat_second:
            return None
        slack = (self.limits.chat_burst - 1) / self.limits.per_chat_second
        wait = self._due.get(chat_id, now) - slack - now
        # Floats that should be equal may differ in the last place; a whole second is never lost to that.
        return Excess(wait, chat_id) if wait > 1e-9 else None

    def _over_group(self, chat_id: int, now: float) -> Excess | None:
        if chat_id >= 0 or self.limits.per_group_minute is None:
            return None
        wait = _room(self._groups.get(chat_id, deque()), self.limits.per_group_minute, now, 60.0)
        return Excess(wait, chat_id) if wait > 0 else None


def _room(times: deque[float], allowed: int, now: float, span: float) -> float:
    """Seconds until fewer than `allowed` of the times lie inside the span that ends then."""
    while times and times[0] <= now - span:
        times.popleft()
    return 0.0 if len(times) < allowed else times[len(times) - allowed] + span - now
