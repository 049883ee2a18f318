"""Scenes: one for each place of the table."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiosqlite
import discord as library
import pytest

from bot.platforms.discord import platform as discord_bot
from bot.platforms.telegram import platform as telegram_bot
from core import db
from tests import conftest
from tests.rights import cast, market, on_discord, on_telegram, scene, table
from tests.sandbox import discord, history, server, telegram

SceneMaker = Callable[[table.Place], Awaitable[scene.Scene]]
ADMINS = ",".join(f"{platform}:{number}" for platform, number in cast.OPERATORS.items())
CONF = {"stripe_api_key": "sk_test_x", "public_url": "https://site.example", "lease_seconds": 60.0, "admins": ADMINS}


@pytest.fixture
def _at_hand() -> Iterator[None]:
    """SQLite is asked on the loop's own thread: handing every statement to another one takes most of the time."""

    async def execute(self: Any, work: Callable[..., Any], *given: Any, **named: Any) -> Any:
        if not self._running or not self._connection:
            raise ValueError("Connection closed")
        return work(*given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aiosqlite.core.Connection, "_execute", execute)
        yield


@pytest.fixture
async def open_scene(
    _at_hand: None, sqlite_database: db.Database, make_stack: conftest.StackMaker
) -> AsyncIterator[SceneMaker]:
    """Opens the scene of a place, with everybody in it: `await open_scene(table.LOBBY)`."""
    async with AsyncExitStack() as opened:

        async def make(place: table.Place) -> scene.Scene:
            begin = _telegram if place.platform == "telegram" else _discord
            made = await begin(place, opened, sqlite_database, make_stack)
            await made.prepare()
            await opened.enter_async_context(made.running())
            return made

        yield make


async def _telegram(
    place: table.Place, opened: AsyncExitStack, database: db.Database, make_stack: conftest.StackMaker
) -> scene.Scene:
    world = telegram.Telegram(history.History(), limits=telegram.Limits.off())
    address = await opened.enter_async_context(server.serving(world.app))
    book = market.book(*on_telegram.GATED)
    conf = {"telegram_bot_token": telegram.TOKEN, "telegram_api_url": address}
    held = await make_stack(database, book=book, **CONF, **conf)
    made = on_telegram.Scene(place, held, bot := telegram_bot.Telegram(held), book, world=world)
    opened.push_async_callback(bot.stop)
    await bot.start()
    return made


async def _discord(
    place: table.Place, opened: AsyncExitStack, database: db.Database, make_stack: conftest.StackMaker
) -> scene.Scene:
    world = discord.Discord(history.History(), limits=discord.Limits.off(), strict=False)
    address = await opened.enter_async_context(_served(world))
    book = market.book(on_discord.build(world))
    conf = {"discord_bot_token": discord.TOKEN, "discord_api_url": f"{address}/api"}
    held = await make_stack(database, book=book, **CONF, **conf)
    bot = discord_bot.Discord(held, timing=on_discord.TIMING)
    opened.push_async_callback(bot.stop)
    await bot.start()
    return on_discord.Scene(place, held, bot, book, world=world)


@asynccontextmanager
async def _served(world: discord.Discord) -> AsyncIterator[str]:
    """Where Discord answers; the library forgets it afterwards."""
    gateway = library.gateway
    async with server.serving(world.app) as base:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(library.http.Route, "BASE", library.http.Route.BASE)
            patch.setattr(library.http, "DiscordClientWebSocketResponse", gateway.DiscordClientWebSocketResponse)
            patch.setattr(gateway.DiscordWebSocket, "DEFAULT_GATEWAY", gateway.DiscordWebSocket.DEFAULT_GATEWAY)
            yield base
