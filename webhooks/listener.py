"""The socket of the site: who may be connected, and who is cut off because they are too slow or send too much.

aiohttp ends idle connections and bounds each header; the rest is here: the head of a request must be complete in time
and within a size, an answer must be taken in time, and neither one address nor all together hold too many connections.
"""

import asyncio
import resource
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

import structlog
from aiohttp import http_exceptions, web

from core import edge
from webhooks import addresses, site

HEAD_BYTES = 32 * 1024
"""Bytes that the line and the headers of a request may have together."""
LINE_BYTES = 4096
"""Bytes that the address, and each header, may have."""
HEAD_SECONDS, READ_SECONDS, PAUSED_SECONDS = 10.0, 20.0, 60.0
"""For a head to be complete, for an answer to move on at all, and for a long one to move on by a buffer's size."""
REST_BYTES = 256 * 1024
"""Bytes of a body that was refused which are still read, so that the sender can read why."""
_EACH, _MOST = 100, 20_000
_KEPT_BACK = 256  # files that are for everything else, such as databases
_EVERY = 1.0
_BUFFER, _SENDING = 32 * 1024, 128 * 1024  # bytes on their way in this process, and in the system
_SETTINGS: dict[str, Any] = {
    "access_log": None,
    "keepalive_timeout": 75,  # longer than proxies keep theirs, so that they never use one that just ended
    "lingering_time": 2,
    "max_line_size": LINE_BYTES,
    "max_field_size": LINE_BYTES,
    "max_headers": 64,
}
_NO = b"HTTP/1.1 %s\r\nContent-Length: 0\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
log = structlog.get_logger()


