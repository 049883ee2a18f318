"""Proof: what the product stands on may go away in the middle of a fan-out, and so may the product itself.

One process with all roles on PostgreSQL and Redis of its own, Telegram with its usual limits. In turn PostgreSQL is
stopped without a goodbye (`-m immediate`) and started again, Redis is flushed, killed and started again, and the
product has SIGTERM and is started again. The checker judges from the sandbox's history.
"""

import asyncio
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import redis.asyncio

from tests import databases, servers
from tests.proofs import community, theatre
from tests.sandbox import checker, product

GRACE = 25.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the run is: in every round each of the three outages comes once."""

    paying: int = 150
    rounds: int = 5
    seed: int = 7


@dataclass
class Outcome:
    """What the run showed; `stops` are (exit code, seconds, newly ambiguous) of each SIGTERM."""

    verdict: checker.Verdict
    unreported: list[str]
    refused: tuple[int, int]
    errors: list[str]
    ambiguous: int
    stops: list[tuple[int, float, int]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        orderly = all(code == 0 and took <= GRACE and unsure == 0 for code, took, unsure in self.stops)
        return self.verdict.ok and orderly and not self.unreported and not self.refused[1] and not self.errors

    def __str__(self) -> str:
        longest = max((took for _, took, _ in self.stops), default=0.0)
        return (
            f"{self.verdict}\nin {self.seconds:.0f} s; {self.ambiguous} deliveries reported as ambiguous, "
            f"{len(self.unreported)} of what was doubled or missing unreported {self.unreported[:3]}; "
            f"{self.refused[0]} messages over a limit, {self.refused[1]} of them not by a stall of the stand-in\n"
            f"{len(self.stops)} orderly stops, exit codes {sorted({code for code, _, _ in self.stops})}, "
            f"the longest took {longest:.1f} s, ambiguous because of them {sum(n for _, _, n in self.stops)}; "
            f"errors logged {self.errors[:2]}"
        )


async def prove(folder: Path, scale: Scale) -> Outcome:
    """What a run of this scale showed."""
    began = time.monotonic()
    people = community.Community(scale.paying + 10, scale.paying)
    with servers.run() as run:
        postgres, cache = servers.Postgres(run.folder / "postgres"), servers.Redis(run.folder / "redis")
        await asyncio.gather(asyncio.to_thread(postgres.start), asyncio.to_thread(cache.start))
        await databases.create_tables(postgres.url)
        stops = []
        async with theatre.opened(folder, postgres.url, cache.url, people, scale.seed) as stage:
            one = stage.company("product")
            await one.start()
            for _ in range(scale.rounds):
                await _database_dies(stage, postgres)
                await _redis_forgets_and_dies(stage, cache)
                stops.append(await _stopped(stage, one))
            outcome = await _judged(stage)
    outcome.stops, outcome.seconds = stops, time.monotonic() - began
    return outcome


async def _database_dies(stage: theatre.Theatre, server: servers.Postgres) -> None:
    await stage.fan_out()
    await asyncio.to_thread(server.stop, signal.SIGQUIT)
    await asyncio.sleep(stage.chance.uniform(0, 1.5))
    await asyncio.to_thread(server.start)
    await stage.drained()


async def _redis_forgets_and_dies(stage: theatre.Theatre, server: servers.Redis) -> None:
    await stage.fan_out(0.1, 0.3)
    async with redis.asyncio.Redis.from_url(server.url) as client:
        await client.flushall()
    before = stage.sent()
    await stage.until(lambda: stage.sent() > before + 3, 30, "messages left after FLUSHALL")
    await asyncio.to_thread(server.stop, signal.SIGKILL)
    await asyncio.sleep(stage.chance.uniform(0.5, 2))
    await asyncio.to_thread(server.start)
    await stage.drained()


async def _stopped(stage: theatre.Theatre, one: product.Product) -> tuple[int, float, int]:
    await stage.fan_out()
    before, began = (await stage.ledger()).ambiguous, time.monotonic()
    os.kill(one.pid, signal.SIGTERM)
    async with asyncio.timeout(GRACE + 10):
        code = await one.ended()
    took, unsure = time.monotonic() - began, (await stage.ledger()).ambiguous - before
    await one.stop()
    await one.start()
    await stage.drained()
    return code, took, unsure


async def _judged(stage: theatre.Theatre) -> Outcome:
    verdict = await stage.judged(checker.Rules(copies=2, updates_lost=True))
    ambiguous = (await stage.ledger()).ambiguous
    return Outcome(verdict, await stage.unreported(), stage.over_limit(), stage.errors(), ambiguous)
