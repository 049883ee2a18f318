"""Clients that mean no good, as a process of its own: `python -m tests.proofs.attackers PORT CLIENTS SECONDS`.

Each of them is connected from one of many addresses of this machine, does what its kind does until it is cut off, and
comes back two seconds later. At the end one line of JSON says for each kind how often it connected, how often it was
cut off, and after how many seconds at the latest.
"""

import asyncio
import json
import os
import random
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

_HEAD = b"%s %s HTTP/1.1\r\nHost: signals.example\r\n"
_STEP = 0.5  # seconds between two drops of a slow client
_PIECE = b"x" * 65_536


@dataclass
class Wire:
    """A connection; the kinds of attack differ in what they write to it and whether they read."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def ended(self, within: float) -> bool:
        """Whether the other side has ended the connection; what it says is thrown away."""
        end = time.monotonic() + within
        while (left := end - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    if not await self.reader.read(4096):
                        return True
        return False


async def slow_head(wire: Wire) -> None:
    await wire.say(_HEAD % (b"GET", b"/"))
    while not await wire.ended(_STEP):
        await wire.say(b"X-Slow: 1\r\n")


async def slow_body(wire: Wire) -> None:
    await wire.say(_HEAD % (b"POST", b"/webhooks/stripe") + b"Content-Length: 200000\r\n\r\n")
    while not await wire.ended(_STEP):
        await wire.say(b"{ ")


async def huge_head(wire: Wire) -> None:
    await wire.say(_HEAD % (b"GET", b"/") + b"".join(b"X-%d: %s\r\n" % (i, b"x" * 4000) for i in range(60)))
    await wire.ended(30)


async def huge_body(wire: Wire) -> None:
    await wire.say(_HEAD % (b"POST", b"/webhooks/stripe") + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(48):
        await wire.say(b"10000\r\n" + _PIECE + b"\r\n")
    await wire.ended(30)


async def never_reading(wire: Wire) -> None:
    """Asks and asks; with its small buffer full, the answers stay on the other side."""
    while True:
        await wire.say((_HEAD % (b"GET", b"/static/site.css") + b"\r\n") * 4)
        await asyncio.sleep(_STEP)


async def half_closed(wire: Wire) -> None:
    await wire.say(_HEAD % (b"POST", b"/webhooks/stripe") + b"Content-Length: 5000\r\n\r\n{")
    wire.writer.write_eof()
    await wire.ended(60)


async def silent(wire: Wire) -> None:
    await wire.ended(60)


KINDS: tuple[Callable[[Wire], Awaitable[None]], ...] = (
    *(slow_head, slow_body, huge_head, huge_body),
    *(never_reading, half_closed, silent),
)


@dataclass
class Tally:
    """What became of one kind."""

    connected: int = 0
    cut: int = 0
    longest: float = 0.0


async def attack(port: int, clients: int, seconds: float) -> dict[str, Tally]:
    """All kinds in equal parts, until the time is over."""
    told = {kind.__name__: Tally() for kind in KINDS}
    work = [_client(port, number, told) for number in range(clients)]
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*work)
    return told


async def _client(port: int, number: int, told: dict[str, Tally]) -> None:
    kind = KINDS[number % len(KINDS)]
    tally, chance = told[kind.__name__], random.Random(number)
    await asyncio.sleep(chance.random())
    while True:
        began = time.monotonic()
        with suppress(OSError):
            wire = await _connected(port, f"127.0.2.{1 + number % 50}", small=kind is never_reading)
            tally.connected += 1
            try:
                with suppress(OSError):
                    await kind(wire)
            finally:
                wire.writer.transport.abort()
            tally.cut += 1
            tally.longest = max(tally.longest, time.monotonic() - began)
        await asyncio.sleep(2)


async def _connected(port: int, address: str, *, small: bool) -> Wire:
    wire = socket.socket()
    wire.setblocking(False)
    if small:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.bind((address, 0))
    await asyncio.get_running_loop().sock_connect(wire, ("127.0.0.1", port))
    return Wire(*await asyncio.open_connection(sock=wire, limit=4096))


def main() -> None:
    os.nice(10)  # in earnest they would not use the processor of whom they attack
    port, clients, seconds = sys.argv[1:]
    told = asyncio.run(attack(int(port), int(clients), float(seconds)))
    print(json.dumps({name: vars(tally) for name, tally in told.items()}))


if __name__ == "__main__":
    main()
