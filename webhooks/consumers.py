"""Consumers: each is one stream, with what waits to be sent to it and how it ends."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiohttp import WSMsgType, web

from core.signals import feed
from webhooks import metrics

BEAT = 20.0
"""Seconds after which a stream that has said nothing says that it is alive."""
TRY_LATER, RESTART = 1013, 1012
KEY_ENDED, ACCESS_ENDED = 4401, 4403
QUEUE = 256
"""Frames that may wait for a stream."""
GOODBYE = 5.0
"""Seconds that a last word may take."""
EVENT = b'{"type":"event",'
"""How the frame of every event begins."""
_PATIENCE = 10.0
log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class Consumer:
    """One stream: `cursor` is the last entry that it was told of or that was not for it, `reached` the last one sent.

    It has a task of its own only while there is something to read or to send.
    """

    socket: web.WebSocketResponse
    key: int
    markets: feed.Markets
    cursor: int
    figures: metrics.Streams
    queue: int = QUEUE
    slot: str = ""
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
            self.drop("slow", TRY_LATER, f"Too slow: read on from after={self.reached}")
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
            self.drop("slow", TRY_LATER, f"Too slow: read on from after={self.reached}")
            return False
        except (ConnectionError, RuntimeError):  # it went away; the one who receives notices
            return False
        self.reached = max(self.reached, n)
        if said.startswith(EVENT):
            self.figures.events.inc()
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
            self.drop("unread", TRY_LATER, f"Read on from after={self.reached}")
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

    def drop(self, why: str, code: int, reason: str) -> None:
        """The stream is being closed because of this one of `metrics.DROPPED`, which is counted."""
        if self.ending is None:
            self.figures.dropped.labels(why).inc()
            self.end(code, reason)

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
            async with asyncio.timeout(GOODBYE):
                if said:
                    await self.socket.send_frame(said, WSMsgType.TEXT)
                await self.socket.close(code=code, message=reason.encode()[:120])


async def _within(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        await asyncio.wait({task}, timeout=GOODBYE + 1)
