"""Proof: kill -9 while signals are posted in Discord's channels, restarted at once: nothing lost, nothing twice.

Real PostgreSQL, the unmodified product with all roles in one process, the sandbox's exchange playing history and its
Discord, which answers late and sometimes not at all after it has stored a message. The process is killed at seeded
random moments after a post was planned. The checker judges from the sandbox's history.
"""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from core import db, models
from tests.proofs import community
from tests.sandbox import checker, checker_reading, discord, product, world

_FIRST_CHANNEL = 910_001
_CATALOGUE = """
[[watches]]
symbol = "BTC/USDT"
params = { window = 12, threshold = 0.8, min_reward_risk = 0.1, expires_after = 2 }
[[watches]]
symbol = "ETH/USDT"
params = { window = 12, threshold = 0.8, min_reward_risk = 0.1, expires_after = 2 }
[[plans]]
key = "signals"
name = "Signals"
price_id = "PRICE"
"""
_PLACE = """
[[places]]
key = "room{number}"
name = "Room {number}"
platform = "discord"
server = {server}
role = {role}
channel = {channel}
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """How often the process is killed, and in how many channels each signal is posted."""

    kills: int = 200
    rooms: int = 8
    seed: int = 7
    drops: float = 0.05
    """How many messages are stored and never answered."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The checker's verdict, and what was found by counting copies in the channels."""

    verdict: checker.Verdict
    scale: Scale
    seconds: float
    signals: int
    posts: int
    missing: list[str]
    doubled: list[str]
    longest: float
    recognised: int

    @property
    def ok(self) -> bool:
        return self.verdict.ok and not self.missing and not self.doubled

    def __str__(self) -> str:
        return (
            f"{self.verdict}\n"
            f"{self.scale.kills} kills in {self.seconds:.0f} s, at work again within {self.longest:.1f} s; "
            f"{self.signals} signals in {self.scale.rooms} channels, {self.posts} posts, {self.recognised} of them "
            f"sent again and recognised; lost {len(self.missing)}, doubled {len(self.doubled)}"
        )


class _Run:
    def __init__(self, scale: Scale, around: world.World, run: product.Product, database: db.Database) -> None:
        self.scale, self.around, self.product, self.database = scale, around, run, database
        self.random = random.Random(scale.seed)
        self.longest = 0.0

    async def play(self) -> None:
        """Candles close until the process was killed often enough; each kill follows a post's planning."""
        planned, kills = 0, 0
        while kills < self.scale.kills:
            await self.around.next_candle(within=60)
            await asyncio.sleep(0.1)
            posts = await self._planned()
            if posts > planned:
                await self._kill()
                kills += 1
            planned = await self._planned()
        await self._drained()

    async def _planned(self) -> int:
        async with self.database.reading() as session:
            counted = select(func.count()).where(models.Delivery.place.is_not(None))
            return await session.scalar(counted) or 0

    async def _kill(self) -> None:
        await asyncio.sleep(self.random.uniform(0, 0.5))
        await self.product.kill()
        began, seen = time.monotonic(), len(self.around.history.of("exchange_request"))
        # Posts need no gateway, which would not let anybody sign in two hundred times in a row.
        await self.product.start(ready=False)
        while len(self.around.history.of("exchange_request")) == seen:
            self.product.check()
            await asyncio.sleep(0.02)
        self.longest = max(self.longest, time.monotonic() - began)

    async def _drained(self) -> None:
        until = time.monotonic() + 600
        while (await community.ledger(self.database)).unsettled:
            self.product.check()
            if time.monotonic() > until:
                raise world.NothingHappenedError(f"The outbox did not drain.\n{self.product.last_words()}")
            await asyncio.sleep(0.1)


async def prove(folder: Path, database_url: str, scale: Scale) -> Outcome:
    """What a run of this scale showed."""
    began = time.monotonic()
    start = datetime(2023, 3, 1, 0, 0, 2, tzinfo=UTC)
    database = db.Database(database_url)
    async with world.World.open(folder, start=start) as around:
        _trouble(around.discord, scale)
        channels = _rooms(around.discord, scale)
        run = product.Product(folder, _environment(folder, around, database_url, channels))
        around.guard = run.check
        async with run:
            played = _Run(scale, around, run, database)
            await played.play()
        outcome = await _judged(around, database, channels, scale, time.monotonic() - began, played.longest)
    await database.close()
    return outcome


def _trouble(there: discord.Discord, scale: Scale) -> None:
    """Discord stores messages and answers late, or never."""
    for seconds in (0.05, 0.15, 0.4):
        late = discord.Fault(discord.Kind.DELAY, method="POST", route="messages", times=None, seconds=seconds)
        late.probability = 0.3
        there.faults.add(late)
    lost = discord.Fault(discord.Kind.STORE_THEN_DROP, method="POST", route="messages", times=None)
    lost.probability = scale.drops
    there.faults.add(lost)


def _rooms(there: discord.Discord, scale: Scale) -> list[int]:
    channels = list(range(_FIRST_CHANNEL, _FIRST_CHANNEL + scale.rooms))
    for channel in channels:
        there.channel(world.GUILD, channel, f"room-{channel}", private_to=[world.ROLE])
    return channels


def _environment(folder: Path, around: world.World, database_url: str, channels: list[int]) -> dict[str, str]:
    path = folder / "rooms.toml"
    places = [
        _PLACE.format(number=number, server=world.GUILD, role=world.ROLE, channel=channel)
        for number, channel in enumerate(channels)
    ]
    path.write_text(_CATALOGUE.replace("PRICE", around.price["id"]) + "".join(places), encoding="utf-8")
    return {
        **around.environment(),
        "DATABASE_URL": database_url,
        "SECRET_KEY": "a-secret-of-the-proofs",
        "SIGNALSTACK_CONFIG": str(path),
        "LEASE_SECONDS": "3",
        "ADMINS": "",
    }


async def _judged(
    around: world.World, database: db.Database, channels: list[int], scale: Scale, seconds: float, longest: float
) -> Outcome:
    rows = around.history.events
    staff = frozenset({("discord", world.OLGA_D), ("discord", around.discord.bot.id)})
    gated = [
        checker.Place(("channel", channel), f"room {channel}", guild=world.GUILD, role=world.ROLE, staff=staff)
        for channel in channels
    ]
    # Nobody but staff is inside; what must be in every channel is counted here.
    verdict = checker.judge(around.history, entitled=[], places=gated, rules=checker.Rules(per_second=10_000))
    signals = await community.sent_signals(database)
    missing, doubled = [], []
    for name, copies in (("opening", checker_reading.openings(rows)), ("end", checker_reading.updates(rows))):
        counted = Counter((copy.chat, copy.signal) for copy in copies)
        told = {signal for _, signal in counted}
        due = set(signals) if name == "opening" else told
        missing += [f"{name} of #{s} in {c}" for c in channels for s in due if not counted[("channel", c), s]]
        doubled += [f"{n} copies of the {name} of #{s} in {c}" for (c, s), n in counted.items() if n > 1]
    again = await _sent_again(database)
    posts = len(around.history.of("discord_message"))
    return Outcome(verdict, scale, seconds, len(signals), posts, missing, doubled, longest, again)


async def _sent_again(database: db.Database) -> int:
    async with database.reading() as session:
        doubted = select(func.count()).where(models.Delivery.place.is_not(None), models.Delivery.ambiguities > 0)
        return await session.scalar(doubted) or 0
