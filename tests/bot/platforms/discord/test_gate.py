"""Who comes, leaves, or has their roles changed, and what changes on a server, has its effect through the inbox."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bot.platforms.discord import events, hearing, platform
from core import members, models, places
from core.delivery import outcomes
from core.models import Delivery, State
from tests.bot import stage as stages
from tests.bot.platforms.discord.conftest import (
    ANN,
    BOB,
    CARL,
    GUILD,
    OWNER,
    PLACE,
    SIGNALS,
    alarms,
    applied,
    claimed,
    delivered,
    held,
    listening_to,
    open_place,
    rows,
)
from tests.core import people
from tests.sandbox import discord
from tests.sandbox import discord_permissions as may


@pytest.fixture
async def role(world: discord.Discord, bot: platform.Discord) -> discord.Role:
    """The role of a gated place that every plan opens."""
    made = world.role(GUILD, "Member")
    world.channel(GUILD, SIGNALS, "signals", private_to=[made.id])
    await open_place(bot, made.id, SIGNALS)
    return made


async def payer(bot: platform.Discord, user: int, *, days: float = 30) -> models.Identity:
    """This person has written to us, and pays."""
    now = held(bot).clock()
    async with held(bot).db.transaction() as session:
        who = await members.arrive(
            session, "discord", str(user), address=f"@{user}", name="", username=None, now=now, reachable=False
        )
        await people.subscription(session, who.member_id, now + timedelta(days=days))
    return who


async def presence(bot: platform.Discord, user: int) -> models.Presence | None:
    async with held(bot).db.reading() as session:
        return await session.scalar(select(models.Presence).where(models.Presence.external_id == str(user)))


async def acts(bot: platform.Discord) -> list[str]:
    """What was planned at the door, oldest first."""
    return [str((row.payload or {})["act"]) for row in await rows(bot, Delivery.kind == "door")]


async def place_of(bot: platform.Discord) -> models.Place:
    async with held(bot).db.reading() as session:
        return await session.get_one(models.Place, PLACE)


async def settled_look(bot: platform.Discord) -> None:
    """The look at the server that follows each sign-in is over."""
    [item] = await applied(bot)
    assert item.kind == events.SERVER


async def test_a_returning_member_has_the_role_at_once(
    world: discord.Discord, bot: platform.Discord, role: discord.Role
) -> None:
    who = await payer(bot, CARL)
    async with held(bot).db.transaction() as session:
        await places.settle(session, who.member_id, now=held(bot).clock())
    assert [type(one) for one in await delivered(bot)] == [outcomes.Blocked]  # not on the server yet
    async with listening_to(bot, world):
        await settled_look(bot)
        world.join(GUILD, CARL)
        await applied(bot)
        assert await delivered(bot) == [outcomes.Sent("")]
        assert world.members_with(GUILD, role.id) == {CARL}
        await applied(bot)  # what we did ourselves is told too, and plans nothing
        world.leave(GUILD, CARL)
        await applied(bot)
        gone = await presence(bot, CARL)
        assert gone
        assert not gone.inside
        world.join(GUILD, CARL)
        await applied(bot)
        assert await delivered(bot) == [outcomes.Sent("")]
    assert await acts(bot) == ["give", "give", "give"]
    assert world.members_with(GUILD, role.id) == {CARL}


async def test_who_was_given_the_role_by_hand_and_pays_nothing_loses_it(
    world: discord.Discord, bot: platform.Discord, role: discord.Role
) -> None:
    async with listening_to(bot, world):
        await settled_look(bot)
        world.add_role(GUILD, BOB, role.id)
        await applied(bot)
        assert await delivered(bot) == [outcomes.Sent("")]
    assert world.members_with(GUILD, role.id) == set()
    assert await acts(bot) == ["take"]


async def test_who_pays_and_lost_the_role_by_hand_gets_it_back(
    world: discord.Discord, bot: platform.Discord, role: discord.Role
) -> None:
    who = await payer(bot, ANN)
    async with held(bot).db.transaction() as session:
        await places.settle(session, who.member_id, now=held(bot).clock())
    await delivered(bot)
    async with listening_to(bot, world):
        await settled_look(bot)
        world.remove_role(GUILD, ANN, role.id)
        await applied(bot)
        await delivered(bot)
    assert world.members_with(GUILD, role.id) == {ANN}
    assert await acts(bot) == ["give", "give"]


async def test_an_administrator_with_the_role_is_left_alone(
    world: discord.Discord, bot: platform.Discord, role: discord.Role
) -> None:
    async with listening_to(bot, world):
        await settled_look(bot)
        world.add_role(GUILD, OWNER, role.id)
        await applied(bot)
        [kept] = await delivered(bot)
        assert isinstance(kept, outcomes.Kept)
        chief = world.role(GUILD, "Chief")
        world.add_role(GUILD, OWNER, chief.id)  # another change of theirs plans nothing more
        await asyncio.sleep(0.2)
    assert await acts(bot) == ["take"]
    assert [State(row.state) for row in await rows(bot)] == [State.EXPIRED]
    known = await presence(bot, OWNER)
    assert known
    assert (known.inside, known.kept) == (True, True)


async def test_strangers_and_nicknames_leave_no_trace(
    world: discord.Discord, bot: platform.Discord, role: discord.Role
) -> None:
    async with listening_to(bot, world):
        await settled_look(bot)
        world.join(GUILD, CARL)
        other = world.role(GUILD, "Other")
        for _ in range(5):
            world.add_role(GUILD, BOB, other.id)
            world.remove_role(GUILD, BOB, other.id)
        items = await claimed(bot, 2)
        for item in items:
            await bot.apply(item)
        await asyncio.sleep(0.2)
    assert [item.kind for item in items] == [events.MEMBER, events.MEMBER]
    async with held(bot).db.reading() as session:
        assert list(await session.scalars(select(models.Presence))) == []
        kinds = [item.kind for item in await session.scalars(select(models.Inbox))]
        assert kinds.count(events.MEMBER) == 2


@pytest.mark.parametrize("what", ["role", "channel", "bot", "rights", "public"])
async def test_what_hinders_us_is_an_alarm_and_ends_by_itself(
    world: discord.Discord, bot: platform.Discord, role: discord.Role, what: str
) -> None:
    who = await payer(bot, ANN)
    async with listening_to(bot, world):
        await settled_look(bot)
        match what:
            case "role":
                world.delete_role(GUILD, role.id)
            case "channel":
                world.delete_channel(SIGNALS)
            case "bot":
                world.kick_bot(GUILD)
            case "rights":
                world.allow_bot(GUILD, may.EVERYONE)
            case "public":
                world.channels[SIGNALS].overwrites.clear()
                world.announce(world.guilds[GUILD], "CHANNEL_UPDATE", world.channels[SIGNALS].json())
        await applied(bot)
        assert f"place:{PLACE}" in await alarms(bot)
        assert (await place_of(bot)).fault
        async with held(bot).db.transaction() as session:
            await places.settle(session, who.member_id, now=held(bot).clock())
        [given] = await delivered(bot)
        able = what in {"channel", "public"}  # whoever pays comes in where that is possible; nobody is put out
        assert isinstance(given, outcomes.Sent if able else outcomes.Barred)
        there = await presence(bot, ANN)
        assert there
        assert there.inside == able
        if able:
            await applied(bot)
            world.add_role(GUILD, BOB, role.id)
            await applied(bot)
            assert await acts(bot) == ["give"]
        if what == "rights":
            world.allow_bot(GUILD, may.BOT)
            await applied(bot)
            assert f"place:{PLACE}" not in await alarms(bot)
            assert await acts(bot) == ["give", "give"]


async def test_a_bot_that_comes_back_is_able_again(
    world: discord.Discord, bot: platform.Discord, role: discord.Role
) -> None:
    async with listening_to(bot, world):
        await settled_look(bot)
        world.kick_bot(GUILD)
        await applied(bot)
        assert "client_id=" in (await place_of(bot)).fault
        world.invite_bot(GUILD)
        world.channels[SIGNALS].overwrites[world.bot.id] = overwrite(world)
        await applied(bot)
        assert (await place_of(bot)).fault.startswith("Drag the bot's role")  # it came back with a new one
        world.move_role(GUILD, role.id, 1)
        await applied(bot)
        assert (await place_of(bot)).fault == ""


def overwrite(world: discord.Discord) -> Any:
    from tests.sandbox import discord_places

    return discord_places.Overwrite(world.bot.id, may.EVERYONE, 0, for_member=True)


async def test_an_outage_of_a_server_is_no_farewell(
    world: discord.Discord, bot: platform.Discord, role: discord.Role
) -> None:
    async with listening_to(bot, world):
        await settled_look(bot)
        guild = world.guilds[GUILD]
        world.gateway.dispatch("GUILD_DELETE", {"id": str(GUILD), "unavailable": True}, guild=guild, intent=1)
        await asyncio.sleep(0.2)
    async with held(bot).db.reading() as session:
        assert len(list(await session.scalars(select(models.Inbox)))) == 1


async def test_events_wait_while_the_database_is_away(
    world: discord.Discord, bot: platform.Discord, role: discord.Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, tries = hearing.inbox.put, 0

    async def away(*given: Any, **named: Any) -> bool:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise ConnectionError("the database is being restarted")
        return await put(*given, **named)

    async with listening_to(bot, world):
        await settled_look(bot)
        monkeypatch.setattr(hearing.inbox, "put", away)
        world.add_role(GUILD, BOB, role.id)
        world.add_role(GUILD, OWNER, role.id)
        items = await claimed(bot, 2)
    assert tries == 4
    assert [events.read(item).user for item in items] == [str(BOB), str(OWNER)]  # type: ignore[union-attr]


async def test_what_is_told_again_after_a_lost_connection_is_one_item(
    world: discord.Discord, bot: platform.Discord, role: discord.Role
) -> None:
    ear = bot._ear._hearing
    await ear.load()
    told = '{"op":0,"t":"GUILD_MEMBER_ADD","s":7,"d":{"guild_id":"9001","user":{"id":"7003"},"roles":[]}}'
    for message in (told, told, "{", "[]", '{"op":0,"t":"GUILD_MEMBER_ADD","d":{}}', '{"op":11}'):
        ear.hear(message)
    keeping = asyncio.create_task(ear.keep())
    await stages.seen(ear._queue.empty)
    [item] = await claimed(bot)
    keeping.cancel()
    assert events.read(item) == events.Standing(str(GUILD), "7003", frozenset(), bot=False, joined=True)


async def test_what_was_heard_is_kept_before_the_process_ends(
    world: discord.Discord, bot: platform.Discord, role: discord.Role
) -> None:
    async with listening_to(bot, world):
        await settled_look(bot)
        began = bot.last_progress
        async with held(bot).db.transaction():
            for user in (ANN, BOB, OWNER):
                world.add_role(GUILD, user, role.id)
            await stages.seen(lambda: bot.last_progress > began and bot._ear._hearing._queue.qsize() == 2)
    assert len(await claimed(bot, 3)) == 3
