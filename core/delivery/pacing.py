"""Pacing: messages leave as fast as the platform allows and never faster, over all processes together.

Three rules: at most `hard` messages in any window (a sliding second and a little more, because a message may be late
on its way to the platform), even spacing at `per_second` with small bursts after a stall, and one chat's own limits.
Urgent messages skip the spacing, not the window.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Self

from core.delivery import lanes, pacing_redis

if TYPE_CHECKING:
    from core.redis import Redis

# How much later than its grant a message may reach the platform without breaking a limit there.
SLACK = 0.03
_WINDOW = 1.0 + SLACK
_REMIND = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """A platform's limits: messages a second in the long run and (`hard`) in any sliding second; seconds between two
    messages to one chat; messages to one group in any minute. The last two may be 0: no such limit.
    """

    per_second: int = 29
    hard: int = 30
    chat_interval: float = 1.0
    group_per_minute: int = 20

    @property
    def burst(self) -> float:
        """Seconds by which messages may be ahead of even spacing: what a stall of a fifth of a second held up."""
        return max(1, round(self.per_second / 5) - 1) / self.per_second

    def alone(self) -> Self:
        """The limits of one process that cannot ask the others: a quarter of the rate."""
        return type(self)(
            max(1, self.per_second // 4), max(1, self.hard // 4), self.chat_interval, self.group_per_minute
        )


class Pacer:
    """Lets messages of one platform go; give every process the same `name`, limits and Redis to share the limits.

    `waited` is told how many seconds each message waited for its turn.
    """

    def __init__(
        self,
        name: str,
        limits: Limits,
        *,
        redis: "Redis | None" = None,
        waited: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limits, self._clock, self._sleep, self._waited = limits, clock, sleep, waited
        self._queue = lanes.Queue()
        self._sent: deque[lanes.Grant] = deque(maxlen=limits.hard)
        self._due = -inf
        self._paused_until = -inf
        self._refused = {True: -inf, False: -inf}
        self._numbers = itertools.count()
        self._runner: asyncio.Task[None] | None = None
        self._resting: asyncio.Future[None] | None = None
        self._rest_until = -inf
        self._shared = pacing_redis.Shared(redis, name, self._rates(), clock) if redis is not None else None

    async def acquire(self, chat: str, *, group: bool = False, urgent: bool = False) -> None:
        """Returns at the moment when one message to this chat may leave; send it at once.

        Urgent messages go before the others, which they never hold up for more than a minute.
        """
        began = self._clock()
        rank = (began + (0 if urgent else lanes.PATIENCE), next(self._numbers))
        waiter = lanes.Waiter(chat, group, urgent, rank, asyncio.get_running_loop().create_future())
        while not self._stands(await self._turn(waiter), waiter):
            waiter.future = asyncio.get_running_loop().create_future()
        if self._waited is not None:
            self._waited(self._clock() - began)

    async def pause(self, seconds: float, chat: str | None = None) -> None:
        """Nothing leaves (to this chat, or at all) before the pause has ended, in any process with these limits."""
        until = self._clock() + seconds
        if chat is None:
            self._paused_until = max(self._paused_until, until)
        else:
            lane = self._queue.lane(chat)
            lane.held_until = max(lane.held_until, until)
        if self._shared is not None:
            await self._shared.pause(seconds, chat)

    def waiting(self) -> int:
        """How many messages wait for their turn in this process."""
        return self._queue.count

    async def _turn(self, waiter: lanes.Waiter) -> lanes.Grant:
        now = self._clock()
        self._queue.put(waiter, now)
        self._wake(max(self._queue.lane(waiter.chat).opens(), self._opens(now, urgent=waiter.urgent)))
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.cancelled():
                self._queue.gave_up()
            if not self._queue.count and self._runner is not None:
                self._runner.cancel()  # nobody is left to look for
                self._runner = None
            raise

    def _wake(self, possible: float) -> None:
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run(), name="pacer")
            self._runner.add_done_callback(self._ended)
        elif self._resting is not None and possible < self._rest_until:
            self._resting.cancel()

    def _ended(self, runner: asyncio.Task[None]) -> None:
        """A fault of ours must not leave anybody waiting for ever."""
        error = asyncio.CancelledError() if runner.cancelled() else runner.exception()
        if error is not None and runner is self._runner:
            stranded, self._queue = list(self._queue.everybody()), lanes.Queue()
            for waiter in stranded:
                waiter.future.set_exception(error)

    def _stands(self, grant: lanes.Grant, waiter: lanes.Waiter) -> bool:
        """Whether the message may still leave when its sender wakes up, which a stalled loop delays."""
        now, lane = self._clock(), self._queue.lane(waiter.chat)
        late = self._shared is not None and self._shared.late(grant, now) and waiter.tries < 3
        lane.give_back()
        if late or max(self._paused_until, lane.held_until) > now:
            waiter.returned = grant.token
            waiter.tries += 1
            return False
        grant.at = now
        self._stamp(lane, waiter, now)
        return True

    async def _run(self) -> None:
        while self._queue.count:
            wait = await self._step()
            if wait > 0:
                await self._rest(wait)

    async def _rest(self, seconds: float) -> None:
        self._rest_until = self._clock() + seconds
        self._resting = resting = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait({resting})
        finally:
            resting.cancel()
            self._resting = None if self._resting is resting else self._resting

    async def _step(self) -> float:
        """One message was let go, or the seconds until the next one might be."""
        now = self._clock()
        if self._paused_until > now:
            return await self._remind(self._paused_until - now)
        head = self._queue.head(now)
        if head is None:
            return self._queue.opens() - now
        opens = self._opens(now, urgent=head.urgent)
        if opens > now:
            return min(opens, self._queue.opens()) - now
        token = ""
        if self._shared is not None and self._shared.in_reach(now):
            recent = bool(self._sent) and self._sent[-1].at > now - _WINDOW
            verdict = await self._shared.ask(head, recent=recent)
            if verdict is None or verdict.why:
                return self._refuse(head, verdict)
            token = verdict.token
        self._grant(head, now, token)
        return 0

    async def _remind(self, left: float) -> float:
        if self._shared is None:
            return left
        await self._shared.pause(left, None)  # in case Redis has forgotten it
        return min(left, _REMIND)

    def _refuse(self, head: lanes.Waiter, verdict: pacing_redis.Verdict | None) -> float:
        if verdict is None:
            return 0
        until = self._clock() + verdict.wait
        lane = self._queue.lane(head.chat)
        if verdict.why == "pause":
            self._paused_until = max(self._paused_until, until)
        elif verdict.why == "held":
            lane.held_until = max(lane.held_until, until)
        elif verdict.why == "chat":
            lane.free_at = max(lane.free_at, until)
        elif verdict.why in {"all", "bulk"}:
            self._refused[False] = until
            self._refused[True] = until if verdict.why == "all" else -inf
        return 0

    def _opens(self, now: float, *, urgent: bool) -> float:
        """When the limits over all chats let the next message go."""
        limits = self._current(now)
        earliest = [self._refused[urgent], self._paused_until]
        if self._shared is not None and self._shared.away_since is not None:
            earliest.append(self._shared.away_since + _WINDOW)  # what the others sent last is not known
        if len(self._sent) >= limits.hard:
            earliest.append(self._sent[-limits.hard].at + _WINDOW)
        if not urgent:
            earliest.append(self._due - limits.burst)
        return max(earliest)

    def _current(self, now: float) -> Limits:
        if self._shared is None or self._shared.in_reach(now):
            return self._limits
        return self._limits.alone()

    def _grant(self, head: lanes.Waiter, asked: float, token: str) -> None:
        now = self._clock()
        grant = lanes.Grant(now, asked, token)
        self._sent.append(grant)
        self._due = min(max(self._due, now), now + 1) + 1 / self._current(now).per_second
        self._stamp(self._queue.lane(head.chat), head, now)
        waiter = self._queue.take(head.chat, now)
        if waiter is not None:
            waiter.future.set_result(grant)

    def _stamp(self, lane: lanes.Lane, waiter: lanes.Waiter, now: float) -> None:
        interval = self._limits.chat_interval and self._limits.chat_interval + SLACK
        lane.stamp(now, interval, self._limits.group_per_minute if waiter.group else 0, SLACK)

    def _rates(self) -> pacing_redis.Rates:
        limits = self._limits
        interval = limits.chat_interval and limits.chat_interval + SLACK
        return pacing_redis.Rates(
            limits.hard, 1 / limits.per_second, limits.burst, _WINDOW, interval, limits.group_per_minute
        )
