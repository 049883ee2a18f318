"""Starting, what Discord is told about us, and stopping."""

import asyncio
import time

import pytest

from bot import platforms
from bot.platforms.discord import platform, registration
from core import catalogue, db, errors, models, settings
from core.delivery import pacing
from tests import conftest
from tests.bot.platforms.discord.conftest import BOOK, GENERAL, GUILD, BotMaker, held
from tests.core import people
from tests.sandbox import discord
from tests.sandbox import discord_permissions as may

Fault, Kind = discord.Fault, discord.Kind


def told(world: discord.Discord) -> int:
    return len(world.history.of("discord_commands_put"))


async def note(bot: platform.Discord) -> str:
    async with held(bot).db.reading() as session:
        return (await session.get_one(models.Heartbeat, "discord.bot")).note


async def test_it_is_on_with_a_token_and_knows_who_it_is(
    address: str, sqlite_database: db.Database, make_stack: conftest.StackMaker
) -> None:
    off = await make_stack(sqlite_database)
    assert platforms.enabled(off) == []
    on = await make_stack(sqlite_database, discord_bot_token=discord.TOKEN, discord_api_url=f"{address}/api")
    [bot] = platforms.enabled(on)
    assert isinstance(bot, platform.Discord)
    await bot.start()
    [application, fingerprint, name] = (await note(bot)).split(" ", 2)
    assert (application, name) == (str(discord.APPLICATION), "SignalStack")
    assert len(fingerprint) == 32
    await bot.stop()


async def test_a_wrong_token_is_a_fault_of_the_configuration(make_bot: BotMaker) -> None:
    bot = await make_bot(started=False, discord_bot_token="MTAw.wrong.token")
    with pytest.raises(errors.ConfigError, match="Developer Portal") as caught:
        await bot.start()
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("kind", [Kind.SERVER_ERROR, Kind.DROP, Kind.STORE_THEN_NOT_JSON, Kind.RATE_LIMIT])
async def test_the_start_outlasts_a_short_outage(world: discord.Discord, make_bot: BotMaker, kind: Kind) -> None:
    world.faults.add(Fault(kind, route="/users/@me", times=2, retry_after=0.02))
    bot = await make_bot()
    assert (await note(bot)).endswith(" SignalStack")


async def test_a_discord_that_stays_away_ends_the_start_with_one_clear_line(
    world: discord.Discord, make_bot: BotMaker
) -> None:
    world.faults.add(Fault(Kind.SERVER_ERROR, times=None))
    bot = await make_bot(started=False)
    with pytest.raises(errors.UnreachableError, match=r"Discord does not answer at http://127"):
        await bot.start()
    nowhere = await make_bot(started=False, discord_api_url="http://127.0.0.1:9/api")
    with pytest.raises(errors.UnreachableError, match="check the network"):
        await nowhere.start()


async def test_d14_commands_are_told_once_and_again_when_they_have_changed(
    world: discord.Discord, make_bot: BotMaker
) -> None:
    for _ in range(50):
        bot = await make_bot(fresh=True)
        await bot.stop()
    assert told(world) == 1
    other = replace_plans(BOOK, "Gold")
    await make_bot(fresh=True, book=other)
    await make_bot(fresh=True, book=other)
    assert told(world) == 2
    registered = {command["name"]: command for command in world.commands.of(None)}
    assert registered.keys() == {row["name"] for row in registration.table(other)}
    assert registered["setup"]["default_member_permissions"] == "0"
    assert registered["setup"]["contexts"] == [0]
    assert registered["signals"]["contexts"] == [0, 1]


def replace_plans(book: catalogue.Catalogue, name: str) -> catalogue.Catalogue:
    return book.model_copy(update={"plans": (people.ALL.model_copy(update={"name": name}),)})


async def test_d14_a_refused_table_is_told_again_at_the_next_start(world: discord.Discord, make_bot: BotMaker) -> None:
    world.faults.add(Fault(Kind.REFUSE, "PUT", "/applications/", code=30034))
    bot = await make_bot(fresh=True)
    assert told(world) == 0
    assert (await note(bot)).split(" ")[1] == "-"
    await make_bot(fresh=True)
    assert told(world) == 1


async def test_stopping_takes_seconds_however_discord_behaves(world: discord.Discord, make_bot: BotMaker) -> None:
    bot = await make_bot(total=30.0)
    world.faults.add(Fault(Kind.HANG, times=None))
    sending = asyncio.create_task(bot.inspect(models.Place(key="x", space="1")))
    await asyncio.sleep(0.05)
    sending.cancel()
    began = time.monotonic()
    await bot.stop()
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    ("denied", "found"),
    [
        (0, []),
        (may.SEND_MESSAGES, ["Our bot lacks the right “Send Messages” in #general"]),
        (may.VIEW_CHANNEL, [f"Discord shows us no channel {GENERAL}"]),
    ],
)
async def test_what_hinders_posts_in_a_public_channel_is_said(
    world: discord.Discord, bot: platform.Discord, denied: int, found: list[str]
) -> None:
    world.channel(GUILD, GENERAL, "general", overwrites={GUILD: (0, denied)})
    said = await bot.hindered(str(GENERAL))
    assert [one[: len(words)] for one, words in zip(said, found, strict=True)] == found


async def test_a_channel_that_is_not_there_is_named_and_an_outage_is_no_finding(
    world: discord.Discord, bot: platform.Discord
) -> None:
    [said] = await bot.hindered("4711")
    assert said.startswith("Discord shows us no channel 4711: correct the number")
    world.faults.add(Fault(Kind.SERVER_ERROR, "GET", times=None))
    with pytest.raises(errors.UnreachableError):
        await bot.hindered(str(GENERAL))


def test_it_is_paced_below_what_discord_takes(bot: platform.Discord) -> None:
    conf = held(bot).settings
    assert bot.limits(conf) == pacing.Limits(per_second=40, hard=45, chat_interval=1.0, group_per_minute=0)
    assert bot.limits(fast(conf)).hard == 50
    assert not bot.group("1")


def fast(conf: settings.Settings) -> settings.Settings:
    return conf.model_copy(update={"discord_rate": 50})
