"""What the proofs play in: the sandbox, a community, a database, Redis, and as many processes as a play wants."""

import asyncio
import itertools
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from core import db, models
from tests.proofs import community
from tests.sandbox import checker, checker_reading, product, telegram_limits, world

START = datetime(2023, 3, 1, 0, 0, 2, tzinfo=UTC)
LEASE = 3.0
_STALL = 0.03  # the pacer allows for as much between its grant and the arrival at Telegram
_CATALOGUE = """
[[watches]]
symbol = "BTC/USDT"
params = { window = 12, threshold = 1.4, min_reward_risk = 0.3, expires_after = 4 }
[[watches]]
symbol = "ETH/USDT"
params = { window = 12, threshold = 1.4, min_reward_risk = 0.3, expires_after = 4 }
[[plans]]
key = "signals"
name = "Signals"
price_id = "{price}"
"""
_EXPIRES = re.compile(r"^Expires .+$", re.MULTILINE)


@dataclass
class Theatre:
    """The world, the database seen from outside, who pays, and the settings of every process."""

    folder: Path
    around: world.World
    database: db.Database
    people: community.Community
    settings: Mapping[str, str]
    chance: random.Random
    products: list[product.Product] = field(default_factory=list)
    stalls: list[float] = field(default_factory=list)
    """When (epoch seconds) the stand-ins' own loop had stood still, so that messages that came apart met there."""

    def company(self, name: str, *roles: str) -> product.Product:
        """A process of this name, not started yet; it ends with the theatre."""
        made = product.Product(self.folder / name, self.settings, *roles)
        self.products.append(made)
        return made

    def sent(self) -> int:
        """How many messages lie in chats."""
        return len(self.around.history.of("telegram_message"))

    async def signal(self, within: float = 90) -> None:
        """Candles closed until another signal was published."""
        until = time.monotonic() + within
        before = (await self.ledger()).signals
        while (await self.ledger()).signals == before:
            self._check(until, "No signal came.")
            await self.around.next_candle(within=60)
            await asyncio.sleep(0.15)

    async def fan_out(self, least: float = 0.1, most: float = 0.6) -> None:
        """A signal was published, and a part of its messages, left to chance, lies in the chats."""
        before = self.sent()
        await self.signal()
        part = self.chance.uniform(least, most) * self.people.paying
        await self.until(lambda: self.sent() - before >= part, 60, "the fan-out went on")

    async def until(self, holds: Callable[[], Any], within: float, what: str) -> None:
        await self.around.until(holds, within, what)

    async def ledger(self) -> community.Ledger:
        """The state of the outbox, as soon as the database answers."""
        while True:
            try:
                return await community.ledger(self.database)
            except Exception as error:
                if not db.is_unavailable(error):
                    raise
                await asyncio.sleep(0.1)

    async def drained(self, within: float = 120) -> None:
        """Nothing waits in the outbox or in the inbox."""
        until = time.monotonic() + within
        while (await self.ledger()).unsettled or await self.undone():
            self._check(until, "The outbox or the inbox did not drain.")
            await asyncio.sleep(0.1)

    async def undone(self) -> int:
        """How many items of the inbox have had no effect yet."""
        async with self.database.reading() as session:
            open_ones = select(func.count()).where(models.Inbox.state != "done")
            return await session.scalar(open_ones) or 0

    def _check(self, until: float, what: str) -> None:
        for one in self.products:
            one.check()
        if time.monotonic() > until:
            words = "\n".join(one.last_words() for one in self.products)
            raise world.NothingHappenedError(f"{what}\n{words}")

    async def judged(self, rules: checker.Rules) -> checker.Verdict:
        """The checker's verdict over everything that happened."""
        rules = replace(rules, unanswerable=await community.unanswerable(self.database))
        return checker.judge(
            self.around.history,
            entitled=[checker.Entitlement(chat) for chat in self.people.payers],
            expected_signals=await community.sent_signals(self.database),
            rules=rules,
        )

    async def unreported(self) -> list[str]:
        """What arrived twice, and which updates never arrived, without the product reporting it as ambiguous."""
        reported = await community.ambiguous_rows(self.database)
        rows = self.around.history.events
        copies = Counter((copy.chat, copy.signal) for copy in checker_reading.openings(rows))
        ends = {(copy.chat, copy.signal) for copy in checker_reading.updates(rows)}
        told = {signal for _, signal in ends}
        unsure = {(chat, signal) for chat, signal, event in reported if event != "opened"}
        twice = [key for key, number in copies.items() if number > 1 and (*key, "opened") not in reported]
        missing = [key for key in copies if key[1] in told and key not in ends | unsure]
        return [f"#{signal} twice in {chat}" for chat, signal in twice] + [
            f"the end of #{signal} never in {chat}" for chat, signal in missing
        ]

    def over_limit(self, demanded: int = 0) -> tuple[int, int]:
        """How many messages Telegram refused for their number, and how many of them no stall of its own explains.

        Refusals that were put there by the play are known by the seconds that they demand.
        """
        rows = self.around.history.events
        refused = [
            row
            for before, row in itertools.pairwise(rows)
            if row["event"] == "telegram_refused"
            and row["code"] == 429
            and before["event"] != "telegram_request_in_pause"
            and not str(row["description"]).endswith(f"retry after {demanded}")
        ]
        unexplained = [row for row in refused if not any(-1.3 < at - row["at"] < 0.1 for at in self.stalls)]
        return len(refused), len(unexplained)

    def errors(self) -> list[str]:
        """What the processes logged as errors, as a person reads it: outages are warnings, so these are our faults."""
        lines = (line for one in self.products for line in one.log.read_text(errors="replace").splitlines())
        return [product.readable(line)[:500] for line in lines if '"level": "error"' in line]

    async def watch_itself(self) -> None:
        """Every stall of this loop is noted, until cancelled."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.005)
            if time.monotonic() - began > _STALL:
                self.stalls.append(time.time())

    def candles_with_two_signals(self) -> list[str]:
        """Candles of a market about which chats saw more than one signal number."""
        numbers = defaultdict(set)
        texts = {row["n"]: str(row["text"]) for row in self.around.history.of("telegram_message")}
        for copy in checker_reading.openings(self.around.history.events):
            found = _EXPIRES.search(texts[copy.n])
            numbers[copy.market, found[0] if found else ""].add(copy.signal)
        return [f"{where}: {sorted(several)}" for where, several in numbers.items() if len(several) > 1]


@asynccontextmanager
async def opened(
    folder: Path, database_url: str, redis_url: str, people: community.Community, seed: int, **settings: str
) -> AsyncIterator[Theatre]:
    """A theatre with Telegram's usual limits; its processes end with the block."""
    database = db.Database(database_url)
    await community.settle_in(database, people, datetime.now(UTC))
    async with (
        AsyncExitStack() as exits,
        world.World.open(folder, start=START, limits=telegram_limits.Limits(), discord=False) as around,
    ):
        exits.push_async_callback(database.close)
        for chat in people.chats:
            around.telegram.person(chat, f"Member {chat}", started=True)
        path = folder / "signalstack.toml"
        path.write_text(_CATALOGUE.replace("{price}", around.price["id"]), encoding="utf-8")
        own = {
            **around.environment(),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SECRET_KEY": "a-secret-of-the-proofs",
            "SIGNALSTACK_CONFIG": str(path),
            "LEASE_SECONDS": str(LEASE),
            "ADMINS": "",
            **settings,
        }
        made = Theatre(folder, around, database, people, own, random.Random(seed))
        watching = asyncio.create_task(made.watch_itself())
        try:
            yield made
        finally:
            watching.cancel()
            await asyncio.gather(*(one.stop() for one in made.products))
