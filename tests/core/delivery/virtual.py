"""Time that passes only when everybody sleeps, with an event loop that may stand still for a while."""

import asyncio
import heapq
import itertools
from bisect import bisect_left
from collections.abc import Callable, Sequence
from math import inf

from core.delivery import pacing

_ROUNDS = 12  # steps that a wake-up takes from the timer to the one who waits


class World:
    """A clock and a sleep for the code under test; `run` lets time pass.

    For the first `stall` seconds of every second nothing runs: what was due then happens late, as when the loop is
    blocked.
    """

    def __init__(self, stall: float = 0.0) -> None:
        self.now = 1000.5
        self.stall = stall
        self._timers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._timers, (self.now + seconds, next(self._numbers), future))
        await future

    async def run(self, seconds: float, *, hiccup: Callable[[], float] = lambda: 0.0) -> None:
        """So much time has passed; `hiccup` is asked before each step of the loop how long it stands still."""
        end = self.now + seconds
        while True:
            for _ in range(_ROUNDS):
                self.now += hiccup()
                await asyncio.sleep(0)
            if not self._timers or self._timers[0][0] > end:
                break
            at, _, future = heapq.heappop(self._timers)
            self._pass_to(at)
            if not future.done():
                future.set_result(None)
        self.now = max(self.now, end)

    def _pass_to(self, at: float) -> None:
        self.now = max(self.now, at)
        if self.now % 1 < self.stall:
            self.now += self.stall - self.now % 1


class Crowd:
    """Senders that ask a pacer for leave and note when they had it."""

    def __init__(self, world: World, pacer: pacing.Pacer) -> None:
        self.world, self.pacer = world, pacer
        self.sent: list[tuple[float, str, bool]] = []
        self.tasks: list[asyncio.Task[None]] = []

    def ask(self, chat: str, *, group: bool = False, urgent: bool = False) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._send(chat, group, urgent))
        self.tasks.append(task)
        return task

    async def _send(self, chat: str, group: bool, urgent: bool) -> None:
        await self.pacer.acquire(chat, group=group, urgent=urgent)
        self.sent.append((self.world.now, chat, urgent))

    def times(self, chat: str | None = None) -> list[float]:
        return [at for at, where, _ in self.sent if chat in {None, where}]

    async def leave(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def most(times: Sequence[float], span: float = 1.0) -> int:
    """The highest number of moments in any window of this length (its end belongs to the next window)."""
    ordered = [*sorted(times), inf]
    return max((bisect_left(ordered, at + span) - index for index, at in enumerate(ordered[:-1])), default=0)


def closest(times: Sequence[float]) -> float:
    """The shortest time between two neighbours."""
    ordered = sorted(times)
    return min((after - before for before, after in itertools.pairwise(ordered)), default=inf)
