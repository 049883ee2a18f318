"""Proof: the product may die at every named place between an event and what follows from it, and nothing is wrong.

The unmodified web role as a process on PostgreSQL, Stripe's stand-in beside it. One failpoint at a time is put into the
process's environment; members pay (some of them twice), the process kills itself there, and is started again with the
next. At the end it runs without failpoints, and what Stripe's stand-in has is held against what members have.
"""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from sqlalchemy import select, update

from core import db, failpoints, members, models, rights, settings
from core.billing import links
from tests.sandbox import product
from tests.sandbox.history import History
from tests.sandbox.server import serving
from tests.sandbox.stripe import Stripe

_SECRET = "a-secret-of-the-proofs"
_DIES_WITHIN, _ENDS_WITHIN = 45.0, 240.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How many times the process dies at each of these places, when it comes there for the `passes`-th time at most."""

    kills: int = 20
    points: Sequence[str] = failpoints.NAMES
    passes: int = 2
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Outcome:
    """How often each place was hit, and everything that was wrong at the end."""

    kills: Counter[str]
    expected: int
    paid: int
    doubled: int
    wrong: list[str]
    seconds: float

    @property
    def ok(self) -> bool:
        return not self.wrong and min(self.kills.values(), default=0) >= self.expected

    def __str__(self) -> str:
        rows = [f"  {name}: {number} kills" for name, number in self.kills.items()]
        head = "GOOD" if self.ok else "BAD"
        summary = (
            f"{head}: {self.kills.total()} kills in {self.seconds:.0f} s; {self.paid} members paid, {self.doubled} of "
            f"them twice; {len(self.wrong)} things wrong"
        )
        return "\n".join([summary, *rows, *(f"  {one}" for one in self.wrong[:20])])


@dataclass
class _Run:
    stripe: Stripe
    product: product.Product
    database: db.Database
    conf: settings.Settings
    http: aiohttp.ClientSession
    chance: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    paid: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)

    async def kill_at(self, point: str, passes: int) -> None:
        """The process has died at this place, while somebody paid."""
        self.product.env["SIGNALSTACK_FAILPOINT"] = f"{point}:{self.chance.randint(1, passes)}"
        await self.product.start(ready=False)
        until = time.monotonic() + _DIES_WITHIN
        while time.monotonic() < until:
            if await self._alive():
                await self._buy(twice=point.startswith("errand"))
            with suppress(TimeoutError):
                if await asyncio.wait_for(self.product.ended(), 3) == -signal.SIGKILL:
                    self.kills[point] += 1
                    break
        await self.product.kill()

    async def _alive(self) -> bool:
        """Whether the site answers now; the process may as well be dead already."""
        for _ in range(200):
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with self.http.get(f"{self.product.url}/healthz") as answer:
                    return answer.status == 200
            if not self.product.running:
                return False
            await asyncio.sleep(0.05)
        return False

    async def _buy(self, *, twice: bool) -> None:
        name = f"m{len(self.paid) + len(self.doubled)}-{self.chance.randrange(10**9)}"
        now = datetime.now(UTC)
        async with self.database.transaction() as session:
            who = await members.arrive(session, "telegram", name, address=name, name=name, username=None, now=now)
        pages = [await self._page(who.member_id)]
        if twice and pages[0]:  # as if the first page had been lost before it was stored
            async with self.database.transaction() as session:
                mine = update(models.Checkout).where(models.Checkout.member_id == who.member_id)
                await session.execute(mine.values(state="expired"))
            pages.append(await self._page(who.member_id))
        for page in filter(None, pages):
            self.stripe.pay(page)
        if pages[0]:
            self.paid.append(who.member_id)
        if len(list(filter(None, pages))) == 2:
            self.doubled.append(who.member_id)
        await self.stripe.delivery.tried()

    async def _page(self, member_id: int) -> str:
        """The session to which the checkout page leads; empty when the process died meanwhile."""
        link = links.checkout_url(self.conf, member_id, "signals", now=datetime.now(UTC))
        with suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with self.http.post(link, allow_redirects=False) as answer:
                if answer.status == 303:
                    return urlsplit(answer.headers["Location"]).path.rsplit("/", 1)[-1]
        return ""

    async def recover(self) -> None:
        """The process runs undisturbed until nothing is left to do, or for as long as it may take."""
        self.product.env.pop("SIGNALSTACK_FAILPOINT", None)
        await self._leases_run_out()
        await self.product.start()
        until = time.monotonic() + _ENDS_WITHIN
        while time.monotonic() < until and (await self._undone() or await self._wrong_access()):
            self.product.check()
            await asyncio.sleep(0.5)

    async def _leases_run_out(self) -> None:
        """As if some minutes had passed since the last process died."""
        past = datetime.now(UTC) - timedelta(seconds=1)
        async with self.database.transaction() as session:
            for table in (models.Inbox, models.Errand):
                await session.execute(update(table).where(table.state == "claimed").values(lease_until=past))
            await session.execute(update(models.Lease).values(until=past))

    async def _undone(self) -> list[str]:
        async with self.database.reading() as session:
            items = await session.scalars(select(models.Inbox).where(models.Inbox.state != "done"))
            acts = await session.scalars(select(models.Errand).where(models.Errand.state != "done"))
            stuck = [f"event {row.event_id} ({row.kind}) is {row.state}: {row.error}" for row in items]
            return stuck + [f"errand {row.id} ({row.act}) is {row.state}: {row.error}" for row in acts]

    async def _wrong_access(self) -> list[str]:
        now = datetime.now(UTC)
        async with self.database.reading() as session:
            held = {member: await rights.plans_of(session, member, now=now) for member in self.paid}
        return [f"member {member} has paid and has {plans}" for member, plans in held.items() if plans != {"signals"}]

    async def judged(self) -> list[str]:
        """Everything that is not as it should be, by what the stand-in of Stripe has."""
        wrong = await self._undone() + await self._wrong_access()
        running: Counter[str] = Counter()
        for sub in self.stripe.account.all("subscription"):
            running[sub["metadata"]["signalstack_member"]] += sub["status"] == "active"
        wrong += [f"member {member} has {number} subscriptions" for member, number in running.items() if number != 1]
        back = Counter(row["charge"] for row in self.stripe.account.all("refund"))
        wrong += [f"the charge {charge} was refunded {times} times" for charge, times in back.items() if times > 1]
        if len(back) != len(self.doubled):
            wrong.append(f"{len(self.doubled)} paid twice, {len(back)} payments went back")
        async with self.database.reading() as session:
            rows = await session.scalars(select(models.Subscription.external_id))
            wrong += [f"{one} is stored twice" for one, times in Counter(rows).items() if times > 1]
        return wrong


async def prove(folder: Path, database_url: str, scale: Scale) -> Outcome:
    """What a run of this scale showed."""
    began = time.monotonic()
    stripe = Stripe(History())
    stripe.delivery.retry_seconds = (0.2,)
    price = stripe.add_price(2900, "usd", "month", name="Signals")
    database = db.Database(database_url)
    async with serving(stripe.app) as address, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
        stripe.base_url = address
        env = {
            "DATABASE_URL": database_url,
            "SECRET_KEY": _SECRET,
            "STRIPE_API_URL": address,
            "STRIPE_API_KEY": stripe.api.api_key,
            "STRIPE_WEBHOOK_SECRET": stripe.secrets[0],
            "STRIPE_PRICE_ID": price["id"],
        }
        web = product.Product(folder, env, "webhooks")
        stripe.webhook_url = f"{web.url}/webhooks/stripe"
        conf = settings.Settings(_env_file=None, secret_key=_SECRET, public_url=web.url)
        run = _Run(stripe, web, database, conf, http, random.Random(scale.seed))
        try:
            for point in scale.points:
                for _ in range(scale.kills):
                    await run.kill_at(point, scale.passes)
                await run.recover()
                await web.stop()
            wrong = await run.judged()
        finally:
            await web.stop()
            await database.close()
    kills = Counter({name: run.kills[name] for name in scale.points})
    return Outcome(kills, scale.kills, len(run.paid), len(run.doubled), wrong, time.monotonic() - began)
