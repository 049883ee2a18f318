"""Proof: kill -9 of the whole process anywhere in a fan-out loses nothing, gives nothing away, doubles at most once.

Real PostgreSQL, the unmodified product with all roles in one process, the sandbox's exchange playing history and its
Telegram. The process is killed at seeded random moments of fan-outs and started again. The checker judges from the
sandbox's history; the product's tables only steer the run and are asked which rows it reports as ambiguous.
"""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core import db
from tests.proofs import community
from tests.sandbox import checker, checker_reading, product, telegram_limits, world

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


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the run is; `rate` messages a second and `window` in flight, as for paid broadcasts."""

    members: int = 2000
    paying: int = 1000
    signals: int = 50
    kills: int = 20
    seed: int = 7
    rate: int = 1000
    window: int = 40


@dataclass(frozen=True, slots=True)
class Outcome:
    """The checker's verdict, and how what it found doubled or missing compares with what the product reports."""

    verdict: checker.Verdict
    kills: int
    ambiguous: int
    doubled: int
    unreported: list[tuple[int, int, str]]
    seconds: float

    @property
    def ok(self) -> bool:
        return self.verdict.ok and not self.unreported

    def __str__(self) -> str:
        return (
            f"{self.verdict}\n"
            f"{self.kills} kills in {self.seconds:.0f} s; {self.ambiguous} deliveries reported as ambiguous, "
            f"{self.doubled} messages arrived twice, {len(self.unreported)} doubled or missing ones unreported"
        )


class _Run:
    def __init__(self, scale: Scale, around: world.World, run: product.Product, database: db.Database) -> None:
        self.scale, self.around, self.product, self.database = scale, around, run, database
        self.random = random.Random(scale.seed)
        self.kills = 0

    async def play(self) -> None:
        """Candles close until there are enough signals; the kills are spread over their fan-outs."""
        published, victims = 0, set(self.random.sample(range(1, self.scale.signals + 1), self.scale.kills))
        while published < self.scale.signals:
            await self.around.next_candle(within=60)
            await asyncio.sleep(0.15)
            state = await community.ledger(self.database)
            for _ in victims & set(range(published + 1, state.signals + 1)):
                await self._kill()
            published = state.signals
            await self._drained(2 * self.scale.paying)
        await self._drained(0)

    async def _kill(self) -> None:
        """The process dies while messages leave; how far the fan-out has come is left to chance."""
        sent, part = self._sent(), self.random.uniform(0.02, 0.9) * self.scale.paying
        until = time.monotonic() + 10
        while self._sent() - sent < part and time.monotonic() < until:  # noqa: ASYNC110 - another process is watched
            await asyncio.sleep(0.005)
        await self.product.kill()
        self.kills += 1
        await self.product.start()

    def _sent(self) -> int:
        return len(self.around.history.of("telegram_message"))

    async def _drained(self, most: int) -> None:
        until = time.monotonic() + 240
        while (await community.ledger(self.database)).unsettled > most:
            self.product.check()
            if time.monotonic() > until:
                raise world.NothingHappenedError(f"The outbox did not drain.\n{self.product.last_words()}")
            await asyncio.sleep(0.1)


async def prove(folder: Path, database_url: str, scale: Scale) -> Outcome:
    """What a run of this scale showed."""
    began = time.monotonic()
    people = community.Community(scale.members, scale.paying)
    database = db.Database(database_url)
    await community.settle_in(database, people, datetime.now(UTC))
    limits = telegram_limits.Limits.paid(scale.rate + 50)
    start = datetime(2023, 3, 1, 0, 0, 2, tzinfo=UTC)
    async with world.World.open(folder, start=start, limits=limits, discord=False) as around:
        for chat in people.chats:
            around.telegram.person(chat, f"Member {chat}", started=True)
        run = product.Product(folder, _environment(folder, around, database_url, scale))
        async with run:
            played = _Run(scale, around, run, database)
            await played.play()
        return await _judged(around, database, people, played.kills, time.monotonic() - began)


def _environment(folder: Path, around: world.World, database_url: str, scale: Scale) -> dict[str, str]:
    path = folder / "signalstack.toml"
    path.write_text(_CATALOGUE.replace("{price}", around.price["id"]), encoding="utf-8")
    return {
        **around.environment(),
        "DATABASE_URL": database_url,
        "SECRET_KEY": "a-secret-of-the-proofs",
        "SIGNALSTACK_CONFIG": str(path),
        "TELEGRAM_RATE": str(scale.rate),
        "DELIVERY_WINDOW": str(scale.window),
        "LEASE_SECONDS": "3",
        "ADMINS": "",
    }


async def _judged(
    around: world.World, database: db.Database, people: community.Community, kills: int, seconds: float
) -> Outcome:
    # Pauses and speed are another proof's subject: the rate here is that of a paid broadcast.
    unanswerable = await community.unanswerable(database)
    rules = checker.Rules(copies=2, per_second=10_000, updates_lost=True, unanswerable=unanswerable)
    verdict = checker.judge(
        around.history,
        entitled=[checker.Entitlement(chat) for chat in people.payers],
        expected_signals=await community.sent_signals(database),
        rules=rules,
    )
    reported = await community.ambiguous_rows(database)
    copies = Counter((copy.chat, copy.signal) for copy in checker_reading.openings(around.history.events))
    doubled = {(chat, signal, "opened") for (chat, signal), count in copies.items() if count > 1}
    await database.close()
    unreported = (doubled - reported) | _unanswered(around, reported)
    return Outcome(verdict, kills, len(reported), len(doubled), sorted(unreported), seconds)


def _unanswered(around: world.World, reported: set[tuple[int, int, str]]) -> set[tuple[int, int, str]]:
    """Openings whose end never arrived although it did elsewhere, and of which no row says that it was ambiguous."""
    events = around.history.events
    ends = {(copy.chat, copy.signal) for copy in checker_reading.updates(events)}
    ended = {signal for _, signal in ends}
    known = {(chat, signal) for chat, signal, event in reported if event != "opened"}
    arrived = {(copy.chat, copy.signal) for copy in checker_reading.openings(events) if copy.signal in ended}
    return {(chat, signal, "end") for chat, signal in arrived - ends - known}
