"""The hub: one reader of the feed in this process, and everybody who follows it over a stream.

Who is behind is given pages of their own until they have what the hub has told, from memory where it reaches back far
enough, else from the database. From then on the hub's one reader tells them, so an event costs two queries however many
listen: the page itself, and what all listeners have now.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import orjson
import structlog
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from core.signals import feed, record
from core.stack import Stack
from webhooks import consumers, slots
from webhooks.api import frame

AGAIN = 30.0
"""Seconds after which it is asked anew what listeners have, also when nothing happens."""
_PAGE = 100
_KEPT = 1000
"""Events that are kept in memory, about a kilobyte each, for those who come back after a while."""
_AT_ONCE = 3
_ENDED = b'{"type":"ended"}'
log = structlog.get_logger()


class Said(NamedTuple):
    """An event of a market as a stream says it."""

    n: int
    symbol: str
    frame: bytes


class Hub:
    """Everybody who listens in this process; `step` is repeated by the role's loop."""

    def __init__(self, stack: Stack, *, most: int = 2000, queue: int = consumers.QUEUE) -> None:
        self.stack, self.most, self.queue = stack, most, queue
        self.head: int | None = None
        self.closed = False
        self._all: set[consumers.Consumer] = set()
        self._live: set[consumers.Consumer] = set()
        self.slots = slots.Slots(stack.redis, stack.holder)
        self._judged = 0.0
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._kept: deque[Said] = deque(maxlen=_KEPT)
        self._kept_from = 0  # all events after this entry are kept

    def __len__(self) -> int:
        return len(self._all)

    async def join(self, consumer: consumers.Consumer) -> None:
        """The stream counts from now on; raises a refusal of 429 or 503 when there are too many."""
        self.room()
        consumer.slot = await self.slots.take(consumer.key)
        if not consumer.slot:
            text = f"This key has {slots.PER_KEY} streams already; close one of them first."
            raise frame.RefusalError(429, "too_many_streams", text, {"Retry-After": "10"})
        self._all.add(consumer)
        try:
            self.room(most=self.most + 1)  # others may have come in meanwhile, or the end of the process
        except frame.RefusalError:
            self.leave(consumer)
            raise

    def room(self, *, most: int | None = None) -> None:
        """There is room for one more stream; raises a refusal of 503 otherwise."""
        if self.closed:
            raise frame.RefusalError(503, "restarting", "The service restarts; connect again.", {"Retry-After": "1"})
        if len(self._all) >= (most or self.most):
            text = "So many streams are open that there is no room for another; try again in a minute."
            raise frame.RefusalError(503, "full", text, {"Retry-After": "60"})

    def leave(self, consumer: consumers.Consumer) -> None:
        """The stream counts no more."""
        self._live.discard(consumer)
        self._all.discard(consumer)
        self.slots.free(consumer.slot)

    async def catch_up(self, consumer: consumers.Consumer) -> None:
        """The stream has everything that the hub has told, and is told with the others from now on."""
        while consumer.ending is None:
            if self.head is not None and consumer.cursor >= self.head:
                self._attach(consumer)
                return
            # When all come back at once after a restart, they must not take every connection to the database.
            async with self._turn, self.stack.db.reading() as session:
                known = await feed.readers(session, {consumer.key}, now=self.stack.clock())
                self._judge(consumer, known)
                events, cursor = self._remembered(consumer.cursor) or await self._read(session, consumer.cursor)
            for event in events:
                if consumer.ending is not None:
                    return
                if feed.opens(consumer.markets, event.symbol) and not await consumer.send(event.n, event.frame):
                    return
            consumer.cursor = cursor

    def _remembered(self, cursor: int) -> tuple[list[Said], int] | None:
        """The next events and how far they reach, if all of them are in memory."""
        if self.head is None or cursor < self._kept_from:
            return None
        events = [event for event in self._kept if event.n > cursor][:_PAGE]
        return events, events[-1].n if len(events) == _PAGE else self.head

    async def _read(self, session: AsyncSession, cursor: int) -> tuple[list[Said], int]:
        page = await feed.after(session, cursor, limit=_PAGE)
        if self.head is None and not page.more:
            self._begin(page.cursor)  # nobody listened yet, so nobody was to be told of what came before
        return [told(event) for event in page.events], page.cursor

    def _begin(self, head: int) -> None:
        if self.head is None:  # somebody else may have been first
            self.head = self._kept_from = head

    def _attach(self, consumer: consumers.Consumer) -> None:
        if consumer.ending is None and consumer in self._all:
            consumer.beat_at = time.monotonic() + consumers.BEAT
            self._live.add(consumer)

    async def step(self) -> bool:
        """Who listens has been told of the next page of events; says whether there is more already."""
        self.slots.renew()
        async with self.stack.db.reading() as session:
            if self.head is None:
                self._begin((await record.head(session)).n)
            page = await feed.after(session, self.head or 0, limit=_PAGE)
            asked = {consumer.key for consumer in self._live}
            due = page.events or time.monotonic() >= self._judged + AGAIN
            known = await feed.readers(session, asked, now=self.stack.clock()) if asked and due else None
        # Nothing is awaited from here on, so nobody joins or leaves in between.
        if known is not None:
            self._judged = time.monotonic()
            for consumer in self._live:
                if consumer.key in asked:
                    self._judge(consumer, known)
        self._tell(page)
        self._beat()
        return page.more

    def _judge(self, consumer: consumers.Consumer, known: Mapping[int, frozenset[str]]) -> None:
        """The stream knows what its owner has now; it ends when that is nothing, or when the key works no more."""
        if consumer.key not in known:
            consumer.end(consumers.KEY_ENDED, "This key was revoked.", _ENDED)
            return
        consumer.markets = feed.markets_of(self.stack.catalogue, known[consumer.key])
        if consumer.markets is not None and not consumer.markets:
            consumer.end(consumers.ACCESS_ENDED, "The subscription has ended.", _ENDED)

    def _tell(self, page: feed.Page) -> None:
        for event in map(told, page.events):
            if len(self._kept) == self._kept.maxlen:
                self._kept_from = self._kept[0].n
            self._kept.append(event)
            for consumer in self._live:
                if event.n > consumer.cursor and feed.opens(consumer.markets, event.symbol):
                    consumer.offer(event.n, event.frame)
        for consumer in self._live:
            consumer.cursor = max(consumer.cursor, page.cursor)
        self.head = page.cursor

    def _beat(self) -> None:
        now = time.monotonic()
        for consumer in self._live:
            if now >= consumer.beat_at:
                consumer.offer(consumer.cursor, orjson.dumps({"type": "beat", "cursor": consumer.cursor}))

    async def close(self) -> None:
        """Every stream was told that the service restarts, and has ended; nobody joins any more."""
        self.closed = True
        for consumer in self._all:
            consumer.end(consumers.RESTART, f"The service restarts: read on from after={consumer.reached}")
        if endings := [one.ending for one in self._all if one.ending is not None]:
            await asyncio.wait(endings, timeout=consumers.GOODBYE)
        log.info("streams_closed", streams=len(endings))


KEY = web.AppKey("hub", Hub)


def told(event: feed.Event) -> Said:
    """The event as a stream says it."""
    frame = b'%s"cursor":%d,"event":%s}' % (consumers.EVENT, event.n, orjson.dumps(event.body))
    return Said(event.n, event.symbol, frame)
