"""The product on a stage: the sandbox around it, a community in its database, its candles within reach."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import insert

from core import db, models
from tests import databases
from tests.proofs import community
from tests.sandbox import market_history, product, telegram, telegram_limits, world

BTC = ("BTC/USDT",)
BOTH = world.SYMBOLS
START = datetime(2023, 3, 1, 0, 0, 2, tzinfo=UTC)
_CATALOGUE = """
[[plans]]
key = "signals"
name = "Signals"
price_id = "{price}"
"""
_WATCH = """
[[watches]]
symbol = "{symbol}"
params = {{ window = 12, threshold = 1.4, min_reward_risk = 0.3, expires_after = {expires} }}
"""


@dataclass(frozen=True, slots=True)
class Play:
    """How the product is run: which markets it watches, how long signals live, settings besides the usual ones."""

    people: community.Community
    symbols: tuple[str, ...] = BOTH
    expires: int = 4
    settings: Mapping[str, str] = field(default_factory=dict)
    limits: telegram_limits.Limits | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """The world, the running product, its database seen from outside, and who is in it."""

    around: world.World
    run: product.Product
    database: db.Database
    people: community.Community

    @property
    def cpu(self) -> float:
        """Seconds of processor time that the product has used, in user and system mode, over all its threads."""
        times = psutil.Process(self.run.pid).cpu_times()
        return float(times.user + times.system)

    async def candle(self) -> community.Ledger:
        """One more candle has closed, the product has judged it, and this is its outbox now."""
        await self.around.next_candle(within=60)
        await asyncio.sleep(0.2)
        return await community.ledger(self.database)

    async def drained(self, within: float = 240.0) -> None:
        """Nothing waits in the outbox any more."""
        end = asyncio.get_running_loop().time() + within
        while (await community.ledger(self.database)).unsettled:
            self.run.check()
            if asyncio.get_running_loop().time() > end:
                raise world.NothingHappenedError(f"The outbox did not drain.\n{self.run.last_words()}")
            await asyncio.sleep(0.05)

    async def subscribe(self, chats: range) -> None:
        """These members, who did not, pay from now on."""
        first = self.people.chats.start - 1
        rows = [community._paid(chat - first, datetime.now(UTC), "signals") for chat in chats]
        async with self.database.transaction() as session:
            await session.execute(insert(models.Subscription), rows)


@asynccontextmanager
async def playing(folder: Path, url: str, play: Play) -> AsyncIterator[Stage]:
    """The whole product runs in one process on this database, in the middle of its sandbox, until the block ends."""
    _made(folder)
    if url.startswith("sqlite"):
        await databases.create_tables(url)
    markets, label = market_history.load_markets(play.symbols, [world.TIMEFRAME], cache=world.CACHE)
    database = db.Database(url)
    try:
        await community.settle_in(database, play.people, datetime.now(UTC))
        async with world.World.open(folder, start=START, markets=markets, limits=play.limits, discord=False) as around:
            for chat in play.people.chats:
                around.telegram.person(chat, f"Member {chat}", started=True)
            env = {**around.environment(), "DATABASE_URL": url, "SECRET_KEY": "a-secret-of-the-benchmark", "ADMINS": ""}
            env |= {"SIGNALSTACK_CONFIG": str(_catalogue(folder, around, play, label)), **play.settings}
            async with product.Product(folder, env) as run:
                yield Stage(around, run, database, play.people)
    finally:
        await database.close()


def _catalogue(folder: Path, around: world.World, play: Play, label: str) -> Path:
    path = folder / "bench.toml"
    notice = "" if label == market_history.REAL else f'[service]\nnotice = "{label}"\n'
    watches = "".join(_WATCH.format(symbol=symbol, expires=play.expires) for symbol in play.symbols)
    path.write_text(notice + watches + _CATALOGUE.format(price=around.price["id"]), encoding="utf-8")
    return path


def sqlite_url(folder: Path) -> str:
    """The address of an SQLite database in this folder."""
    return f"sqlite:///{_made(folder) / 'signalstack.db'}"


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def recorded(stand_in: telegram.Telegram) -> list[dict[str, Any]]:
    """A list that grows with the parameters of every sendPhoto that names an uploaded picture."""
    kept: list[dict[str, Any]] = []
    name, send = stand_in._methods["sendphoto"]

    def send_and_keep(inner: Any, call: Any) -> Any:
        if not call.files:
            kept.append(call.params)
        return send(inner, call)

    stand_in._methods["sendphoto"] = (name, send_and_keep)
    return kept


def say(line: str) -> None:
    """A line of progress, beside the table."""
    print(line, file=sys.stderr, flush=True)
