"""The open port: whoever is slow, sends too much or holds too many connections is cut off, and nobody else."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from webhooks import listener

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
LARGE = b"x" * 3_000_000
Ports = Callable[..., Awaitable["Port"]]


class Port:
    """An open port, with a site behind it that has one short and one long page; `why` connections were refused."""

    def __init__(self, number: int, watched: listener.Listener, why: list[str]) -> None:
        self.number, self.watched, self.why = number, watched, why

    @asynccontextmanager
    async def wire(self, *, address: str = "127.0.0.1") -> AsyncIterator[tuple[Any, Any]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number, local_addr=(address, 0), limit=1024)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def says(self, *parts: bytes, address: str = "127.0.0.1") -> bytes:
        """All that is answered until the other side ends the connection."""
        async with asyncio.timeout(10), self.wire(address=address) as (reader, writer):
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0)
            try:
                return bytes(await reader.read())
            except ConnectionError:
                return b"reset"


@asynccontextmanager
async def _opened(**bounds: Any) -> AsyncIterator[Port]:
    async def short(request: web.Request) -> web.Response:
        return web.Response(text="good")

    async def long(_: web.Request) -> web.Response:
        return web.Response(body=LARGE)

    app = web.Application()
    app.add_routes([web.get("/", short), web.post("/", short), web.get("/long", long)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    assert runner.server is not None
    why: list[str] = []
    watched = listener.Listener(runner.server, refused=why.append, **bounds)
    try:
        yield Port(await watched.open("127.0.0.1", 0), watched, why)
    finally:
        watched.close()
        await runner.cleanup()


@pytest.fixture
async def ports(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ports]:
    """Opens ports that lose patience soon: `await ports(each=2)`."""
    monkeypatch.setattr(listener, "_EVERY", 0.05)
    monkeypatch.setattr(listener, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(listener, "READ_SECONDS", 0.5)
    async with AsyncExitStack() as stack:

        async def made(**bounds: Any) -> Port:
            return await stack.enter_async_context(_opened(**bounds))

        yield made


async def until(true: Callable[[], bool]) -> None:
    """Returns as soon as the condition holds."""

    async def holds() -> bool:
        await asyncio.sleep(0.01)
        return true()

    async with asyncio.timeout(10):
        while not await holds():
            pass


async def gone(port: Port) -> None:
    """Nobody is connected any more."""
    await until(lambda: not port.watched.connections)


async def test_requests_are_answered_one_after_the_other_on_one_connection(ports: Ports) -> None:
    port = await ports()
    both = await port.says(GET + b"\r\n" + GET, b"Connection: close\r\n\r\n")
    assert both.count(b" 200 OK") == both.count(b"good") == 2
    await gone(port)


@pytest.mark.parametrize(
    "said", [b"", b"G", GET, GET + b"X-Slow: 1\r\n"], ids=["silent", "a letter", "a line", "a field"]
)
async def test_whoever_does_not_say_what_they_want_in_time_is_cut_off(ports: Ports, said: bytes) -> None:
    port = await ports()
    assert (await port.says(said)).startswith(b"HTTP/1.1 408 ")
    await gone(port)
    assert port.why == ["head_late"]


async def test_the_second_request_of_a_connection_must_be_in_time_too(ports: Ports) -> None:
    port = await ports()
    async with asyncio.timeout(10), port.wire() as (reader, writer):
        writer.write(GET + b"\r\n")
        assert b"good" in await reader.readuntil(b"good")
        writer.write(GET)
        assert b"408" in await reader.read()


async def test_a_quiet_connection_may_stay_after_its_answer(ports: Ports) -> None:
    port = await ports()
    async with asyncio.timeout(10), port.wire() as (reader, writer):
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"good")
        assert (await port.says(b"")).startswith(b"HTTP/1.1 408 ")  # meanwhile another one was cut off
        writer.write(GET + b"\r\n")
        assert b"200" in await reader.readuntil(b"good")


async def test_heads_that_are_too_large_are_refused(ports: Ports) -> None:
    port = await ports()
    many = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 2000) for number in range(40))
    # A sender who goes on sending perhaps never reads why, but hears that the connection has ended.
    for head, status in (
        (many, b"431"),
        (b"X: " + b"x" * 5000 + b"\r\n\r\n", b"400"),
        (b"X: 1\r\n" * 100 + b"\r\n", b"400"),
    ):
        told = await port.says(GET, head)
        assert told == b"reset" or status in told[:13], told[:80]
    await gone(port)
    assert port.why == ["head_large"]


async def test_an_address_that_is_too_long_is_refused_in_a_form_for_programs(ports: Ports) -> None:
    port = await ports()
    head, _, body = (await port.says(b"GET /?" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.split()[1] == b"400"
    assert b"Content-Type: application/problem+json" in head
    assert b"aiohttp" not in head
    assert json.loads(body)["error"] == {
        "code": "bad_request",
        "message": "No line of a request may be longer than 4096 bytes.",
    }


async def test_what_nobody_wanted_to_read_is_read_for_a_while_and_no_longer(ports: Ports) -> None:
    port = await ports()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n"
    async with asyncio.timeout(10), port.wire() as (reader, writer):
        writer.write(head + b"x" * 10_000)
        assert b"200" in await reader.readline()
        with pytest.raises(ConnectionError):
            await _on_and_on(writer)
    await gone(port)
    assert port.why == ["body_large"]


async def _on_and_on(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def test_whoever_asks_and_does_not_read_is_cut_off(ports: Ports) -> None:
    port = await ports()
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.connect(("127.0.0.1", port.number))
    wire.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n" * 4)
    await until(lambda: port.watched.connections == 1)
    await gone(port)
    assert port.why == ["answer_late"]
    wire.close()


async def test_somebody_who_reads_slowly_gets_all_of_it(ports: Ports) -> None:
    port = await ports()
    async with asyncio.timeout(20), port.wire() as (reader, writer):
        writer.write(b"GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        read = 0
        while part := await reader.read(65_536):
            read += len(part)
            await asyncio.sleep(0)
        assert read > len(LARGE)


async def test_half_a_connection_is_none(ports: Ports) -> None:
    port = await ports()
    async with asyncio.timeout(10), port.wire() as (reader, writer):
        writer.write(GET)
        writer.write_eof()
        assert await reader.read() == b""
    await gone(port)


async def test_one_address_has_so_many_connections_and_others_theirs(ports: Ports, monkeypatch: Any) -> None:
    port = await ports(each=2)
    # All of this machine is spared in earnest; here some of it is a stranger.
    strange = listener.addresses.parsed
    monkeypatch.setattr(
        listener.addresses, "parsed", lambda said: strange(str(said).replace("127.0.9.", "198.51.100."))
    )
    async with port.wire(address="127.0.9.1"), port.wire(address="127.0.9.1"):
        assert (await port.says(GET + b"\r\n", address="127.0.9.1")).startswith(b"HTTP/1.1 429 ")
        asked = GET + b"Connection: close\r\n\r\n"
        assert b"good" in await port.says(asked, address="127.0.9.2")
        assert b"good" in await port.says(asked)
    await gone(port)
    assert port.watched._by_address == {}
    assert port.why.count("address") == 1


async def test_when_all_places_are_taken_those_who_wait_longest_make_room(ports: Ports) -> None:
    port = await ports(most=3)
    asked = GET + b"Connection: close\r\n\r\n"
    async with asyncio.timeout(10), port.wire() as (first, _), port.wire(), port.wire():
        await until(lambda: port.watched.connections == 3)
        assert b"good" in await port.says(asked)
        assert await first.read() == b""
    assert port.why == ["idle"]
