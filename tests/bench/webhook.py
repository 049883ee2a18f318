"""Goal E: a provider's event is verified, stored once and answered, beside bare aiohttp and FastAPI + SDK + ORM.

Each door is a process of its own on a PostgreSQL database of its own, and they are asked in turns by the same clients.
What is compared is the processor time of the door's process for one event; ours does all it does in earnest (limits,
guard, headers, metrics), only that its limits allow as much as is asked.
"""

import asyncio
import hashlib
import hmac
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
import psutil
from aiohttp import web
from sqlalchemy import make_url

from core import catalogue, log, settings, stack
from tests import databases
from tests.bench import table, webhook_peers
from tests.sandbox import product
from webhooks import limits, listener, server

PEERS = product.ROOT / ".venv-bench" / "bin" / "python"
_SECRET = "whsec_bench_0123456789abcdef"
_EIGHT = table.Goal("ratio", "≥", 8)
_THREE = table.Goal("ratio", "≤", 3)


@dataclass(frozen=True, slots=True)
class Dose:
    """Events of each round, how many are under way at once, rounds, and whether FastAPI is asked."""

    events: int = 1500
    at_once: int = 16
    rounds: int = 5
    peers: bool = True


@dataclass(frozen=True, slots=True)
class _Door:
    """A running door."""

    url: str
    pid: int

    @property
    def cpu(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


async def measured(maker: databases.Maker, dose: Dose) -> list[table.Row]:
    """The rows of goal E."""
    names = ["ours", "aiohttp", *(["fastapi"] if dose.peers and PEERS.exists() else [])]
    costs: dict[str, list[float]] = {name: [] for name in names}
    async with AsyncExitStack() as opened:
        doors = {name: await opened.enter_async_context(_opened(name, maker)) for name in names}
        number = 0
        for turn in range(dose.rounds + 1):
            for name, door in doors.items():
                before = door.cpu
                await _ask(door, range(number, number := number + dose.events), dose.at_once)
                if turn:  # the first round fills caches
                    costs[name].append(1e6 * (door.cpu - before) / dose.events)
    return _rows(costs)


def _rows(costs: dict[str, list[float]]) -> list[table.Row]:
    what = "E: provider event, verified, stored, answered"
    rows = [table.compared(f"{what}: CPU", "µs", "bare aiohttp", costs["ours"], costs["aiohttp"], _THREE)]
    if theirs := costs.get("fastapi"):
        speeds = [[1e6 / cost for cost in one] for one in (costs["ours"], theirs)]
        rows.append(table.compared(f"{what}: one core's rate", "/s", "FastAPI + SDK + ORM", *speeds, _EIGHT))
    return rows


def note(dose: Dose) -> str:
    """What a reader must know about these rows."""
    if dose.peers and not PEERS.exists():
        return "E: FastAPI is not installed; `make bench` installs it into a venv of its own."
    return "E: processor time of each door's process; FastAPI runs on uvloop and httptools, the other two on asyncio."


@asynccontextmanager
async def _opened(name: str, maker: databases.Maker) -> AsyncIterator[_Door]:
    url, port = maker.filled() if name == "ours" else maker.empty(), product.free_port()
    if name != "ours":
        connection = await asyncpg.connect(url)
        await connection.execute(webhook_peers.TABLE)
        await connection.close()
    python = str(PEERS) if name == "fastapi" else sys.executable
    script = Path(__file__) if name == "ours" else Path(webhook_peers.__file__)
    words = ["-m", "tests.bench.webhook"] if name == "ours" else [str(script), name]
    run = await asyncio.create_subprocess_exec(
        python, *words, url, str(port), _SECRET, cwd=product.ROOT, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        door = _Door(f"http://127.0.0.1:{port}/webhooks/stripe", run.pid)
        await _answers(door, run)
        yield door
    finally:
        run.kill()
        await run.wait()
        maker.drop(url)


async def _answers(door: _Door, run: asyncio.subprocess.Process) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and run.returncode is None:
        try:
            return await _ask(door, range(10**9, 10**9 + 1), 1)
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.1)
    raise RuntimeError(f"{door.url} does not answer.")


async def _ask(door: _Door, numbers: range, at_once: int) -> None:
    """These events were handed in, so many at once."""
    waiting = iter(numbers)
    async with aiohttp.ClientSession(trust_env=False) as http:

        async def one_after_the_other() -> None:
            for number in waiting:
                body, at = webhook_peers.event(number), int(time.time())
                signed = hmac.new(_SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
                headers = {"Stripe-Signature": f"t={at},v1={signed}", "Content-Type": "application/json"}
                async with http.post(door.url, data=body, headers=headers) as answer:
                    assert answer.status == 200, await answer.text()

        await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))


async def _serve(url: str, port: int, secret: str) -> None:
    """Our door as the product opens it, without the loops that work the events off."""
    log.setup("info", "json")
    values = {"database_url": url, "secret_key": "a-secret-of-the-benchmark", "stripe_webhook_secret": secret}
    conf = settings.Settings(_env_file=None, stripe_api_key="sk_test_bench", stripe_price_id="price_1P", **values)
    plan = catalogue.Plan(key="signals", name="Signals", price_id="price_1P")
    async with stack.opened(conf, catalogue.Catalogue(plans=(plan,))) as made:
        runner = web.AppRunner(server.build(made, counters=limits.Limits(times=1_000_000)), access_log=None)
        await runner.setup()
        assert runner.server is not None
        await listener.Listener(runner.server).open("127.0.0.1", port)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(make_url(sys.argv[1]).render_as_string(hide_password=False), int(sys.argv[2]), sys.argv[3]))
