"""Who goes next: waiters in lanes, one lane for each chat, so that a chat that must wait delays nobody else."""

import heapq
from asyncio import Future
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

# Bulk messages let urgent ones pass for so many seconds, and then no longer: nothing starves.
PATIENCE = 60.0
_GROUP_SPAN = 60.0


@dataclass(slots=True)
class Grant:
    """Leave to send one message at `at`; `token` is its name in Redis, where it was asked for at `asked`."""

    at: float
    asked: float = 0.0
    token: str = ""


@dataclass(slots=True, eq=False)
class Waiter:
    """Somebody who waits to send one message; `rank` orders waiters, the smaller the earlier."""

    chat: str
    group: bool
    urgent: bool
    rank: tuple[float, int]
    future: "Future[Grant]"
    returned: str = ""
    tries: int = 0


@dataclass(slots=True, eq=False)
class Lane:
    """The waiters of one chat and the moment from which the next of them may go."""

    waiting: list[tuple[tuple[float, int], Waiter]] = field(default_factory=list)
    free_at: float = -inf
    held_until: float = -inf
    recent: deque[float] = field(default_factory=deque)
    parked: bool = False

    def first(self) -> Waiter | None:
        """The waiter whose turn it is; those who gave up are forgotten."""
        while self.waiting and self.waiting[0][1].future.done():
            heapq.heappop(self.waiting)
        return self.waiting[0][1] if self.waiting else None

    def opens(self) -> float:
        """When the next message may leave, as far as this chat is concerned."""
        return max(self.free_at, self.held_until)

    def stamp(self, now: float, interval: float, group_limit: int, slack: float) -> None:
        """A message leaves now; `group_limit` (0: none) messages may leave in any minute."""
        self.free_at = now + interval
        if group_limit:
            self.recent.append(now)
            while len(self.recent) > group_limit:
                self.recent.popleft()
            if len(self.recent) == group_limit:
                self.free_at = max(self.free_at, self.recent[0] + _GROUP_SPAN + slack)

    def give_back(self) -> None:
        """The message that was stamped last does not leave after all."""
        self.free_at = -inf
        if self.recent:
            self.recent.pop()

    def idle(self, now: float) -> bool:
        """Whether forgetting this lane changes nothing."""
        rested = not self.recent or self.recent[-1] + _GROUP_SPAN < now - 1
        return not self.parked and rested and self.opens() <= now and self.first() is None


class Queue:
    """All lanes. A lane that may go has a ticket in `_ready`, one that must wait is parked in `_later`."""

    def __init__(self) -> None:
        self.count = 0
        self._lanes: dict[str, Lane] = {}
        self._ready: list[tuple[tuple[float, int], str]] = []
        self._later: list[tuple[float, str]] = []
        self._sweep_at = 64

    def lane(self, chat: str) -> Lane:
        """The lane of this chat."""
        if chat not in self._lanes:
            self._lanes[chat] = Lane()
        return self._lanes[chat]

    def put(self, waiter: Waiter, now: float) -> None:
        """The waiter stands in the lane of its chat, where its rank puts it."""
        if len(self._lanes) + len(self._ready) >= self._sweep_at:
            self._sweep(now)
        self.count += 1
        lane = self.lane(waiter.chat)
        heapq.heappush(lane.waiting, (waiter.rank, waiter))
        self._place(waiter.chat, lane, now)

    def gave_up(self) -> None:
        """A waiter was cancelled; its lane forgets it when its turn comes."""
        self.count -= 1

    def head(self, now: float) -> Waiter | None:
        """The waiter that goes next; None when every lane must wait."""
        while self._later and self._later[0][0] <= now:
            chat = heapq.heappop(self._later)[1]
            self._lanes[chat].parked = False
            self._place(chat, self._lanes[chat], now)
        while self._ready:
            rank, chat = self._ready[0]
            lane = self._lanes.get(chat)
            first = lane.first() if lane else None
            if first is not None and first.rank == rank and self.lane(chat).opens() <= now:
                return first
            heapq.heappop(self._ready)
            if lane is not None:
                self._place(chat, lane, now)
        return None

    def opens(self) -> float:
        """When the next parked lane may go."""
        return self._later[0][0] if self._later else inf

    def take(self, chat: str, now: float) -> Waiter | None:
        """The first waiter of this chat, no longer in its lane."""
        lane = self.lane(chat)
        first = lane.first()
        if first is not None:
            heapq.heappop(lane.waiting)
            self.count -= 1
        self._place(chat, lane, now)
        return first

    def everybody(self) -> Iterator[Waiter]:
        """Every waiter, in no order."""
        return (waiter for lane in self._lanes.values() for _, waiter in lane.waiting if not waiter.future.done())

    def _place(self, chat: str, lane: Lane, now: float) -> None:
        first = lane.first()
        if first is None:
            return
        if lane.opens() <= now:
            heapq.heappush(self._ready, (first.rank, chat))
        elif not lane.parked:
            lane.parked = True
            heapq.heappush(self._later, (lane.opens(), chat))

    def _sweep(self, now: float) -> None:
        self._lanes = {chat: lane for chat, lane in self._lanes.items() if not lane.idle(now)}
        self._ready = []
        for chat, lane in self._lanes.items():
            lane.waiting = [entry for entry in lane.waiting if not entry[1].future.done()]
            heapq.heapify(lane.waiting)
            self._place(chat, lane, now)
        self._sweep_at = max(64, 2 * (len(self._lanes) + len(self._ready)))
