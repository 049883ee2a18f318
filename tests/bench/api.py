"""What the members' API costs: the newest signals from memory and looked up each time, beside bare aiohttp.

One process serves all three at addresses of their own: the product, the product without its memory, and a handler of
three lines that returns the same bytes and asks nobody for a key. This process asks.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from core import db
from tests import databases
from tests.bench import stage, table
from tests.proofs import schema
from tests.sandbox import server as sandbox_server
from tests.webhooks import tools
from webhooks import cache, limits, server
from webhooks.api import answering

PATH = "/api/v1/signals/latest?limit=100"
NOTE = (
    "/signals/latest: ours checks the key, the plan, four limits and the record's newest entry in every request, from "
    "memory too; bare aiohttp does nothing of that. Client and database share the machine with the server."
)
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Dose:
    """Requests in each round, how many at once, rounds, and how many signals there are."""

    requests: int = 600
    at_once: int = 8
    rounds: int = 5
    signals: int = 300


@dataclass(frozen=True, slots=True)
class Served:
    """Where each of the three answers, and the key."""

    ours: str
    forgetful: str
    bare: str
    key: str


async def measured(maker: databases.Maker, dose: Dose) -> list[table.Row]:
    """The rows about the API."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, url in (("SQLite", f"sqlite:///{folder}/signalstack.db"), ("PostgreSQL", maker.filled())):
            stage.say(f"  /signals/latest on {name}, {dose.rounds} rounds of {dose.requests} requests")
            async with _serving(url, dose.signals) as served:
                rows += await _compared(name, served, dose)
    return rows


async def _compared(name: str, served: Served, dose: Dose) -> list[table.Row]:
    rates: dict[str, list[float]] = {served.bare: [], served.ours: [], served.forgetful: []}
    same = {await _rate(served.key, url, 20, 1) for url in rates} and {await _bytes(served.key, url) for url in rates}
    if len(same) != 1:
        raise RuntimeError("The three do not answer alike.")
    for _ in range(dose.rounds):
        for url, found in rates.items():
            found.append(await _rate(served.key, url, dose.requests, dose.at_once))
    ours, forgetful, bare = (rates[url] for url in (served.ours, served.forgetful, served.bare))
    size = f"{len(same.pop()) / 1000:.0f} kB"
    what = f"/signals/latest on {name}, {size}"
    return [
        table.compared(f"{what}, from memory", "requests/s", "bare aiohttp, same bytes", ours, bare),
        table.compared(f"{what}, looked up", "requests/s", "bare aiohttp, same bytes", forgetful, bare),
        table.compared(f"{what}, memory or not", "requests/s", "looked up each time", ours, forgetful),
    ]


async def _bytes(key: str, url: str) -> bytes:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http, http.get(url) as answer:
        answer.raise_for_status()
        return await answer.read()


async def _rate(key: str, url: str, requests: int, at_once: int) -> float:
    """Answers a second."""
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=at_once)) as http:

        async def some() -> None:
            for _ in range(requests // at_once):
                async with http.get(url) as answer:
                    answer.raise_for_status()
                    await answer.read()

        began = time.perf_counter()
        await asyncio.gather(*(some() for _ in range(at_once)))
        return requests // at_once * at_once / (time.perf_counter() - began)


@asynccontextmanager
async def _serving(database_url: str, signals: int) -> AsyncIterator[Served]:
    """The three answer, in a process of their own, until the block ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.api", database_url, str(signals)),
        cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            if line.startswith(b"SERVING "):
                yield Served(*line.decode().split()[1:])
                break
        else:
            raise RuntimeError("The process that serves ended.")
    finally:
        process.stdin.close()
        await process.wait()


async def _serve(database_url: str, signals: int) -> None:
    if database_url.startswith("sqlite"):
        await databases.create_tables(database_url)
    database = db.Database(database_url)
    try:
        async with schema.site(database) as (world, key):
            for number in range(signals):
                await (tools.opened(world) if number % 15 == 0 else tools.closed(world))
            forgetful = server.build(world.stack, counters=limits.Limits(times=1_000_000))
            forgetful[answering.KEPT] = cache.Cache(size=0)
            body = await _bytes(key, world.url + PATH)

            async def bare(_: web.Request) -> web.Response:
                return web.Response(body=body, content_type="application/json")

            plain = web.Application()
            plain.router.add_get("/latest", bare)
            async with sandbox_server.serving(forgetful) as other, sandbox_server.serving(plain) as third:
                print("SERVING", world.url + PATH, other + PATH, f"{third}/latest", key, flush=True)
                await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
