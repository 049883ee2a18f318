"""GET /api/v1/ws: events as they happen over a WebSocket, from any entry on; docs/stream.md is its description.

The key comes in the Authorization header. A browser, which cannot set one, offers it as a second subprotocol or sends
it as its first message. It never stands in the address, which others write into their logs.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import orjson
import pydantic
from aiohttp import WSMsgType, hdrs, web

from webhooks import consumers, hub, site
from webhooks.api import callers, frame

PATH = "/api/v1/ws"
PROTOCOL = "signalstack.v1"
LARGEST = 4096
"""Bytes that a client may send at once; it has nothing to say but its key."""
_FRAMES = 60
"""Frames that a client may send in a minute, pings and pongs included."""
_NAMELESS = 200
_AT_ONCE = 5
"""Keys that are looked up at once: when all streams come back after a restart, other requests are answered too."""
_FIRST_WORD = 10.0
_CLOSINGS = {401: 4401, 403: 4403, 429: 4429, 503: 1013}
_HOW_TO_NAME = 'Send your key first: {"type": "auth", "key": "sst_…"}; /apikey in the bot\'s chat makes one.'
_SILENCE = "You have nothing to say here but pings; connect again and only listen."


class From(frame.Shape):
    """From where on."""

    after: frame.Whole | None = pydantic.Field(None, ge=0, le=frame.LARGEST)


class _Auth(frame.Shape):
    type: str = pydantic.Field(pattern="^auth$")
    key: str = pydantic.Field(max_length=200)


class Door:
    """Where streams come in; it counts those that have not said whose they are."""

    def __init__(self, streams: hub.Hub) -> None:
        self._hub = streams
        self._nameless = 0
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """The events from the asked entry on until one side ends it; a refusal before that is a plain HTTP answer."""
        try:
            return await self._followed(request)
        except frame.RefusalError as refusal:
            answer = site.problem(refusal.code, refusal.text, status=refusal.status)
            answer.headers.update(refusal.headers)
            return answer

    async def _followed(self, request: web.Request) -> web.StreamResponse:
        start, key = _asked(request), _offered(request)
        if not web.WebSocketResponse(protocols=(PROTOCOL,)).can_prepare(request):
            await callers.let_in(request, site.of(request), key=key)
            text = "This is a WebSocket; connect to it with a WebSocket client, as /docs shows."
            raise frame.RefusalError(426, "upgrade_needed", text, {"Upgrade": "websocket"})
        if key is None and hdrs.AUTHORIZATION not in request.headers:
            return await self._named_later(request, start)
        consumer = self._consumer(request, await self._let_in(request, key), start)
        await self._hub.join(consumer)
        try:
            await consumer.socket.prepare(request)
            await self._listen(request, consumer)
        finally:
            self._hub.leave(consumer)
        return consumer.socket

    async def _let_in(self, request: web.Request, key: str | None) -> frame.Caller:
        here = site.of(request)
        async with self._turn:
            caller = await callers.let_in(request, here, key=key)
        await callers.counted(here, caller, None, "stream")
        return caller

    def _consumer(
        self,
        request: web.Request,
        caller: frame.Caller,
        start: int | None,
        socket: web.WebSocketResponse | None = None,
    ) -> consumers.Consumer:
        if start is not None and start > caller.newest:
            text = f"query.after: the record has only {caller.newest} entries; leave it out to begin now."
            raise frame.RefusalError(422, "invalid", text)
        cursor = caller.newest if start is None else start
        figures = site.of(request).metrics.streams
        return consumers.Consumer(
            socket or _socket(), caller.key_id, caller.markets, cursor, figures, queue=self._hub.queue
        )

    async def _named_later(self, request: web.Request, start: int | None) -> web.StreamResponse:
        self._hub.room()
        if self._nameless >= _NAMELESS:
            raise frame.RefusalError(503, "full", "Too many connections without a key; send it in the header.")
        self._nameless += 1
        try:
            socket = _socket()
            await socket.prepare(request)
            try:
                caller = await self._let_in(request, await _first_word(socket))
                consumer = self._consumer(request, caller, start, socket)
                await self._hub.join(consumer)
            except frame.RefusalError as refusal:
                await _refuse(socket, refusal)
                return socket
        finally:
            self._nameless -= 1
        try:
            await self._listen(request, consumer)
        finally:
            self._hub.leave(consumer)
        return socket

    async def _listen(self, request: web.Request, consumer: consumers.Consumer) -> None:
        """The stream goes on until it is closed; what a client sends meanwhile is of no interest, unless it is much."""
        hello = {"type": "hello", "cursor": consumer.cursor, "beat": consumers.BEAT}
        await consumer.send(consumer.cursor, orjson.dumps(hello))
        consumer.follow(self._hub.catch_up(consumer))
        try:
            await _hear(consumer)
        finally:
            await consumer.over(request.transport)


def handler(streams: hub.Hub) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of `PATH`."""
    return Door(streams).follow


