"""What a message costs: in a fan-out of the whole product, in the sending room alone, and with a bare client."""

import asyncio
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests import databases
from tests.bench import stage, table
from tests.proofs import community
from tests.sandbox import product, telegram_limits

WINDOW, RATE = 100, 1000
AT_ONCE = 30
SENT = table.Goal("ratio", "≤", 1.25)
CORE = table.Goal("figure", "≥", 1000, "msg per CPU second")
SHIPPED = table.Goal("ratio", "≤", 0.1)


@dataclass(frozen=True, slots=True)
class Dose:
    """Recipients of a fan-out, messages that each sender sends in a round, rounds."""

    recipients: int = 3000
    messages: int = 1500
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds for each message, and messages a second by the wall clock."""

    cpu: float
    rate: float


async def measured(folder: Path, maker: databases.Maker, dose: Dose) -> list[table.Row]:
    """The rows about cost."""
    rows: list[table.Row] = []
    for name, url in (("PostgreSQL", maker.filled()), ("SQLite", stage.sqlite_url(folder / "sqlite"))):
        stage.say(f"  a fan-out to {dose.recipients} on {name}")
        rows += await _fan_out(folder / name, url, name, dose, alone=name == "SQLite")
    return rows


async def _fan_out(folder: Path, url: str, name: str, dose: Dose, *, alone: bool) -> list[table.Row]:
    play = stage.Play(
        community.Community(dose.recipients, dose.recipients),
        symbols=stage.BTC,
        expires=1000,
        # Speed is measured, so the stand-in has no limits; the pacer keeps its own. The exchange is asked as often as
        # the shortest usual wait, not as often as in the demonstration.
        limits=telegram_limits.Limits.off(),
        settings={"TELEGRAM_RATE": str(RATE), "DELIVERY_WINDOW": str(WINDOW), "SCAN_SECONDS": "1"},
    )
    async with stage.playing(folder, url, play) as on:
        bodies = stage.recorded(on.around.telegram)
        whole = await _one_signal(on)
        path = folder / "bodies.json"
        path.write_bytes(orjson.dumps(bodies))
        job = {"url": on.around.addresses["telegram"], "token": on.around.telegram.token, "bodies": str(path)}
        await on.run.stop()  # the same stand-in goes on; nobody else uses the machine's time
        rows = await _against_bare(name, whole, job, dose)
        return rows + await _rooms(job, dose) if alone else rows


async def _one_signal(on: stage.Stage) -> Cost:
    """One signal has reached everybody: what that cost the product from the candle's close to the last settled row."""
    people = len(on.people.payers)
    while True:
        before = on.cpu
        if (await on.candle()).signals:
            break
    await on.drained()
    spent = on.cpu - before
    sent = [row["at"] for row in on.around.history.of("telegram_message", has_photo=True)]
    if len(sent) < people:
        raise product.ProductError(f"Only {len(sent)} of {people} messages left.\n{on.run.last_words()}")
    return Cost(spent / len(sent), (len(sent) - 1) / (sent[-1] - sent[0]))


async def _against_bare(name: str, whole: Cost, job: dict[str, Any], dose: Dose) -> list[table.Row]:
    costs = [await _sent("bare", {**job, "at_once": WINDOW, "count": dose.recipients}) for _ in range(dose.rounds)]
    cpu, rate = (statistics.median(getattr(cost, part) for cost in costs) for part in ("cpu", "rate"))
    what, beside = f"fan-out on {name}", "bare aiohttp, same bodies,"
    return [
        table.Row(f"{what}, CPU of the whole product", 1e6 * whole.cpu, "µs/msg", beside, 1e6 * cpu, whole.cpu / cpu),
        table.Row(f"{what}, one core's rate (B2)", 1 / whole.cpu, CORE.unit, goal=CORE),
        table.Row(f"{what}, messages by the clock", whole.rate, "msg/s", beside, rate, whole.rate / rate),
    ]


async def _rooms(job: dict[str, Any], dose: Dose) -> list[table.Row]:
    """The sending room alone, each round measured beside the references."""
    job = {**job, "at_once": AT_ONCE, "count": dose.messages}
    costs: dict[str, list[float]] = {kind: [] for kind in ("bare", "call", "send", "shipped")}
    stage.say(f"  senders alone, {dose.rounds} rounds of {dose.messages} messages")
    for _ in range(dose.rounds):
        for kind, found in costs.items():
            slow = {**job, "count": max(AT_ONCE, dose.messages // 5)} if kind == "shipped" else job
            found.append(1e6 * (await _sent(kind, slow)).cpu)
    bare = "bare aiohttp, same bodies,"
    return [
        table.compared("B1: telegram.api.call, 30 at once", "µs CPU/msg", bare, costs["call"], costs["bare"], SENT),
        table.compared("B1: telegram.sending.send, 30 at once", "µs CPU/msg", bare, costs["send"], costs["bare"], SENT),
        table.compared(
            "B1: telegram.sending.send, 30 at once",
            "µs CPU/msg",
            "python-telegram-bot 22.8 over HTTPX",
            costs["send"],
            costs["shipped"],
            SHIPPED,
        ),
    ]


async def _sent(kind: str, job: dict[str, Any]) -> Cost:
    """What this sender needed for the job."""
    found = await spoken("tests.bench.senders", kind, told=orjson.dumps(job))
    return Cost(found["cpu"] / found["messages"], found["messages"] / found["seconds"])


async def spoken(module: str, *words: str, told: bytes = b"") -> dict[str, Any]:
    """What a program of ours says at its end, as JSON values, after it was told one line."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *words),
        cwd=product.ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await running.communicate(told + b"\n")
    if running.returncode:
        raise RuntimeError(f"{module} {' '.join(words)} has failed")
    said: dict[str, Any] = orjson.loads(out)
    return said
