"""Proof: the members' API answers whatever is sent to it as its own description says.

schemathesis reads /openapi.json of the running site and sends what is described and what is not: 0 server errors,
0 answers that are not described. The limits are wide open, so that no case ends at them.
"""

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core import db, stack
from tests import conftest, databases
from tests.webhooks import tools
from tests.webhooks.conftest import World, listening, open_world
from webhooks import limits, server

# Whose absence of findings is claimed; what they mean stands in schemathesis' documentation.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)


@dataclass(frozen=True, slots=True)
class Scale:
    """How many cases are made up for each operation, in which phases, and how long it may take in all."""

    examples: int = 200
    phases: str = "examples,coverage,fuzzing,stateful"
    seed: int = 7
    within: float = 1500.0


@dataclass
class Outcome:
    """What was sent and what was found; `told` is what schemathesis says of its findings."""

    cases: int
    operations: int
    statuses: Counter[str] = field(default_factory=Counter)
    failures: int = 0
    told: str = ""
    code: int = 0

    @property
    def ok(self) -> bool:
        return self.code == 0 and self.failures == 0 and self.cases > 0

    def __str__(self) -> str:
        answered = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.statuses.items()))
        said = f"{self.cases:,} cases over {self.operations} operations; {self.failures} findings ({answered})"
        return f"GOOD: {said}" if self.ok else f"BAD: {said}\n{self.told}"


@asynccontextmanager
async def site(database: db.Database) -> AsyncIterator[tuple[World, str]]:
    """A running site with signals, candles and a paying member on this database, and the member's key."""
    async with AsyncExitStack() as opened:

        async def make(held: db.Database, *, book: Any = None, clock: Any = None, **settings: Any) -> stack.Stack:
            conf = conftest.make_settings(held, **settings)
            book = book or conftest.make_catalogue(conf)
            return replace(await opened.enter_async_context(stack.opened(conf, book, now=clock)), db=held)

        start = datetime(2026, 1, 15, 12, tzinfo=UTC)
        world = await opened.enter_async_context(open_world(database, make, start))
        app = server.build(world.stack, counters=limits.Limits(times=1_000_000))
        url = await opened.enter_async_context(listening(app))
        world = replace(world, app=app, url=url)
        for _ in range(3):
            await tools.closed(world)
            await tools.opened(world)
        await tools.with_candles(world, number=30)
        yield world, await tools.reader(world, "signals")


async def prove(folder: Path, database_url: str, scale: Scale) -> Outcome:
    """Every case was sent; what came back is as described, or stands in the outcome."""
    if database_url.startswith("sqlite"):
        await databases.create_tables(database_url)
    database = db.Database(database_url)
    try:
        async with site(database) as (world, key):
            return await _tried(folder, world.url, key, scale)
    finally:
        await database.close()


async def _tried(folder: Path, url: str, key: str, scale: Scale) -> Outcome:
    report = folder / "report.ndjson"
    words = ["-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--url", url]
    words += ["-H", f"Authorization: Bearer {key}", "--checks", ",".join(CHECKS), "--phases", scale.phases]
    words += ["--max-examples", str(scale.examples), "--seed", str(scale.seed), "--generation-database", "none"]
    words += ["--report-ndjson-path", str(report), "--no-color", "--continue-on-failure", "--request-timeout", "30"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(scale.within):
        told = (await process.communicate())[0].decode()
    return _read(report, told, process.returncode or 0)


def _read(report: Path, told: str, code: int) -> Outcome:
    generated = re.search(r"([\d,]+) generated", told)
    operations = re.search(r"Tested: (\d+)", told)
    outcome = Outcome(
        cases=int(generated[1].replace(",", "")) if generated else 0,
        operations=int(operations[1]) if operations else 0,
        told=told,
        code=code,
    )
    with report.open(encoding="utf-8") as lines:
        for line in lines:
            scenario = json.loads(line).get("ScenarioFinished")
            if scenario and scenario.get("recorder"):
                _count(scenario["recorder"], outcome)
    return outcome


def _count(recorder: dict[str, Any], outcome: Outcome) -> None:
    for interaction in recorder.get("interactions", {}).values():
        answer = interaction.get("response")
        outcome.statuses[str(answer["status_code"]) if answer else "none"] += 1
    checks = [check for each in recorder.get("checks", {}).values() for check in each]
    outcome.failures += sum(check["status"] == "failure" for check in checks)