def add_to(app: web.Application, streams: hub.Hub) -> None:
    """The application has the stream, and ends all of them in order when it shuts down."""
    app[hub.KEY] = streams
    app[site.KEY].metrics.streams.open.set_function(lambda: len(streams))
    app.router.add_get(PATH, handler(streams), allow_head=False)

    async def close(_: web.Application) -> None:
        await streams.close()

    async def forget(_: web.Application) -> None:
        await streams.slots.close()

    app.on_shutdown.append(close)
    app.on_cleanup.append(forget)


def _socket() -> web.WebSocketResponse:
    # Compression would keep some 300 kB for each stream. Pings are answered by us, so that they are counted.
    return web.WebSocketResponse(
        timeout=3, heartbeat=consumers.BEAT, compress=False, max_msg_size=LARGEST, protocols=(PROTOCOL,), autoping=False
    )


def _asked(request: web.Request) -> int | None:
    try:
        return From.model_validate(dict(request.query)).after
    except pydantic.ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, ("query", *fault["loc"])))[:80]
        raise frame.RefusalError(422, "invalid", f"{where}: {fault['msg']}.") from None


def _offered(request: web.Request) -> str | None:
    """The key among the subprotocols, where there are any."""
    offered = [one.strip() for one in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",") if one.strip()]
    if offered and (offered[0] != PROTOCOL or len(offered) > 2):
        # Not left to aiohttp, which writes protocols that it does not know into the log, a key with them.
        text = f"Offer the subprotocol “{PROTOCOL}” first, and after it at most your key."
        raise frame.RefusalError(400, "protocol", text)
    return offered[1] if len(offered) == 2 else None


async def _first_word(socket: web.WebSocketResponse) -> str:
    try:
        said = await socket.receive(timeout=_FIRST_WORD)
        return _Auth.model_validate_json(said.data if said.type is WSMsgType.TEXT else "").key
    except (TimeoutError, ValueError):
        raise frame.RefusalError(401, "key_missing", _HOW_TO_NAME) from None


async def _refuse(socket: web.WebSocketResponse, refusal: frame.RefusalError) -> None:
    said = orjson.dumps({"type": "error", "error": {"code": refusal.code, "message": refusal.text}})
    with suppress(ConnectionError, RuntimeError):
        await socket.send_frame(said, WSMsgType.TEXT)
        await socket.close(code=_CLOSINGS.get(refusal.status, 4400), message=refusal.code.encode())


async def _hear(consumer: consumers.Consumer) -> None:
    """Returns when the stream is closed. Pings are answered; too many frames end it."""
    since, frames = time.monotonic(), 0
    while True:
        said = await consumer.socket.receive()
        if said.type in {WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR}:
            return
        if time.monotonic() - since > 60:
            since, frames = time.monotonic(), 0
        frames += 1
        if frames > _FRAMES:
            consumer.drop("flood", 1008, _SILENCE)
            return
        if said.type is WSMsgType.PING:
            with suppress(ConnectionError, RuntimeError):
                await consumer.socket.pong(said.data)
