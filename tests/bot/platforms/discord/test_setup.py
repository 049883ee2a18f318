"""/setup on a server: what is made or chosen, what is said of it, who may say it, and that nothing is made twice."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import select

from bot.platforms.discord import platform
from core import catalogue, inbox, models, places
from tests.bot.platforms.discord.conftest import (
    ANN,
    BOB,
    BOOK,
    GENERAL,
    GUILD,
    OWNER,
    SIGNALS,
    BotMaker,
    applied,
    claimed,
    delivered,
    held,
    listening_to,
)
from tests.core import people
from tests.sandbox import discord, discord_places
from tests.sandbox import discord_permissions as may

Fault, Kind = discord.Fault, discord.Kind


async def said(
    world: discord.Discord,
    bot: platform.Discord,
    words: str,
    options: dict[str, Any] | None = None,
    *,
    who: int = OWNER,
    heard: bool = False,
) -> str:
    """What the person reads who said this on the server; `heard` when the bot listens already."""
    async with AsyncExitStack() as listening:
        if not heard:
            await listening.enter_async_context(listening_to(bot, world))
        asked = await world.slash(who, words, options, guild_id=GUILD)
        items = [item for item in await claimed(bot) if item.event_id == str(asked.id)]
        while not items:
            items = [item for item in await claimed(bot) if item.event_id == str(asked.id)]
        await bot.apply(items[0])
        await delivered(bot, 5)
        answer = await asked.answered()
    assert answer
    assert answer.ephemeral
    return answer.text.replace("\u2060", "")


async def known(bot: platform.Discord) -> list[models.Place]:
    async with held(bot).db.reading() as session:
        return list(await places.active(session, "discord"))


async def audited(bot: platform.Discord) -> list[models.Audit]:
    async with held(bot).db.reading() as session:
        return list(await session.scalars(select(models.Audit).order_by(models.Audit.id)))


async def plans_of(bot: platform.Discord, key: str) -> list[str]:
    async with held(bot).db.reading() as session:
        found = select(models.PlacePlan.plan).where(models.PlacePlan.place == key)
        return list(await session.scalars(found))


async def test_one_command_makes_a_role_and_a_gated_channel(world: discord.Discord, bot: platform.Discord) -> None:
    answer = await said(world, bot, "setup channels")

    [place] = await known(bot)
    assert (place.key, place.space, place.fixed, place.fault) == ("discord", str(GUILD), False, "")
    assert place.name == "Traders"
    assert await plans_of(bot, "discord") == [people.ALL.key]
    role, channel = world.guilds[GUILD].roles[int(place.role)], world.channels[int(place.channel)]
    assert (role.name, role.permissions, channel.name) == ("SignalStack member", 0, "signals")
    assert not world.can_see(channel.id, ANN)
    world.add_role(GUILD, ANN, role.id)
    assert world.can_see(channel.id, ANN)
    assert not may.in_channel(channel, ANN) & may.SEND_MESSAGES  # nobody but us says what looks like a signal
    assert may.in_channel(channel, world.bot.id) & may.SEND_MESSAGES
    assert list(await bot.inspect(place)) == []
    assert answer.splitlines()[0] == "This place is ready."
    assert "Made the role “SignalStack member”" in answer
    assert "Made the channel #signals" in answer
    [audit] = await audited(bot)
    assert (audit.actor, audit.action) == (f"discord:{OWNER}", "setup channels")
    assert audit.details["place"] == "discord"


async def test_saying_it_again_makes_nothing_new(world: discord.Discord, bot: platform.Discord) -> None:
    await said(world, bot, "setup channels")
    before = (len(world.guilds[GUILD].roles), len(world.channels))
    again = await said(world, bot, "setup channels")
    assert "Signals are posted in #signals." in again
    await said(world, bot, "setup roles")
    assert (len(world.guilds[GUILD].roles), len(world.channels)) == before
    assert len(await known(bot)) == 1


async def test_what_was_made_before_a_crash_is_found_again(world: discord.Discord, bot: platform.Discord) -> None:
    async with listening_to(bot, world):
        asked = await world.slash(OWNER, "setup channels", guild_id=GUILD)
        [item] = await claimed(bot)
        heard = bot._understood(item)
        await bot._setup.carry_out(heard)  # type: ignore[arg-type] - and then the process died
        assert await known(bot) == []
        await bot.apply(item)
        await delivered(bot)
        await asked.answered()
    [place] = await known(bot)
    assert len(world.guilds[GUILD].roles) == 3
    assert [channel.name for channel in world.guilds[GUILD].channels.values()] == ["general", "signals"]
    assert await bot.inspect(place) == []


async def test_a_public_channel_that_is_chosen_becomes_private(world: discord.Discord, bot: platform.Discord) -> None:
    world.channel(GUILD, SIGNALS, "vip")
    world.channels[SIGNALS].overwrites[BOB] = discord_places.Overwrite(BOB, may.ADD_REACTIONS, 0, for_member=True)
    guard = world.role(GUILD, "Guard")
    world.channels[SIGNALS].overwrites[guard.id] = discord_places.Overwrite(guard.id, may.VIEW_CHANNEL)

    answer = await said(world, bot, "setup channels", {"channel": SIGNALS})

    [place] = await known(bot)
    assert place.channel == str(SIGNALS)
    assert "Changed who sees #vip." in answer
    assert "These roles see #vip as well: “Guard”." in answer
    assert not world.can_see(SIGNALS, ANN)
    assert world.can_see(SIGNALS, world.bot.id)
    assert world.channels[SIGNALS].overwrites[BOB].allow == may.ADD_REACTIONS
    assert list(await bot.inspect(place)) == []


async def test_another_role_takes_the_place_of_the_first(world: discord.Discord, bot: platform.Discord) -> None:
    await said(world, bot, "setup channels")
    [before] = await known(bot)
    gold = world.role(GUILD, "Gold")
    answer = await said(world, bot, "setup roles", {"role": gold.id})

    [place] = await known(bot)
    assert (place.role, place.channel) == (str(gold.id), before.channel)
    assert "Subscribers get the role “Gold”." in answer
    world.add_role(GUILD, ANN, gold.id)
    world.add_role(GUILD, BOB, int(before.role))
    assert world.can_see(int(place.channel), ANN)
    assert not world.can_see(int(place.channel), BOB)


async def test_a_role_above_ours_is_chosen_and_said(world: discord.Discord, bot: platform.Discord) -> None:
    high = world.role(GUILD, "High", position=5)
    answer = await said(world, bot, "setup roles", {"role": high.id})
    assert answer.startswith("Not ready yet.")
    assert "Drag the bot's role “SignalStack” above the role “High”" in answer
    assert "/setup channels" in answer
    [place] = await known(bot)
    assert place.fault
    world.move_role(GUILD, high.id, 1)
    await said(world, bot, "setup channels")
    [place] = await known(bot)
    assert place.fault == ""
    assert (await said(world, bot, "setup check")).endswith("Everything is in order.")


async def test_no_subscriber_gets_power_over_the_server(world: discord.Discord, bot: platform.Discord) -> None:
    chief = world.role(GUILD, "SignalStack member", permissions=may.ADMINISTRATOR)
    async with listening_to(bot, world):
        await said(world, bot, "setup channels", heard=True)
        [place] = await known(bot)
        assert place.role != str(chief.id)
        answer = await said(world, bot, "setup roles", {"role": chief.id}, heard=True)
    assert "power over the server (Administrator" in answer
    assert "power over the server" in (await known(bot))[0].fault


@pytest.mark.parametrize(
    ("missing", "words"),
    [(may.MANAGE_ROLES, "“Manage Roles”"), (may.MANAGE_CHANNELS, "“Manage Channels”")],
)
async def test_a_missing_right_is_asked_for(
    world: discord.Discord, bot: platform.Discord, missing: int, words: str
) -> None:
    world.allow_bot(GUILD, may.BOT & ~missing)
    answer = await said(world, bot, "setup channels")
    assert answer.startswith("Not ready yet.")
    assert words in answer
    [audit] = await audited(bot)
    assert audit.details["faults"]


async def test_a_channel_we_may_not_change_is_said(world: discord.Discord, bot: platform.Discord) -> None:
    world.channel(GUILD, SIGNALS, "vip")
    own = next(role for role in world.guilds[GUILD].roles.values() if role.bot_id)
    world.channels[SIGNALS].overwrites[own.id] = discord_places.Overwrite(own.id, 0, may.MANAGE_ROLES)
    answer = await said(world, bot, "setup channels", {"channel": SIGNALS})
    assert "Our bot may not change who sees #vip" in answer
    assert "Everybody on the server can read #vip without paying" in answer


async def test_the_catalogue_decides_where_it_says_something(world: discord.Discord, make_bot: BotMaker) -> None:
    declared = catalogue.Place(key="vip", name="VIP", platform="discord", server=str(GUILD), channel=str(GENERAL))
    bot = await make_bot(book=BOOK.model_copy(update={"places": (declared,)}))
    async with held(bot).db.transaction() as session:
        await places.sync(session, held(bot).catalogue, now=held(bot).clock())

    assert await said(world, bot, "setup channels") == (
        "signalstack.toml names the channel of the place vip; change it there."
    )
    await said(world, bot, "setup roles")
    [place] = await known(bot)
    assert (place.key, place.fixed, bool(place.role)) == ("vip", True, True)


async def test_several_places_are_told_apart(world: discord.Discord, bot: platform.Discord) -> None:
    async with held(bot).db.transaction() as session:
        session.add(
            models.Place(key="tg", platform="telegram", space="-1", name="x", symbols=[], created_at=held(bot).clock())
        )
    async with listening_to(bot, world):
        await said(world, bot, "setup channels", heard=True)
        answer = await said(world, bot, "setup channels", {"place": "gold"}, heard=True)
        assert "#gold-signals" in answer
        assert "Made the role “SignalStack gold”" in answer
        assert {place.key for place in await known(bot)} == {"discord", "gold"}
        assert "say which one with “place”" in await said(world, bot, "setup roles", heard=True)
        assert "at most 24 small letters" in await said(world, bot, "setup roles", {"place": "no good!"}, heard=True)
        assert "somewhere else" in await said(world, bot, "setup roles", {"place": "tg"}, heard=True)
        assert (await said(world, bot, "setup check", heard=True)).count("Everything is in order.") == 2


async def test_x05_nobody_else_can_set_anything_up_and_each_try_is_written_down(
    world: discord.Discord, bot: platform.Discord
) -> None:
    chief = world.role(GUILD, "Chief", permissions=may.ADMINISTRATOR)
    world.add_role(GUILD, ANN, chief.id)  # whoever administers a server sees the command
    for words in ("setup channels", "setup roles", "setup check"):
        answer = await said(world, bot, words, who=ANN)
        assert answer == "Only the operators of this service can set it up."
    assert await known(bot) == []
    assert len(world.guilds[GUILD].roles) == 3
    assert [(row.actor, row.action) for row in await audited(bot)] == [
        (f"discord:{ANN}", f"setup {verb}") for verb in ("channels", "roles", "check")
    ]


async def test_an_order_that_is_too_old_has_no_effect(
    world: discord.Discord, bot: platform.Discord, moments: Any
) -> None:
    async with listening_to(bot, world):
        await world.slash(OWNER, "setup channels", guild_id=GUILD)
        [item] = await claimed(bot)
        moments.ahead = 15 * 60
        await bot.apply(item)
    assert await known(bot) == []
    [audit] = await audited(bot)
    assert audit.details["refused"] == "Discord did not answer in time."
    assert len(world.channels) == 1


async def test_an_outage_is_tried_again(world: discord.Discord, bot: platform.Discord) -> None:
    async with listening_to(bot, world):
        asked = await world.slash(OWNER, "setup channels", guild_id=GUILD)
        [item] = await claimed(bot)
        world.faults.add(Fault(Kind.STORE_THEN_ERROR, "POST", "/guilds/{guild_id}/channels"))
        with pytest.raises(Exception, match="502"):
            await bot.apply(item)
        async with held(bot).db.transaction() as session:
            await inbox.retry(session, item, "again", now=held(bot).clock())
        await asyncio.sleep(0)
        bot._stack.clock.ahead += 5  # type: ignore[attr-defined]
        await applied(bot)
        await delivered(bot)
        assert (await asked.answered(1)).text.startswith("This place is ready.")  # type: ignore[union-attr]
    assert [channel.name for channel in world.guilds[GUILD].channels.values()] == ["general", "signals"]


async def test_a_server_without_us_is_said(world: discord.Discord, bot: platform.Discord) -> None:
    assert (await said(world, bot, "setup check")).startswith("This server has no place of ours yet.")
    async with listening_to(bot, world):
        asked = await world.slash(OWNER, "setup channels", guild_id=GUILD)
        [item] = await claimed(bot)
        world.kick_bot(GUILD)
        await bot.apply(item)
        await delivered(bot)
        answer = await asked.answered()
    assert answer
    assert f"client_id={discord.APPLICATION}" in answer.text
