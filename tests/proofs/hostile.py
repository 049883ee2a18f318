"""Proof: clients that are slow or oversized on purpose change nothing for the others.

One process with the public address on PostgreSQL. Good clients ask for pages and hand in signed provider events at a
steady pace, each second as many, whether the answers come or not. Then hundreds of others come: heads and bodies a
drop at a time, huge heads, huge bodies, askers who never read, connections half closed or silent (attackers.py, a
process of its own). They come from addresses of this machine, which are spared the cap for each address: the caps are
not what saves us here. The times of good requests and the memory of the process are told for before and during. On a
machine that does other things besides, the system says how long the process was ready and had no processor; as many
times as it was slower for that, so much longer may answers take.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import stripe

from tests.sandbox import product
from tests.sandbox.history import History
from tests.sandbox.server import serving
from tests.sandbox.stripe import Stripe

P99, GROWTH = 1.0, 64.0
"""Seconds that good requests may take, and MB that the process may grow by."""
_SECRET, _KEY = "whsec_hostile_0123456789abcdef", "sk_test_hostile0123456789"


@dataclass(frozen=True, slots=True)
class Scale:
    """How many clients come, for how long, and how many good requests there are each second."""

    clients: int = 500
    calm: float = 10.0
    seconds: float = 60.0
    rate: int = 20


@dataclass(frozen=True, slots=True)
class Phase:
    """What good clients saw: seconds of each request, those without a good answer, and the most memory in MB.

    `cpu` is the processor time of the product's loop, and `kept` how long others had the processor meanwhile.
    """

    taken: Sequence[float]
    failed: Sequence[str]
    memory: float
    cpu: float
    kept: float

    @property
    def slower(self) -> float:
        """How many times longer than on a machine of its own everything took."""
        return (self.cpu + self.kept) / self.cpu

    @property
    def ok(self) -> bool:
        """Whether all were answered, 99 of 100 within a second of a machine of its own."""
        return not self.failed and _within(self.taken, 0.99) <= P99 * self.slower

    def __str__(self) -> str:
        half, most = 1000 * _within(self.taken, 0.5), 1000 * _within(self.taken, 0.99)
        return (
            f"{len(self.taken)} good requests, half done within {half:.0f} ms, 99 % within {most:.0f} ms (the machine "
            f"made everything {self.slower:.1f} times slower), {len(self.failed)} not answered {self.failed[:2]}; "
            f"{self.memory:.0f} MB at most, {self.cpu:.1f} s of processor time"
        )


def _times(pid: int) -> tuple[float, float]:
    """Seconds that the process's first thread has had a processor, and seconds in which it waited for one."""
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9


def _within(taken: Sequence[float], share: float) -> float:
    return sorted(taken)[min(len(taken) - 1, int(share * len(taken)))]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the run showed; `attack` is what became of each kind of attacker."""

    calm: Phase
    under: Phase
    attack: dict[str, dict[str, Any]]
    errors: Sequence[str]

    @property
    def ok(self) -> bool:
        came = all(kind["connected"] for kind in self.attack.values())
        return (
            self.calm.ok
            and self.under.ok
            and came
            and self.under.memory - self.calm.memory <= GROWTH
            and not self.errors
        )

    def __str__(self) -> str:
        kinds = "\n".join(
            f"  {name}: {kind['connected']} connections, {kind['cut']} cut off, the last after {kind['longest']:.1f} s"
            for name, kind in self.attack.items()
        )
        return (
            f"{'GOOD' if self.ok else 'BAD'}: before: {self.calm}\nunder attack: {self.under}\n{kinds}\n"
            f"faults logged {self.errors[:2]}"
        )


async def prove(folder: Path, database_url: str, scale: Scale) -> Outcome:
    """What a run of this scale showed."""
    sandbox = Stripe(History(), api_key=_KEY, webhook_secret=_SECRET)
    async with serving(sandbox.app) as url:
        env = {"STRIPE_API_URL": url, "STRIPE_API_KEY": _KEY, "STRIPE_WEBHOOK_SECRET": _SECRET, "LOG_LEVEL": "warning"}
        env |= {"DATABASE_URL": database_url, "SECRET_KEY": "a-secret-of-the-hostile-proof"}
        env["STRIPE_PRICE_ID"] = sandbox.add_price(2900, "usd", "month", name="Signals")["id"]
        async with product.Product(folder, env, "webhooks") as run:
            good = _Good(run)
            await good.phase(1.0, scale.rate)  # templates and caches are filled
            calm = await good.phase(scale.calm, scale.rate)
            attackers = await _attackers(run.port, scale)
            await asyncio.sleep(1.5)  # everybody is there
            under = await good.phase(scale.seconds, scale.rate)
            told, _ = await attackers.communicate()
            return Outcome(calm, under, json.loads(told), _errors(run))


async def _attackers(port: int, scale: Scale) -> asyncio.subprocess.Process:
    words = ("-m", "tests.proofs.attackers", str(port), str(scale.clients), str(scale.seconds + 2))
    return await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=product.ROOT, stdout=asyncio.subprocess.PIPE
    )


def _errors(run: product.Product) -> list[str]:
    rows = [json.loads(row) for row in run.log.read_text().splitlines() if row.startswith("{")]
    return [f"{row['event']} {row.get('error', '')}" for row in rows if row["level"] == "error"]


class _Good:
    """Clients that do nothing wrong, each from an address of its own."""

    def __init__(self, run: product.Product) -> None:
        self._run, self._number = run, 0

    async def phase(self, seconds: float, rate: int) -> Phase:
        """So many requests a second, however long the answers take."""
        taken: list[float] = []
        failed: list[str] = []
        memory, tasks, began, start = 0.0, set(), time.monotonic(), _times(self._run.pid)
        while (now := time.monotonic()) < began + seconds:
            self._number += 1
            tasks.add(asyncio.create_task(self._ask(self._number, taken, failed)))
            memory = max(memory, psutil.Process(self._run.pid).memory_info().rss / 2**20)
            await asyncio.sleep(max(0.0, 1 / rate - (time.monotonic() - now)))
        await asyncio.gather(*tasks)
        return Phase(
            taken, failed, memory, *(after - before for before, after in zip(start, _times(self._run.pid), strict=True))
        )

    async def _ask(self, number: int, taken: list[float], failed: list[str]) -> None:
        door = aiohttp.TCPConnector(local_addr=(f"127.0.1.{1 + number % 200}", 0))
        limit = aiohttp.ClientTimeout(total=10)
        began = time.perf_counter()
        async with aiohttp.ClientSession(connector=door, timeout=limit, trust_env=False) as http:
            try:
                await self._exchange(http, number)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                failed.append(f"{type(error).__name__}: {error}")
        taken.append(time.perf_counter() - began)

    async def _exchange(self, http: aiohttp.ClientSession, number: int) -> None:
        path = ("/", "/healthz", "/record", "/webhooks/stripe")[number % 4]
        if number % 4 < 3:
            async with http.get(self._run.url + path) as answer:
                await answer.read()
        else:
            body = json.dumps({"id": f"evt_{number}", "object": "event", "type": "customer.created", "data": {}})
            at = int(time.time())
            signature = stripe.WebhookSignature._compute_signature(f"{at}.{body}", _SECRET)
            headers = {"Stripe-Signature": f"t={at},v1={signature}"}
            async with http.post(self._run.url + path, data=body, headers=headers) as answer:
                await answer.read()
        if answer.status != 200:
            raise aiohttp.ClientError(f"{path} {answer.status}")
