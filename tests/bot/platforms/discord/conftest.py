"""A Discord with people on a server, and our bot pointed at it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import discord as library
import pytest

from bot.platforms.discord import listening, platform, reception, registration
from core import catalogue, clock, db, health, inbox, models, stack
from tests import conftest
from tests.bot import stage as stages
from tests.core import people
from tests.sandbox import discord, history, server

OWNER, ANN, BOB, CARL = 7000, 7001, 7002, 7003
GUILD, GENERAL, SIGNALS = 9001, 9101, 9102
PLACE = "lounge"
QUICK = listening.Timing(
    first=0.01,
    longest=0.05,
    heartbeat=5.0,
    apart=0.01,
    settling=0.05,
    check=0.05,
    closing=0.5,
    patience=reception.Patience(keeping=0.3),
)
BOOK = catalogue.Catalogue(
    plans=(people.ALL,),
    watches=tuple(catalogue.Watch(symbol=symbol) for symbol in (people.BTC, people.ETH)),
)
ALL_RIGHTS = {"discord_bot_token": discord.TOKEN, "lease_seconds": 30.0, "admins": f"discord:{OWNER}"}

BotMaker = Callable[..., Awaitable[platform.Discord]]


class Clock:
    """One clock for us and for Discord, which a test may set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> Any:
        return clock.utcnow() + timedelta(seconds=self.ahead)

    def seconds(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def moments() -> Clock:
    return Clock()


@pytest.fixture
def world(moments: Clock) -> Iterator[discord.Discord]:
    """Discord with the server of an operator; what we ask of it must fit its published description."""
    made = discord.Discord(history.History(), limits=discord.Limits.off(), now=moments.seconds)
    for number, name in ((OWNER, "Olga"), (ANN, "Ann"), (BOB, "Bob"), (CARL, "Carl")):
        made.user(number, name)
    made.guild(GUILD, "Traders", owner=OWNER, members=[ANN, BOB])
    made.channel(GUILD, GENERAL, "general")
    yield made
    assert made.violations == []


@pytest.fixture
async def address(world: discord.Discord) -> AsyncIterator[str]:
    """Where Discord answers; the library forgets it afterwards."""
    gateway = library.gateway
    async with server.serving(world.app) as base:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(library.http.Route, "BASE", library.http.Route.BASE)
            patch.setattr(library.http, "DiscordClientWebSocketResponse", gateway.DiscordClientWebSocketResponse)
            patch.setattr(gateway.DiscordWebSocket, "DEFAULT_GATEWAY", gateway.DiscordWebSocket.DEFAULT_GATEWAY)
            yield base


@pytest.fixture
async def make_bot(
    address: str,
    world: discord.Discord,
    sqlite_database: db.Database,
    make_stack: conftest.StackMaker,
    moments: Clock,
) -> AsyncIterator[BotMaker]:
    """Builds started bots: `await make_bot(started=True, fresh=False, timing=QUICK, total=1.0, **settings)`.

    Unless it is `fresh`, an earlier process has told Discord our commands.
    """
    async with AsyncExitStack() as opened:

        async def make(
            *, started: bool = True, fresh: bool = False, book: Any = BOOK, **given: Any
        ) -> platform.Discord:
            own = {name: given.pop(name, usual) for name, usual in {"total": 1.0, "timing": QUICK}.items()}
            conf = ALL_RIGHTS | {"discord_api_url": f"{address}/api"} | given
            held = await make_stack(sqlite_database, book=book, clock=moments, **conf)
            if not fresh:
                await _tell_commands(held, world)
            bot = platform.Discord(held, **own)
            opened.push_async_callback(bot.stop)
            if started:
                await bot.start()
            return bot

        yield make


async def _tell_commands(opened: stack.Stack, world: discord.Discord) -> None:
    told = registration.table(opened.catalogue)
    world.commands.replace(discord.APPLICATION, None, told)
    note = f"{discord.APPLICATION} {registration.fingerprint(told)} of an earlier process"
    async with opened.db.transaction() as session:
        await health.beat(session, platform.BOT, limit=1.0, now=opened.clock(), note=note)


@pytest.fixture
async def bot(make_bot: BotMaker) -> platform.Discord:
    """Our bot, started."""
    return await make_bot()


def held(bot: platform.Discord) -> stack.Stack:
    """The stack that the bot works with."""
    return bot._stack


@asynccontextmanager
async def listening_to(bot: platform.Discord, world: discord.Discord) -> AsyncIterator[asyncio.Task[None]]:
    """The bot listens until the block ends; when the block begins, it is signed in."""
    before = world.gateway.identifies  # Discord may see an earlier session end a little later
    task = asyncio.create_task(bot.listen())
    try:
        await stages.seen(lambda: task.done() or (world.gateway.identifies > before and world.gateway.live))
        if task.done():
            task.result()
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def claimed(bot: platform.Discord, number: int = 1) -> list[inbox.Item]:
    """So many items, which have come into the inbox, are ours."""
    items: list[inbox.Item] = []

    async def come() -> bool:
        async with held(bot).db.transaction() as session:
            now = held(bot).clock()
            items.extend(await inbox.claim(session, "discord", now=now, lease=600, limit=1000))
        return len(items) >= number

    await stages.until(come)
    return items


async def applied(bot: platform.Discord, number: int = 1) -> list[inbox.Item]:
    """So many items have come and taken effect."""
    items = await claimed(bot, number)
    for item in items:
        await bot.apply(item)
    return items


async def open_place(bot: platform.Discord, role: int, channel: int, *, fault: str = "") -> models.Place:
    """The server has a gated place that every plan opens."""
    async with held(bot).db.transaction() as session:
        row = models.Place(key=PLACE, platform="discord", space=str(GUILD), name="Lounge", created_at=held(bot).clock())
        row.role, row.channel, row.symbols, row.fault = str(role), str(channel), [], fault
        session.add(row)
        await session.flush()
        session.add(models.PlacePlan(place=PLACE, plan=people.ALL.key))
    return row


async def delivered(bot: platform.Discord, number: int = 1) -> list[Any]:
    """What waits in the outbox has been sent as a courier would; the outcomes."""
    from bot import courier, pictures
    from core.delivery import pacing

    pacer = pacing.Pacer("discord", stages.FAST)
    sent: list[Any] = []
    for urgent in (True, False):
        worker = courier.Courier(held(bot), bot, pacer, pictures.Pictures(held(bot), "discord"), urgent=urgent)
        for parcel in await worker._claim(number):
            ready, _ = await worker._prepare(parcel, None, AsyncExitStack())
            assert await worker._mark_sending([parcel]) == [True]
            outcome = await worker._send(ready, parcel)
            await worker._finish(parcel, outcome)
            sent.append(outcome)
    return sent


async def rows(bot: platform.Discord, *where: Any) -> list[models.Delivery]:
    return list(await people.deliveries(held(bot).db, *where))


async def alarms(bot: platform.Discord) -> dict[str, str]:
    """The open alarms: text by key."""
    async with held(bot).db.reading() as session:
        report = await health.report(session, now=held(bot).clock())
    return {alarm.key: alarm.text for alarm in report.alarms}
