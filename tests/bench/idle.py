"""Idle streams: how much memory each costs the product, with the event loop still answering in time.

The unmodified product holds at most 2,000 streams in a process, so 5,000 are spread over several. Measured is what the
processes' own memory (USS) grew by between the first hundred streams and the last.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from core import db
from tests.proofs import followers
from tests.sandbox import product
from webhooks import consumers, slots

_SETTLE = 3.0
_EACH = 50
"""Streams from one address of this machine; the product's cap for an address is 100."""
_WARM = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """Kilobytes of each idle stream, and how long the site takes to answer meanwhile."""

    streams: int
    processes: int
    kilobytes: float
    beats: int
    """How many said within 23 seconds that they are alive."""
    alive: float

    def __str__(self) -> str:
        return (
            f"{self.streams} idle streams in {self.processes} processes: {self.kilobytes:.1f} kB each; "
            f"{self.beats} of them heard a beat; /healthz answers in {self.alive * 1000:.1f} ms (median)"
        )


class Listeners:
    """Streams that only listen; `heard` has those that said that they are alive."""

    def __init__(self, opened: AsyncExitStack, sites: Sequence[product.Product], keys: Sequence[str]) -> None:
        self._opened, self._sites, self._keys = opened, sites, keys
        self._tasks: list[asyncio.Task[None]] = []
        self.heard: set[int] = set()

    @property
    def open(self) -> int:
        """How many are connected."""
        return sum(not task.done() for task in self._tasks)

    async def connect(self, numbers: range) -> None:
        """These streams are open and have said hello."""
        for first in range(numbers.start, numbers.stop, _EACH):
            place = first // _EACH
            connector = aiohttp.TCPConnector(local_addr=(f"127.1.{1 + place // 250}.{1 + place % 250}", 0), limit=0)
            http = await self._opened.enter_async_context(aiohttp.ClientSession(connector=connector))
            for number in range(first, min(first + _EACH, numbers.stop)):
                headers = {"Authorization": f"Bearer {self._keys[number // slots.PER_KEY]}"}
                url = f"{self._sites[number % len(self._sites)].url}/api/v1/ws"
                stream = await http.ws_connect(url, headers=headers)
                await stream.receive_json(timeout=10)
                self._tasks.append(asyncio.create_task(self._listen(number, stream)))

    async def _listen(self, number: int, stream: aiohttp.ClientWebSocketResponse) -> None:
        async for message in stream:  # which also answers pings
            if message.json()["type"] == "beat":
                self.heard.add(number)

    async def end(self) -> None:
        """Nobody listens any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def measure(folder: Path, database_url: str, count: int = 5000) -> Outcome:
    """What so many idle streams cost."""
    database = db.Database(database_url)
    known = await followers.keys_for(database, -(-count // slots.PER_KEY), ["signals"], each=5)
    await database.close()
    env = {"DATABASE_URL": database_url, "SECRET_KEY": "s" * 24, "LOG_LEVEL": "warning"}
    processes = -(-count // 1900)
    sites = [product.Product(folder / f"site{n}", env, "webhooks") for n in range(processes)]
    async with AsyncExitStack() as opened:
        for site in sites:
            await opened.enter_async_context(site)
        listeners = Listeners(opened, sites, [key for key, _ in known])
        opened.push_async_callback(listeners.end)
        await listeners.connect(range(_WARM * processes))
        before = await _memory(sites)
        await listeners.connect(range(_WARM * processes, count))
        grown = await _memory(sites) - before
        listeners.heard.clear()
        await asyncio.sleep(consumers.BEAT + _SETTLE)
        alive = await _alive(sites[0].url)
        each = grown / 1024 / (count - _WARM * processes)
        return Outcome(listeners.open, processes, each, len(listeners.heard), alive)


async def _memory(sites: Sequence[product.Product]) -> int:
    await asyncio.sleep(_SETTLE)
    return sum(psutil.Process(site.pid).memory_full_info().uss for site in sites)


async def _alive(url: str) -> float:
    taken = []
    async with aiohttp.ClientSession() as http:
        for _ in range(50):
            began = time.monotonic()
            async with http.get(f"{url}/healthz") as answer:
                await answer.read()
            taken.append(time.monotonic() - began)
    return statistics.median(taken)
