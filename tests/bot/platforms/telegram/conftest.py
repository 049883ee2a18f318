"""A Telegram server with people in it, and our bot pointed at it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from bot.platforms.telegram import listening, platform
from core import db, inbox, stack
from tests import conftest
from tests.bot import stage as stages
from tests.bot.platforms.telegram import venue as venues
from tests.sandbox import history, server, telegram

ANN, BOB, GROUP = 7, 8, -100500
QUICK = listening.Timing(poll=1, margin=1, first=0.01, longest=0.05, patience=0.05, check=0.05)

BotMaker = Callable[..., Awaitable[platform.Telegram]]


@pytest.fixture
def world() -> telegram.Telegram:
    """Telegram, with Ann and Bob who have started the bot, and a group with both."""
    made = telegram.Telegram(history.History(), limits=telegram.Limits.off())
    made.person(ANN, "Ann", "ann", started=True)
    made.person(BOB, "Bob", started=True)
    made.group(GROUP, "Everybody", members=[ANN, BOB])
    return made


@pytest.fixture
async def address(world: telegram.Telegram) -> AsyncIterator[str]:
    """Where Telegram answers."""
    async with server.serving(world.app) as base:
        yield base


@pytest.fixture
async def make_bot(
    address: str, sqlite_database: db.Database, make_stack: conftest.StackMaker
) -> AsyncIterator[BotMaker]:
    """Builds started bots: `await make_bot(started=True, timing=QUICK, total=0.4, connect=0.3, **settings)`."""
    async with AsyncExitStack() as opened:

        async def make(*, started: bool = True, book: Any = None, **given: Any) -> platform.Telegram:
            times = {name: given.pop(name, usual) for name, usual in {"total": 0.4, "connect": 0.3}.items()}
            timing = given.pop("timing", QUICK)
            conf = {"telegram_bot_token": telegram.TOKEN, "telegram_api_url": address, "lease_seconds": 3.0} | given
            held = await make_stack(sqlite_database, book=book, **conf)
            bot = platform.Telegram(held, timing=timing, **times)
            opened.push_async_callback(bot.stop)
            if started:
                await bot.start()
            return bot

        yield make


@pytest.fixture
async def bot(make_bot: BotMaker) -> platform.Telegram:
    """Our bot, started."""
    return await make_bot()


def held(bot: platform.Telegram) -> stack.Stack:
    """The stack that the bot works with."""
    return bot._stack


async def claimed(bot: platform.Telegram) -> list[inbox.Item]:
    """Everything in the inbox is ours."""
    async with held(bot).db.transaction() as session:
        return await inbox.claim(session, "telegram", now=held(bot).clock(), lease=30, limit=1000)


VenueMaker = Callable[..., Awaitable[venues.Venue]]


@pytest.fixture
async def open_venue(open_stage: stages.Opener) -> VenueMaker:
    """Opens a gated place on a stage: `await open_venue(kind="channel", **settings of the stage)`."""

    async def make(*, kind: str = "supergroup", **given: Any) -> venues.Venue:
        return await venues.Venue(await open_stage(**given)).open(kind)

    return make


@pytest.fixture
async def venue(open_venue: VenueMaker) -> venues.Venue:
    """A supergroup that only payers may enter."""
    return await open_venue()
