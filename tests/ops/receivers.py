"""Whoever operators are told through, as real servers on real sockets: an HTTP endpoint and a mail server."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult


@dataclass
class Http:
    """What came to an HTTP address, which answers with `status`."""

    url: str = ""
    status: int = 200
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def http() -> Iterator[Http]:
    """An address in a thread of its own, because some of those who call it do so from theirs."""
    got = Http()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            packed = self.headers.get("Content-Encoding", "")
            body = gzip.decompress(body) if packed == "gzip" else zlib.decompress(body) if packed == "deflate" else body
            got.bodies.append(body)
            got.paths.append(self.path)
            got.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(got.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    got.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield got
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mailbox:
    """The letters that came, as text."""

    url: str = ""
    letters: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.letters.append(envelope.content.decode())
        return "250 taken"

    def login(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        self.logins.append((given.login.decode(), given.password.decode()))
        return AuthResult(success=True)


@asynccontextmanager
async def mail(host: str = "127.0.0.1") -> AsyncIterator[Mailbox]:
    """A mail server that takes everything, from everybody."""
    box = Mailbox()
    server = Controller(
        box, hostname="127.0.0.1", port=0, authenticator=box.login, auth_require_tls=False, auth_exclude_mechanism=[]
    )
    loop = asyncio.get_running_loop()
    running = await loop.create_server(server.factory, host, 0)
    box.url = f"{host}:{running.sockets[0].getsockname()[1]}"
    try:
        yield box
    finally:
        running.close()
        await running.wait_closed()
        server.loop.close()  # of its own, which it never ran
