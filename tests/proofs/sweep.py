"""Proof: rounds through a place of thousands on each chat repair what events did not tell, with bounded requests.

Real PostgreSQL, the unmodified product in its role `bot`, and the stand-ins of Telegram and Discord with everybody in
them. Nobody told the product of the drift: people who pay lack the role, people who do not are inside. Requests are
counted at the stand-ins' doors.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from sqlalchemy import insert, text

from core import catalogue, db, models, places
from tests.proofs import community
from tests.sandbox import discord, history, product, server, telegram, telegram_limits

CHAT, GUILD, ROLE, CHANNEL, OWNER = -1_009_000, 9_000, "Members", 9_002, 9_003
_FIRST_D = 700_000_001
_CATALOGUE = """
[[places]]
key = "vip"
name = "VIP"
platform = "telegram"
chat = {chat}
[[places]]
key = "hall"
name = "Hall"
platform = "discord"
server = {server}
role = {role}
channel = {channel}
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """How many members each chat has; of them `unpaid` do not pay, and a quarter of those drifted in.

    `missing` pay on Discord and lack the role.
    """

    members: int = 10_000
    unpaid: int = 800
    missing: int = 300
    within: float = 400.0

    @property
    def paying(self) -> int:
        return self.members - self.unpaid

    @property
    def intruders(self) -> int:
        return self.unpaid // 4


