"""From a slash command to its answer: acknowledged at once, kept, answered once, and seen by nobody else."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from bot import commands, messages
from bot.messages import text
from bot.platforms.discord import events, platform, reception, registration
from core import inbox, models
from core.delivery import outbox, outcomes
from tests.bot import stage as stages
from tests.bot.platforms.discord.conftest import (
    ANN,
    BOB,
    GENERAL,
    GUILD,
    OWNER,
    Clock,
    applied,
    claimed,
    delivered,
    held,
    listening_to,
    rows,
)
from tests.core import people
from tests.sandbox import discord
from tests.sandbox import discord_permissions as may

Fault, Kind = discord.Fault, discord.Kind
CALLBACK = "/interactions/"
ANSWER = "/webhooks/"


async def answered(world: discord.Discord, bot: platform.Discord, asked: discord.Interaction) -> discord.Message:
    """The question has taken its whole way."""
    await applied(bot)
    assert await delivered(bot) == [outcomes.Sent(str(asked.original.id))]  # type: ignore[union-attr]
    said = await asked.answered()
    assert said
    return said


async def test_a_command_is_answered_to_who_asked_alone(world: discord.Discord, bot: platform.Discord) -> None:
    async with listening_to(bot, world):
        asked = await world.slash(ANN, "plans", guild_id=GUILD)
        said = await answered(world, bot, asked)
    assert said.ephemeral
    assert said.seen_by == ANN
    assert asked.kind_of_ack is discord.Ack.DEFERRED
    assert asked.acked_after is not None
    assert asked.acked_after < 3
    assert world.messages(GENERAL) == []
    async with held(bot).db.reading() as session:
        [identity] = await session.scalars(select(models.Identity))
    assert (identity.external_id, identity.address, identity.name) == (str(ANN), f"@{ANN}", "Ann")
    assert identity.username == "ann"


async def test_a_press_and_a_choice_are_command_lines(world: discord.Discord, bot: platform.Discord) -> None:
    async with listening_to(bot, world):
        asked = await world.slash(ANN, "start", guild_id=GUILD)
        said = await answered(world, bot, asked)
        pressed = await world.click(ANN, said, "/plans")
        assert (await answered(world, bot, pressed)).ephemeral
        many = [[text.Button(f"C{n}", data=f"/latest C{n}/USDT")] for n in range(8)]
        async with held(bot).db.transaction() as session:
            body = text.message("Which?", buttons=many).as_dict()
            address = f"!{pressed.token}"
            now = held(bot).clock()
            await outbox.reply(session, "discord", address, body, key="x", now=now)
        await delivered(bot)
        assert pressed.original
        chosen = await world.select(ANN, pressed.original, "menu:/latest", ["/latest C3/USDT"])
        assert "do not watch that pair" in (await answered(world, bot, chosen)).text


async def test_options_become_the_command_line_in_the_order_of_the_table(
    world: discord.Discord, bot: platform.Discord
) -> None:
    async with listening_to(bot, world):
        await world.slash(ANN, "signals latest", {"pair": "BTC/USDT"})
        [item] = await claimed(bot)
    heard = events.read(item)
    assert isinstance(heard, events.Question)
    assert heard.ask == commands.Ask(
        platform="discord",
        external_id=str(ANN),
        chat=str(world.dms[ANN].id),
        home=f"@{ANN}",
        private=True,
        name="Ann",
        username="ann",
        text="/latest BTC/USDT",
        answer_at=heard.ask.answer_at,
        reachable=True,
    )
    given = [{"name": "days", "type": 4, "value": 30}, {"name": "who", "type": 6, "value": "7001"}]
    assert [events._value(option) for option in given] == ["30", "discord:7001"]


async def test_d11_the_first_word_does_not_wait_for_the_database(world: discord.Discord, bot: platform.Discord) -> None:
    async with listening_to(bot, world), held(bot).db.transaction():  # SQLite has one writer, and here it is
        asked = await world.slash(ANN, "membership status", guild_id=GUILD)
        await stages.seen(lambda: asked.kind_of_ack is discord.Ack.DEFERRED)
        said = await asked.answered()
        assert said
        assert said.text == reception.SORRY
        assert said.ephemeral
        assert asked.acked_after is not None
        assert asked.acked_after < 1
    assert await rows(bot) == []


async def test_d11_a_question_told_twice_is_answered_once(world: discord.Discord, bot: platform.Discord) -> None:
    async with listening_to(bot, world):
        asked = await world.slash(ANN, "plans", guild_id=GUILD)
        [item] = await claimed(bot)
        async with held(bot).db.transaction() as session:
            again = await inbox.put(session, "discord", str(asked.id), "interaction", item.body, now=held(bot).clock())
        assert not again
        await bot.apply(item)
        await bot.apply(item)  # taken over meanwhile: it says so and does nothing
    assert len(await rows(bot)) == 1


async def test_d11_a_lost_first_word_is_said_again_in_time(world: discord.Discord, bot: platform.Discord) -> None:
    for kind in (Kind.SERVER_ERROR, Kind.STORE_THEN_DROP):
        fault = world.faults.add(Fault(kind, "POST", CALLBACK))
        async with listening_to(bot, world):
            asked = await world.slash(ANN, "plans", guild_id=GUILD)
            await answered(world, bot, asked)
        assert fault.hits == 1


async def test_d11_what_discord_no_longer_takes_is_not_kept(
    world: discord.Discord, bot: platform.Discord, moments: Clock
) -> None:
    fault = world.faults.add(Fault(Kind.REFUSE, "POST", CALLBACK, code=10062))
    async with listening_to(bot, world):
        await world.slash(ANN, "plans", guild_id=GUILD)
        await stages.seen(lambda: fault.hits == 1)
        await asyncio.sleep(0.1)
    async with held(bot).db.reading() as session:
        assert list(await session.scalars(select(models.Inbox))) == []


async def test_d11_an_answer_nobody_can_see_any_more_is_not_given(
    world: discord.Discord, bot: platform.Discord, moments: Clock
) -> None:
    async with listening_to(bot, world):
        await world.slash(ANN, "plans", guild_id=GUILD)
        [item] = await claimed(bot)
        moments.ahead = 14 * 60
        await bot.apply(item)
    assert await rows(bot) == []


async def test_d11_an_answer_that_comes_too_late_ends_without_blame(
    world: discord.Discord, bot: platform.Discord, moments: Clock
) -> None:
    async with listening_to(bot, world):
        asked = await world.slash(ANN, "plans", guild_id=GUILD)
        await applied(bot)
    [row] = await rows(bot)
    assert row.expires_at == pytest.approx(held(bot).clock() + timedelta(minutes=14), abs=timedelta(seconds=10))
    moments.ahead = 15 * 60 + 5
    parcel = platforms_parcel(asked)
    assert isinstance(await bot.send(parcel), outcomes.Gone)
    assert isinstance(await bot.send(replace(parcel, address="!wrong-token")), outcomes.Gone)
    moments.ahead = 0
    assert await delivered(bot)
    async with held(bot).db.reading() as session:
        [identity] = await session.scalars(select(models.Identity))
    assert identity.blocked_at is None


def platforms_parcel(asked: discord.Interaction) -> Any:
    from bot import platforms

    return platforms.Parcel(f"!{asked.token}", messages.text.message("Late"))


@pytest.mark.parametrize("kind", [Kind.STORE_THEN_ERROR, Kind.STORE_THEN_DROP, Kind.DROP])
async def test_d05_an_answer_can_be_given_again_at_any_time(
    world: discord.Discord, bot: platform.Discord, kind: Kind
) -> None:
    async with listening_to(bot, world):
        asked = await world.slash(ANN, "plans", guild_id=GUILD)
        await applied(bot)
        world.faults.add(Fault(kind, "PATCH", ANSWER))
        [first] = await delivered(bot)
        assert isinstance(first, outcomes.Ambiguous)
        assert first.harmless
        await asyncio.sleep(0.6)
        [second] = await delivered(bot)
        assert isinstance(second, outcomes.Sent)
    assert len(asked.messages) == 1
    assert len(world.whispers(ANN)) == 1


async def test_who_asks_in_private_can_be_written_to(world: discord.Discord, bot: platform.Discord) -> None:
    async def blocked(value: Any) -> None:
        async with held(bot).db.transaction() as session:
            [identity] = await session.scalars(select(models.Identity))
            identity.blocked_at = value

    async def still_blocked() -> bool:
        async with held(bot).db.reading() as session:
            return (await session.scalars(select(models.Identity))).one().blocked_at is not None

    async with listening_to(bot, world):
        await world.slash(ANN, "plans", guild_id=GUILD)
        await applied(bot)
        await blocked(held(bot).clock())
        await world.slash(ANN, "plans", guild_id=GUILD)
        await applied(bot)
        assert await still_blocked()
        await world.slash(ANN, "plans")
        await applied(bot)
        assert not await still_blocked()


async def test_x06_every_command_of_a_payer_in_public_is_answered_to_them_alone(
    world: discord.Discord, bot: platform.Discord
) -> None:
    async with listening_to(bot, world):
        await world.slash(ANN, "start", guild_id=GUILD)
        await applied(bot)
        async with held(bot).db.transaction() as session:
            [identity] = await session.scalars(select(models.Identity))
            until = held(bot).clock() + timedelta(days=30)
            await people.subscription(session, identity.member_id, until)
            await people.signal(session, held(bot).clock())
        for command in commands.COMMANDS:
            if not command.operator and not any(option.required for option in command.options):
                await world.slash(ANN, command.slash or command.name, channel_id=GENERAL)
                await applied(bot)
        while await delivered(bot, 10):
            pass
    assert world.messages(GENERAL) == []
    assert world.whispers(ANN)
    for row in world.history.of("discord_acked"):
        assert row["ephemeral"]
    assert world.whispers(BOB) == []
    assert not any(row["public"] for row in world.history.of("discord_ephemeral"))


async def test_x06_suggestions_say_nothing_that_is_paid_for(world: discord.Discord, bot: platform.Discord) -> None:
    async with held(bot).db.transaction() as session:
        await people.signal(session, held(bot).clock(), symbol="SECRET/USDT")
    async with listening_to(bot, world):
        typed = await world.autocomplete(BOB, "signals latest", focused="pair", value="b", guild_id=GUILD)
        await typed.answered()
        nothing = await world.autocomplete(BOB, "signals latest", focused="pair", value="zzz", guild_id=GUILD)
        await nothing.answered()
    assert typed.choices == [{"name": "BTC/USDT", "value": "BTC/USDT"}]
    assert nothing.choices == []
    async with held(bot).db.reading() as session:
        assert list(await session.scalars(select(models.Inbox))) == []


async def test_x05_operator_commands_are_hidden_and_refused_all_the_same(
    world: discord.Discord, bot: platform.Discord
) -> None:
    hidden = [row for row in registration.table(held(bot).catalogue) if "default_member_permissions" in row]
    operators = {(row.slash or row.name).split()[0] for row in commands.COMMANDS if row.operator}
    assert {row["name"] for row in hidden} >= {"setup", *(name for name in operators if name == "admin")}
    async with listening_to(bot, world):
        with pytest.raises(ValueError, match="not offered"):
            await world.slash(ANN, "setup check", guild_id=GUILD)


async def test_x05_an_administrator_of_the_server_is_no_operator_of_ours(
    world: discord.Discord, bot: platform.Discord
) -> None:
    chief = world.role(GUILD, "Chief", permissions=may.ADMINISTRATOR)
    world.add_role(GUILD, ANN, chief.id)
    said = {}
    async with listening_to(bot, world):
        for who in (ANN, OWNER):
            asked = await world.slash(who, "admin stats", guild_id=GUILD)
            said[who] = (await answered(world, bot, asked)).text
    assert "deliver" in said[OWNER].lower()
    assert "deliver" not in said[ANN].lower()
    async with held(bot).db.reading() as session:
        tries = [(row.actor, row.details["allowed"]) for row in await session.scalars(select(models.Audit))]
    assert tries == [(f"discord:{ANN}", False), (f"discord:{OWNER}", True)]


async def test_the_token_of_a_question_is_in_no_log(
    world: discord.Discord, bot: platform.Discord, capsys: pytest.CaptureFixture[str]
) -> None:
    async with listening_to(bot, world):
        asked = await world.slash(OWNER, "plans", guild_id=GUILD)
        world.faults.add(Fault(Kind.SERVER_ERROR, "PATCH", ANSWER))
        await applied(bot)
        [outcome] = await delivered(bot)
    shown = "".join(capsys.readouterr()) + repr(outcome)
    assert asked.token not in shown
    assert discord.TOKEN not in shown


def test_malformed_items_are_done_without_effect() -> None:
    def item(kind: str, body: Any) -> inbox.Item:
        return inbox.Item(1, "discord", "1", kind, orjson.dumps(body), 0, 1)

    broken = [{}, [], None, {"type": 2}, {"type": 3, "at": 1, "data": {}}, {"type": 2, "at": "x", "data": {}}]
    for kind in (events.INTERACTION, events.MEMBER, events.SERVER):
        for body in broken:
            with pytest.raises(events.MalformedError):
                events.read(item(kind, body))
    with pytest.raises(events.MalformedError):
        events.read(replace(item("interaction", {}), body=b"<html>"))


def test_the_table_fits_discord_whatever_its_options_are() -> None:
    table = registration.table(people.BOOK)
    assert len(table) <= 100
    assert registration.fingerprint(table) == registration.fingerprint(registration.table(people.BOOK))
