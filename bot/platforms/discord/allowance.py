"""What Discord still allows us: requests of each kind, all of them together, and refused ones.

Discord says in each answer how many more of its kind it takes. Who would have to wait is told when their turn is,
instead of keeping a place while waiting: roles for a thousand members must not hold up a signal.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from bot.platforms.discord import wire

INVALID, WINDOW = 1000, 600.0
"""Discord bans an address for a day after 10,000 refused requests in ten minutes; at a tenth of that we stop."""
_PACE = 1.0  # seconds between requests of a kind, once its limit is reached; what Discord grants for roles and messages
_MOST_ROOMS = 1000
_MOST_BOOKED = 300.0


@dataclass(slots=True)
class _Room:
    """Of one kind of request, `left` more may follow until the room `opens` again for `limit` (0: not known).

    `flying` are under way, `booked` is the last turn that was given away.
    """

    limit: int = 0
    left: int = 0
    opens: float = 0.0
    flying: int = 0
    booked: float = 0.0

    def free(self, now: float) -> bool:
        """Whether one more may go at this moment."""
        return not self.limit or (self.left if self.opens > now else self.limit - self.flying) > 0


class Allowance:
    """One account for all requests of this process; `clock` returns monotonic seconds."""

    def __init__(self, *, invalid: int = INVALID, clock: Callable[[], float] = time.monotonic) -> None:
        self._invalid, self._clock = invalid, clock
        self._rooms: dict[str, _Room] = {}
        self._refused: deque[float] = deque()
        self._held, self._shut = 0.0, 0.0

    @property
    def stopped_for(self) -> float:
        """Seconds for which nothing is sent because too many requests were refused; 0 in good times."""
        now = self._clock()
        while self._refused and self._refused[0] <= now - WINDOW:
            self._refused.popleft()
        return self._refused[0] + WINDOW - now if len(self._refused) >= self._invalid else 0.0

    @contextmanager
    def taken(self, kind: str, *, free: bool = False) -> Iterator[None]:
        """One request of this kind is under way in the block; raises NotBegunError when it would be refused now.

        `free`: Discord does not count it towards the limit over all requests (answers to interactions).
        """
        now = self._clock()
        self._check(now, free=free)
        room = self._rooms.setdefault(kind, _Room())
        if not room.free(now):
            # Who comes later gets a later turn, so that nobody asks again in vain.
            room.booked = max(room.booked, room.opens, now) + _PACE
            after = min(room.booked - now, _MOST_BOOKED)
            raise wire.NotBegunError("Discord takes no more requests of this kind for now", after)
        room.left -= 1
        room.flying += 1
        try:
            yield
        finally:
            room.flying -= 1
            self._tidy(now)

    def _check(self, now: float, *, free: bool) -> None:
        if self._shut > now:
            raise wire.NotBegunError("Cloudflare has turned us away", self._shut - now, "all")
        if free:
            return
        if self._held > now:
            raise wire.NotBegunError("Discord has asked us to wait with everything", self._held - now, "all")
        if (stop := self.stopped_for) > 0:
            raise wire.NotBegunError("too many refused requests in ten minutes", stop, "all")

    def told(self, kind: str, status: int, headers: Mapping[str, str], error: wire.DiscordError | None) -> None:
        """What this answer says of our limits is known."""
        now = self._clock()
        if status in {401, 403} or (status == 429 and headers.get("X-RateLimit-Scope") != "shared"):
            self._refused.append(now)
        room = self._rooms.setdefault(kind, _Room())
        if isinstance(error, wire.NotBegunError) and error.after is not None:
            if error.pause != "all":
                room.limit, room.left, room.opens = room.limit or 1, 0, now + error.after
            elif "Via" in headers:
                self._held = max(self._held, now + error.after)
            else:
                self._shut = max(self._shut, now + error.after)
        elif "X-RateLimit-Remaining" in headers and "X-RateLimit-Reset-After" in headers:
            room.limit = max(1, int(headers.get("X-RateLimit-Limit", "1")))
            # Those still under way may not be counted there yet; the answered one is, and flies until its caller knows.
            room.left = int(headers["X-RateLimit-Remaining"]) - max(0, room.flying - 1)
            room.opens = now + float(headers["X-RateLimit-Reset-After"])

    def _tidy(self, now: float) -> None:
        if len(self._rooms) > _MOST_ROOMS:
            self._rooms = {
                kind: room for kind, room in self._rooms.items() if room.flying or max(room.opens, room.booked) > now
            }