class Connection(web.RequestHandler):
    """One connection, watched from the first byte to the last."""

    __slots__ = (
        *("_answered", "_head", "_head_since", "_left", "_listener", "_moved", "_paused_since", "_rest"),
        *("address", "wire"),
    )

    def __init__(self, listener: "Listener") -> None:
        super().__init__(listener.server, loop=listener.loop, **_SETTINGS)
        self._listener = listener
        self.address = ""
        self.wire: asyncio.Transport | None = None
        self._answered = self._head = self._left = 0
        self._rest: Any = None  # the body that a request still brings after its answer
        self._head_since = self._moved = listener.loop.time()
        self._paused_since = 0.0

    @property
    def waiting(self) -> bool:
        """Whether every request that arrived whole has its answer."""
        return self._request_count == self._answered

    @property
    def since(self) -> float:
        """When the request began that is arriving now, or the waiting for one."""
        return self._head_since

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.wire = wire = cast("asyncio.Transport", transport)
        refusal = self._listener.admit(self, wire)
        if refusal:
            self.wire = None
            wire.write(_NO % refusal)
            wire.close()
            return
        wire.set_write_buffer_limits(high=_BUFFER)
        # Otherwise the system keeps megabytes for each caller who does not read.
        wire.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SENDING)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._listener.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._rest is not None and self.waiting and not self._rest.is_eof():
            self._head += len(data)
            if self._head > REST_BYTES:
                self.cut("body_large")
                return
            super().data_received(data)
            if self._rest.is_eof():
                self._rest, self._head = None, 0
            return
        if self.waiting and data:
            if not self._head:
                self._head_since = self._listener.loop.time()
            self._head += len(data)
        super().data_received(data)
        if self._head > HEAD_BYTES and self.waiting:
            self.refuse("head_large", b"431 Request Header Fields Too Large")

    def log_access(self, request: web.BaseRequest, response: web.StreamResponse, time: float | None) -> None:
        """The answer is over: it was handed to the socket, or that failed. Called by aiohttp."""
        self._answered += 1
        self._head = 0
        self._head_since = self._listener.loop.time()
        self._rest = None if request.content.is_eof() else request.content
        super().log_access(request, response, time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP is answered in a few words, and in no log: anybody could fill it."""
        if status >= web.HTTPInternalServerError.status_code:
            return super().handle_error(request, status, exc, message)
        text = "That is no request that we understand."
        if isinstance(exc, http_exceptions.LineTooLong):
            text = f"No line of a request may be longer than {LINE_BYTES} bytes."
        answer = site.problem("bad_request", text, status=status)
        answer.headers.update(site.ANONYMOUS)
        answer.force_close()
        return answer

    def pause_writing(self) -> None:
        super().pause_writing()
        self._paused_since = self._listener.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._paused_since = 0.0
        self._moved = self._listener.loop.time()

    def watch(self, now: float) -> None:
        """Whoever is too slow is cut off."""
        if self.wire is None:
            return
        left = self.wire.get_write_buffer_size()
        if not left or left < self._left:
            self._moved = now
        self._left = left
        stalled = now - self._moved > READ_SECONDS
        if stalled or (self._paused_since and now - self._paused_since > PAUSED_SECONDS):
            self.cut("answer_late")
        elif self.waiting and (self._head or not self._answered) and now - self._head_since > HEAD_SECONDS:
            self.refuse("head_late", b"408 Request Timeout")

    def refuse(self, why: str, status: bytes) -> None:
        """The connection ends with this answer to a request that is not whole."""
        if self.wire is not None and not self.wire.is_closing():
            self._listener.refused(why)
            self.wire.write(_NO % status)
            self.force_close()

    def cut(self, why: str) -> None:
        """The connection has ended, whatever was still to be sent."""
        if self.wire is not None:
            self._listener.refused(why)
            self.wire.abort()


class Listener:
    """The open port, and everybody who is connected; `each` and `most` bound one address and all together.

    `refused` is told why somebody was refused or cut off: one of `metrics.REFUSED`.
    """

    def __init__(
        self,
        server: web.Server,
        *,
        spared: Sequence[edge.Network] = (),
        each: int = _EACH,
        most: int = _MOST,
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.server, self.loop = server, asyncio.get_running_loop()
        self._spared, self._each, self._most = spared, each, min(most, _files() - _KEPT_BACK)
        self._open: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        self.refused = refused
        self._refused, self._told, self._relieved = 0, 0.0, 0.0
        self._port: asyncio.Server | None = None
        self._watching: asyncio.Task[None] | None = None

    async def open(self, host: str, port: int) -> int:
        """Callers are answered; the port is given back. Raises OSError."""
        self._port = await self.loop.create_server(lambda: Connection(self), host, port, backlog=512)
        self._watching = asyncio.create_task(self._watch(), name="listener")
        return int(self._port.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Nobody new is let in; whoever is connected is the server's business."""
        if self._port is not None:
            self._port.close()
        if self._watching is not None:
            self._watching.cancel()

    @property
    def connections(self) -> int:
        """How many are connected."""
        return len(self._open)

    def admit(self, one: Connection, wire: asyncio.Transport) -> bytes:
        """The connection is counted; otherwise why not, as a status line."""
        peer = wire.get_extra_info("peername")
        found = addresses.parsed(peer[0] if peer else None)
        name = addresses.counted(found)
        # Behind this machine's own address and our proxies' are many callers.
        near = found is None or found.is_loopback or addresses.among(found, self._spared)
        if not near and self._by_address[name] >= self._each:
            return self._no("address", b"429 Too Many Requests")
        if len(self._open) >= self._most and not self._relieve():
            return self._no("full", b"503 Service Unavailable")
        one.address = name
        self._open.add(one)
        self._by_address[name] += 1
        return b""

    def forget(self, one: Connection) -> None:
        """The connection does not count any more."""
        if one in self._open:
            self._open.remove(one)
            self._by_address[one.address] -= 1
            if not self._by_address[one.address]:
                del self._by_address[one.address]

    def _relieve(self) -> bool:
        """Whether some of those who wait longest were cut off, to make room for others."""
        now = self.loop.time()
        if now - self._relieved < _EVERY:
            return False
        self._relieved = now
        idle = sorted((one for one in self._open if one.waiting), key=lambda one: one.since)
        for one in idle[: max(1, self._most // 20)]:
            one.cut("idle")
        return bool(idle)

    def _no(self, why: str, status: bytes) -> bytes:
        self.refused(why)
        self._refused += 1
        if self.loop.time() - self._told > 60:
            self._told = self.loop.time()
            log.warning("site_connections_refused", refused=self._refused, open=len(self._open))
            self._refused = 0
        return status

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            now = self.loop.time()
            for one in list(self._open):
                one.watch(now)


def _files() -> int:
    """How many files this process may have open; it has asked for as many as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    now = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 65_536 if now == resource.RLIM_INFINITY else now
