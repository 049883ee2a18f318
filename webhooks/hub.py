"""The hub: one reader of the feed in this process, and everybody who follows it over a stream.

Who is behind is given pages of their own until they have what the hub has told, from memory where it reaches back far
enough, else from the database. From then on the hub's one reader tells them, so an event costs two queries however many
listen: the page itself, and what all listeners have now.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import structlog
from aiohttp import WSMsgType, web
from sqlalchemy.ext.asyncio import AsyncSession

from core.signals import feed, record
from core.stack import Stack
from webhooks.api import frame

BEAT = 20.0
"""Seconds after which a stream that has said nothing says that it is alive."""
PER_KEY = 5
"""Streams that one key may have in this process."""
AGAIN, TRY_LATER, RESTART = 30.0, 1013, 1012
KEY_ENDED, ACCESS_ENDED = 4401, 4403
_PAGE = 100
_QUEUE = 256
_KEPT = 1000
"""Events that are kept in memory, about a kilobyte each, for those who come back after a while."""
_AT_ONCE = 3
_PATIENCE = 10.0
_GOODBYE = 5.0
_ENDED = b'{"type":"ended"}'
log = structlog.get_logger()


class Said(NamedTuple):
    """An event of a market as a stream says it."""

    n: int
    symbol: str
    frame: bytes


@dataclass(eq=False, slots=True)
class Consumer:
    """One stream: `cursor` is the last entry that it was told of or that was not for it, `reached` the last one sent.

    It has a task of its own only while there is something to read or to send.
    """

    socket: web.WebSocketResponse
    key: int
    markets: feed.Markets
    cursor: int
    queue: int = _QUEUE
    reached: int = 0
    beat_at: float = 0.0
    waiting: list[tuple[int, bytes]] = field(default_factory=list)
    reading: asyncio.Task[None] | None = None
    sending: asyncio.Task[None] | None = None
    ending: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.reached = self.cursor

    def offer(self, n: int, said: bytes) -> None:
        """This goes out after what waits already; a stream on which too much waits is ended."""
        if self.ending is not None:
            return
        if len(self.waiting) >= self.queue:
            self.end(TRY_LATER, f"Too slow: read on from after={self.reached}")
            return
        self.waiting.append((n, said))
        self.beat_at = time.monotonic() + BEAT
        self._start()

    def _start(self) -> None:
        if self.waiting and self.sending is None and self.reading is None and self.ending is None:
            self.sending = asyncio.create_task(self._flush())

    async def send(self, n: int, said: bytes) -> bool:
        """This went out before the stream's patience ended; a stream that is too slow is ended."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self.socket.send_frame(said, WSMsgType.TEXT)
        except TimeoutError:
            self.end(TRY_LATER, f"Too slow: read on from after={self.reached}")
            return False
        except (ConnectionError, RuntimeError):  # it went away; the one who receives notices
            return False
        self.reached = max(self.reached, n)
        return True

    async def _flush(self) -> None:
        try:
            while self.waiting:
                some, self.waiting = self.waiting, []
                for n, said in some:
                    if not await self.send(n, said):
                        return
        finally:
            self.sending = None

    def follow(self, work: Coroutine[Any, Any, None]) -> None:
        """What brings the stream to the others' place is being done."""
        self.reading = asyncio.create_task(self._once(work))

    async def _once(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - the database may be away; the client comes back
            log.warning("stream_not_caught_up", error=type(error).__name__)
            self.end(TRY_LATER, f"Read on from after={self.reached}")
        finally:
            self.reading = None
        self._start()  # what was offered since the others' place was taken

    async def over(self, transport: asyncio.Transport | None) -> None:
        """Nothing of the stream is being done any more."""
        if self.sending is not None:
            self.sending.cancel()
        await _within(self.ending)
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()  # what it never took would keep the connection for ever
        # Reading is never cancelled: a connection to the database that is cut off in a query takes long to give up.
        await _within(self.reading)

    def end(self, code: int, reason: str, said: bytes = b"") -> None:
        """The stream is being closed with this code, after a last word; nothing else goes out."""
        if self.ending is not None:
            return
        if self.sending is not None and self.sending is not asyncio.current_task():
            self.sending.cancel()  # a frame is handed over as a whole before anybody waits
        self.waiting = []
        self.ending = asyncio.create_task(self._goodbye(code, reason, said))

    async def _goodbye(self, code: int, reason: str, said: bytes) -> None:
        with suppress(TimeoutError, ConnectionError, RuntimeError):
            async with asyncio.timeout(_GOODBYE):
                if said:
                    await self.socket.send_frame(said, WSMsgType.TEXT)
                await self.socket.close(code=code, message=reason.encode()[:120])


async def _within(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        await asyncio.wait({task}, timeout=_GOODBYE + 1)


class Hub:
    """Everybody who listens in this process; `step` is repeated by the role's loop."""

    def __init__(self, stack: Stack, *, most: int = 2000, queue: int = _QUEUE) -> None:
        self.stack, self.most, self.queue = stack, most, queue
        self.head: int | None = None
        self.closed = False
        self._all: set[Consumer] = set()
        self._live: set[Consumer] = set()
        self._by_key: Counter[int] = Counter()
        self._judged = 0.0
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._kept: deque[Said] = deque(maxlen=_KEPT)
        self._kept_from = 0  # all events after this entry are kept

    def __len__(self) -> int:
        return len(self._all)

    def join(self, consumer: Consumer) -> None:
        """The stream counts from now on; raises a refusal of 429 or 503 when there are too many."""
        if self.closed:
            raise frame.RefusalError(503, "restarting", "The service restarts; connect again.", {"Retry-After": "1"})
        if self._by_key[consumer.key] >= PER_KEY:
            text = f"This key has {PER_KEY} streams already; close one of them first."
            raise frame.RefusalError(429, "too_many_streams", text, {"Retry-After": "10"})
        self.room()
        self._all.add(consumer)
        self._by_key[consumer.key] += 1

    def room(self) -> None:
        """There is room for one more stream; raises a refusal of 503 otherwise."""
        if len(self._all) >= self.most:
            text = "So many streams are open that there is no room for another; try again in a minute."
            raise frame.RefusalError(503, "full", text, {"Retry-After": "60"})

    def leave(self, consumer: Consumer) -> None:
        """The stream counts no more."""
        self._live.discard(consumer)
        if consumer in self._all:
            self._all.discard(consumer)
            self._by_key -= Counter([consumer.key])

    async def catch_up(self, consumer: Consumer) -> None:
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

    def _attach(self, consumer: Consumer) -> None:
        if consumer.ending is None and consumer in self._all:
            consumer.beat_at = time.monotonic() + BEAT
            self._live.add(consumer)

    async def step(self) -> bool:
        """Who listens has been told of the next page of events; says whether there is more already."""
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

    def _judge(self, consumer: Consumer, known: Mapping[int, frozenset[str]]) -> None:
        """The stream knows what its owner has now; it ends when that is nothing, or when the key works no more."""
        if consumer.key not in known:
            consumer.end(KEY_ENDED, "This key was revoked.", _ENDED)
            return
        consumer.markets = feed.markets_of(self.stack.catalogue, known[consumer.key])
        if consumer.markets is not None and not consumer.markets:
            consumer.end(ACCESS_ENDED, "The subscription has ended.", _ENDED)

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
            consumer.end(RESTART, f"The service restarts: read on from after={consumer.reached}")
        if endings := [one.ending for one in self._all if one.ending is not None]:
            await asyncio.wait(endings, timeout=_GOODBYE)
        log.info("streams_closed", streams=len(endings))


KEY = web.AppKey("hub", Hub)


def told(event: feed.Event) -> Said:
    """The event as a stream says it."""
    frame = b'{"type":"event","cursor":%d,"event":%s}' % (event.n, orjson.dumps(event.body))
    return Said(event.n, event.symbol, frame)
