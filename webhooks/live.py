"""The status page as it changes: server-sent events, told to all open pages at once.

A stream is cut off when nobody reads it, ends after an hour, and the browser comes back by itself. Its comments keep
proxies from taking a quiet stream for a dead one.
"""

import asyncio
import contextvars
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from webhooks import glance, guard, site

TOPIC = "status"
LONGEST = 3600.0
"""Seconds after which a stream ends."""
_MOST, _EACH = 500, 30  # streams of this process, and of one address
_EVERY, _SOON = 15.0, 1.0  # seconds between two looks, and soon after the bell
_AGAIN, _BUSY = glance.LONGEST_REST + 1.0, 60.0  # seconds that count as soon, and while openings are on their way
_STALLED = 20.0  # seconds in which a reader must take what we sent
log = structlog.get_logger()


class Stream:
    """What is told to everybody who listens; somebody looks only while somebody listens."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._listeners: Counter[str] = Counter()
        self._number, self._event, self._told = 0, b"", 0.0
        self._turned = asyncio.Condition()
        self._looking: asyncio.Task[None] | None = None
        self.closed = False

    @asynccontextmanager
    async def listening(self, address: str) -> AsyncIterator[None]:
        """One more at this address listens until the block ends."""
        self._listeners[address] += 1
        if self._looking is None or self._looking.done():
            # It serves everybody, so it belongs to nobody's request.
            self._looking = asyncio.create_task(self._look(), name="live", context=contextvars.Context())
        try:
            yield
        finally:
            self._listeners -= Counter({address: 1})  # which forgets addresses at which nobody listens any more
            if not self._listeners:
                self._rest()

    def full(self, address: str) -> bool:
        """Whether nobody more at this address may listen."""
        return self.closed or self._listeners[address] >= _EACH or self._listeners.total() >= _MOST

    async def after(self, number: int) -> tuple[int, bytes]:
        """The newest event, as soon as it is another than this one; none, after a while or at the end."""
        async with self._turned:
            try:
                async with asyncio.timeout(_EVERY):
                    await self._turned.wait_for(lambda: self._number != number or self.closed)
            except TimeoutError:
                return number, b""
            return self._number, self._event if self._number != number else b""

    async def close(self, _: web.Application) -> None:
        """Every stream ends: the site is about to stop."""
        self.closed = True
        self._rest()
        async with self._turned:
            self._turned.notify_all()

    def _rest(self) -> None:
        """Nobody looks any more, and what was told last is not told to whoever comes later."""
        if self._looking is not None:
            self._looking.cancel()
        self._looking, self._event = None, b""

    async def _look(self) -> None:
        bell, now = self._app[site.KEY].stack.bell, asyncio.get_running_loop().time
        rung = now()
        while True:
            # What was seen last may be from just before the bell, so it is looked at again also when nothing is on
            # its way.
            soon = now() - rung < (_BUSY if await self._tell() else _AGAIN)
            if await bell.wait(TOPIC, _SOON if soon else _EVERY, who="live"):
                rung = now()

    async def _tell(self) -> bool:
        """What has changed was told, and now and then that nothing has; says whether more is to be expected soon."""
        try:
            seen = await self._app[glance.KEY].now(self._app[site.KEY])
        except Exception as error:  # noqa: BLE001 - whatever it was, the next look may go well
            # The page itself, which fails for the same reason, leaves the traceback in the log.
            log.warning("webhooks_live_failed", error=type(error).__name__)
            return False
        event = b"data: " + seen.told + b"\n\n"
        if event != self._event:
            async with self._turned:
                self._number, self._event = self._number + 1, event
                self._turned.notify_all()
        return seen.busy


_STREAM = web.AppKey("live", Stream)


def add_to(app: web.Application) -> None:
    """The site has the stream at /live; it ends before the site stops."""
    app[_STREAM] = Stream(app)
    app.router.add_get("/live", listen)
    app.on_shutdown.append(app[_STREAM].close)


async def listen(request: web.Request) -> web.StreamResponse:
    """The stream of what changes on the status page, as JSON; a comment where nothing changed for a while."""
    stream, address = request.app[_STREAM], guard.address(request)
    if stream.full(address):
        raise web.HTTPServiceUnavailable
    headers = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
    answer = web.StreamResponse(headers=headers)
    answer.content_type = "text/event-stream"
    async with stream.listening(address):
        await answer.prepare(request)
        if request.method == "GET":
            await _send(request, answer, stream)
    return answer


async def _send(request: web.Request, answer: web.StreamResponse, stream: Stream) -> None:
    loop, number = asyncio.get_running_loop(), 0
    end, said = loop.time() + LONGEST, b"retry: 5000\n\n"
    try:
        while not stream.closed and loop.time() < end:
            async with asyncio.timeout(_STALLED):
                await answer.write(said)
            number, event = await stream.after(number)
            said = event or b": still here\n\n"
        await answer.write_eof()
    except (TimeoutError, ConnectionError):
        if request.transport is not None:
            request.transport.abort()
