"""Proof: the whole road on real candles: what the market did, what was decided, what arrived, counted.

The sandbox plays history candle by candle; members hold the plan from the start; the checker judges what arrived.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from core import db, models
from tests import databases
from tests.proofs import community
from tests.sandbox import checker, product, telegram_limits, world


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of the history is played, for how many members."""

    timeframe: str = "5m"
    candles: int = 1000
    members: int = 10
    paying: int = 5
    start: datetime = datetime(2023, 3, 20, 0, 0, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was counted on the way."""

    label: str
    scale: Scale
    until: datetime
    signals: Counter[str]
    deliveries: Counter[str]
    verdict: checker.Verdict

    @property
    def ok(self) -> bool:
        return self.verdict.ok and sum(self.signals.values()) > 0

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {name}" for name, count in sorted(self.signals.items()))
        rows = ", ".join(f"{count} {name}" for name, count in sorted(self.deliveries.items()))
        return (
            f"{self.label}, BTC/USDT and ETH/USDT {self.scale.timeframe}, {self.scale.candles} candles of each from "
            f"{self.scale.start:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC\n"
            f"{sum(self.signals.values())} signals: {ends}\ndeliveries: {rows}\n{self.verdict}"
        )


async def prove(folder: Path, scale: Scale) -> Outcome:
    """What a run of this length showed, on the embedded default."""
    database_url = f"sqlite:///{folder / 'road.db'}"
    people = community.Community(scale.members, scale.paying)
    await databases.create_tables(database_url)
    database = db.Database(database_url)
    await community.settle_in(database, people, datetime.now(UTC))
    limits = telegram_limits.Limits.paid(1000)
    async with world.World.open(
        folder, start=scale.start, limits=limits, timeframe=scale.timeframe, discord=False
    ) as around:
        for chat in people.chats:
            around.telegram.person(chat, f"Member {chat}", started=True)
        env = {**around.environment(), "DATABASE_URL": database_url, "SECRET_KEY": "a-secret-of-the-proofs"}
        async with product.Product(folder, {**env, "TELEGRAM_RATE": "900", "SCAN_SECONDS": "0.1", "ADMINS": ""}):
            for _ in range(scale.candles):
                await around.next_candle(within=60)
            await _drained(around, database)
        signals = Counter(dict(await _counted(database, models.Signal.status)))
        deliveries = Counter(dict(await _counted(database, models.Delivery.state)))
        verdict = checker.judge(
            around.history,
            entitled=[checker.Entitlement(chat) for chat in people.payers],
            expected_signals=await community.sent_signals(database),
            rules=checker.Rules(per_second=10_000),
        )
        await database.close()
        return Outcome(around.label, scale, around.exchange.now, signals, deliveries, verdict)


async def _drained(around: world.World, database: db.Database) -> None:
    for _ in range(600):
        if (await community.ledger(database)).unsettled == 0:
            return
        await asyncio.sleep(0.1)
    raise world.NothingHappenedError("The outbox did not drain within a minute.")


async def _counted(database: db.Database, column: object) -> list[tuple[str, int]]:
    async with database.reading() as session:
        rows = await session.execute(select(column, func.count()).group_by(column))
        return [(str(name), count) for name, count in rows]