@dataclass
class Outcome:
    """What it took until membership was what is paid for, and what a round after that asked."""

    scale: Scale
    seconds: float
    repairs: int
    wrong: list[str]
    asked: dict[str, Counter[str]]
    rounds: list[str]
    quiet: dict[str, int]

    @property
    def bound(self) -> dict[str, int]:
        """Requests of a start and its round when nothing is wrong: rights (twice), and people (docs/places.md)."""
        return {"telegram": 1000 + 2 * 4, "discord": self.scale.members // 1000 + 1 + 2 * 4}

    @property
    def ok(self) -> bool:
        return not self.wrong and all(self.quiet[name] <= most for name, most in self.bound.items())

    def __str__(self) -> str:
        verdict = "GOOD" if self.ok else "BAD"
        counts = [
            f"{name}: {', '.join(f'{n} {what}' for what, n in sorted(c.items()))}" for name, c in self.asked.items()
        ]
        size = (
            f"{self.scale.members} members on each chat, {self.scale.intruders} intruders on each, "
            f"{self.scale.missing} without the role they pay for"
        )
        quiet = ", ".join(f"{name} {number} (bound {self.bound[name]})" for name, number in self.quiet.items())
        return "\n".join(
            [
                f"{verdict}: {size}; {self.repairs} repairs, membership right after {self.seconds:.0f} s",
                f"  requests of a start and a round that finds nothing: {quiet}",
                *(f"  all requests, {row}" for row in counts),
                *(f"  round: {row}" for row in self.rounds),
                *(f"  wrong: {row}" for row in self.wrong[:5]),
            ]
        )


class Scene:
    """Both chats with everybody in them; `asked` counts requests by what they are."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        account = history.History()
        self.asked: dict[str, Counter[str]] = {"telegram": Counter(), "discord": Counter()}
        self.telegram = telegram.Telegram(account, limits=telegram_limits.Limits.off())
        self.discord = discord.Discord(account, limits=discord.Limits.off(), strict=False)
        self.telegram.app.middlewares.append(self._counting("telegram"))
        self.discord.app.middlewares.append(self._counting("discord"))
        self.chats = list(community.Community(scale.members, scale.paying).chats)
        self.payers = set(self.chats[: scale.paying])
        self.accounts = list(range(_FIRST_D, _FIRST_D + scale.members))
        self._fill()

    def _counting(self, name: str) -> Any:
        @web.middleware
        async def count(request: web.Request, handler: Any) -> web.StreamResponse:
            parts = [part for part in request.path.split("/") if part and not part.isdigit() and "token" not in part]
            if "getUpdates" not in parts:
                self.asked[name][f"{request.method} {'/'.join(parts[-3:])}" if name == "discord" else parts[-1]] += 1
            return await handler(request)

        return count

    def _fill(self) -> None:
        scale = self.scale
        inside = [*self.chats[: scale.paying], *self.chats[scale.paying : scale.paying + scale.intruders]]
        for chat in self.chats:
            self.telegram.person(chat, f"M{chat}", started=True)
        self.telegram.person(OWNER, "Owner")
        self.telegram.group(CHAT, "VIP", "channel", members=inside)
        self.telegram.chats[CHAT].members[OWNER] = "creator"
        self.discord.user(OWNER, "Owner")
        for account in self.accounts:
            self.discord.user(account, f"M{account}")
        self.discord.guild(GUILD, "Signals", owner=OWNER, members=self.accounts)
        self.role = self.discord.role(GUILD, ROLE).id
        self.discord.channel(GUILD, CHANNEL, "signals", private_to=[self.role])
        have = [
            *self.accounts[scale.missing : scale.paying],
            *self.accounts[scale.paying : scale.paying + scale.intruders],
        ]
        for account in have:
            self.discord.guilds[GUILD].members[account].roles.add(self.role)

    def wrong(self) -> list[str]:
        """Who is where they may not be, or not where they pay to be."""
        due = set(self.accounts[: self.scale.paying])
        have = self.discord.members_with(GUILD, self.role)
        found = [f"{account} pays and lacks the role" for account in sorted(due - have)]
        found += [f"{account} has the role unpaid" for account in sorted(have - due)]
        inside = {who for who, status in self.telegram.chats[CHAT].members.items() if status == "member"}
        return found + [f"{chat} is inside unpaid" for chat in sorted(inside - self.payers)]


async def prove(folder: Path, database_url: str, scale: Scale) -> Outcome:
    """What a run of this size showed."""
    scene = Scene(scale)
    async with server.serving(scene.telegram.app) as telegram_url, server.serving(scene.discord.app) as discord_url:
        path = folder / "signalstack.toml"
        words = _CATALOGUE.format(chat=CHAT, server=GUILD, role=scene.role, channel=CHANNEL)
        path.write_text(words, encoding="utf-8")
        env = {
            "DATABASE_URL": database_url,
            "SECRET_KEY": "a-secret-of-the-proofs",
            "SIGNALSTACK_CONFIG": str(path),
            "TELEGRAM_BOT_TOKEN": scene.telegram.token,
            "TELEGRAM_API_URL": telegram_url,
            "TELEGRAM_RATE": "1000",
            "DISCORD_BOT_TOKEN": discord.TOKEN,
            "DISCORD_API_URL": f"{discord_url}/api",
            "DISCORD_RATE": "45",
            "DELIVERY_WINDOW": "40",
        }
        database = db.Database(database_url)
        try:
            await _settle_in(database, scene, catalogue.read(path))
            async with _bot(folder, env) as company:
                return await _watched(scene, database, company)
        finally:
            await database.close()


@asynccontextmanager
async def _bot(folder: Path, env: dict[str, str]) -> AsyncIterator[product.Product]:
    company = product.Product(folder, env, "bot")
    await company.start(ready=False)
    try:
        yield company
    finally:
        await company.stop()


async def _settle_in(database: db.Database, scene: Scene, book: catalogue.Catalogue) -> None:
    """Everybody is known on both chats; what the product knows of the places is what events told it long ago."""
    now = datetime.now(UTC)
    people = community.Community(scene.scale.members, scene.scale.paying)
    await community.settle_in(database, people, now)
    plan = catalogue.Plan(key="signals", name="Signals")
    row = {"platform": "discord", "created_at": now}
    linked = [
        {**row, "member_id": n, "external_id": str(account), "address": f"@{account}", "name": f"M{account}"}
        for n, account in enumerate(scene.accounts, start=1)
    ]
    async with database.transaction() as session:
        await session.execute(insert(models.Identity), linked)
        await places.sync(session, book.model_copy(update={"plans": (plan,)}), now=now)
        known = [{"place": "vip", "external_id": str(chat), "inside": True} for chat in people.payers]
        await session.execute(insert(models.Presence), known)
        await session.execute(text("ANALYZE"))


async def _watched(scene: Scene, database: db.Database, company: product.Product) -> Outcome:
    began = time.monotonic()
    first = len(scene.wrong())
    while (wrong := scene.wrong()) and time.monotonic() - began < scene.scale.within:
        company.check()
        await asyncio.sleep(0.25)
    seconds = time.monotonic() - began
    rows = await _rounds(database)
    quiet = await _another_round(scene, database, company) if not wrong else {"telegram": 0, "discord": 0}
    wrong = wrong or [f"after another round: {row}" for row in scene.wrong()]
    return Outcome(scene.scale, seconds, first - len(wrong), wrong, scene.asked, rows, quiet)


async def _another_round(scene: Scene, database: db.Database, company: product.Product) -> dict[str, int]:
    """How many requests a round makes when nothing is wrong: a new process makes one when it starts."""
    await company.stop()
    before = len(await _rounds(database))
    for counter in scene.asked.values():
        counter.clear()
    await company.start(ready=False)
    until = time.monotonic() + 120
    while len(await _rounds(database)) < before + 2 and time.monotonic() < until:
        company.check()
        await asyncio.sleep(0.1)
    repeated = ("getChatMember", "getChatAdministrators", "getChatMemberCount", "getChat")
    return {
        "telegram": sum(scene.asked["telegram"][name] for name in repeated),
        "discord": sum(n for what, n in scene.asked["discord"].items() if "guilds" in what),
    }


async def _rounds(database: db.Database) -> list[str]:
    """The account of every round, as the product wrote it down."""
    async with database.reading() as session:
        rows = await session.execute(text("SELECT platform, facts, held FROM rounds ORDER BY id"))
        return [f"{platform} {facts}, held {held}" for platform, facts, held in rows]
