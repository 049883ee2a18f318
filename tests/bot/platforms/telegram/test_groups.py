"""In groups and channels: who is heard there, and that nothing paid is ever said where others read it."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from bot import commands
from core import models
from core.models import Delivery
from tests.bot.platforms.telegram import venue as venues
from tests.bot.platforms.telegram.venue import CHAT, HOST, Venue
from tests.sandbox import checker_reading

PUBLIC, NEWS = -1_000_600, -1_000_700
Saying = Callable[[Venue, int, str], Any]
COMMANDS = [row.name for row in commands.COMMANDS]


async def by_an_anonymous_administrator(venue: Venue, user: int, line: str) -> Any:
    return await venue.world.say(user, line, chat_id=PUBLIC, anonymous=True)


async def forwarded(venue: Venue, user: int, line: str) -> Any:
    return await venue.world.say(user, line, chat_id=PUBLIC, forwarded=True)


async def forwarded_in_private(venue: Venue, user: int, line: str) -> Any:
    return await venue.world.say(user, line, forwarded=True)


async def edited(venue: Venue, user: int, line: str) -> Any:
    said = await venue.world.say(user, "hello", chat_id=PUBLIC)
    return await venue.world.edit(user, PUBLIC, said["message"]["message_id"], line)


async def as_a_channel_post(venue: Venue, user: int, line: str) -> Any:
    return await venue.world.say(user, line, chat_id=NEWS)


async def as_a_post_of_the_place(venue: Venue, user: int, line: str) -> Any:
    return await venue.world.say(user, line, chat_id=CHAT, anonymous=True)


UNHEARD = [
    by_an_anonymous_administrator,
    forwarded,
    forwarded_in_private,
    edited,
    as_a_channel_post,
    as_a_post_of_the_place,
]


@pytest.fixture
async def venue(venue: Venue) -> Venue:
    """As elsewhere, with a public group and a public channel; our updates are of every kind there is."""
    venue.world.group(PUBLIC, "Open talk", username="open_talk")
    venue.world.group(NEWS, "News", "channel", username="open_news")
    venue.world.updates.allow(["edited_message", "channel_post", "edited_channel_post", *venue.world.updates._allowed])
    return venue


async def an_owner_who_pays(venue: Venue) -> int:
    """They operate the bot, pay, and own every chat."""
    user = await venue.payer()
    for chat in (PUBLIC, NEWS, CHAT):
        venue.chat.members[HOST] = "member"
        venue.world.chats[chat].members[user] = "creator"
    await venue.deliver()
    return user


async def everything_asked(venue: Venue, user: int, chat: int, suffix: str = "") -> None:
    """They have sent every command there and were answered, some at a time, because few answers wait at once."""
    for start in range(0, len(COMMANDS), 5):
        for name in COMMANDS[start : start + 5]:
            await venue.world.say(user, f"/{name}{suffix}", chat_id=chat)
        await venue.hear()
        await venue.deliver()


@pytest.mark.parametrize("saying", UNHEARD, ids=lambda way: way.__name__)
async def test_x05_who_hides_passes_on_or_edits_is_not_heard(venue: Venue, saying: Saying) -> None:
    user = await an_owner_who_pays(venue)
    before = len(venue.stage.sent())

    for name in COMMANDS:
        await saying(venue, user, f"/{name}")
    await venue.hear()
    await venue.deliver()

    assert await venue.stage.rows(Delivery.kind == "reply") == []
    assert len(venue.stage.sent()) == before
    async with venue.stage.held.db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(models.Identity)) == 1
        assert await session.scalar(select(func.count()).select_from(models.Audit)) == 0


@pytest.mark.parametrize("place", [PUBLIC, CHAT])
async def test_x06_a_payer_who_asks_in_a_group_is_answered_at_home(venue: Venue, place: int) -> None:
    user = await an_owner_who_pays(venue)
    await venue.stage.publish(drawable=False)
    await venue.deliver()

    await everything_asked(venue, user, place, f"@{venue.world.bot['username']}")

    said = [row for row in venue.stage.sent() if row["chat_id"] == place]
    assert said
    assert {row["text"] for row in said} == {"I've sent it to you privately."}
    assert [row for row, _ in checker_reading.paid_messages(venue.world.history.events) if row["chat_id"] < 0] == []
    at_home = [row for row, _ in checker_reading.paid_messages(venue.world.history.events) if row["chat_id"] == user]
    assert len(at_home) >= 2  # the opening, and what they asked for


async def test_x06_a_stranger_in_a_group_is_asked_to_come_home(venue: Venue) -> None:
    await an_owner_who_pays(venue)
    sly = venue.stranger(66)
    venue.world.chats[PUBLIC].members[sly] = "member"
    await venue.stage.publish(drawable=False)
    await venue.deliver()

    await everything_asked(venue, sly, PUBLIC)

    said = {row["text"] for row in venue.stage.sent() if row["chat_id"] == PUBLIC}
    assert said == {"I answer that in our private chat."}
    assert venue.world.chat(sly) == []


async def test_x06_answers_to_a_payer_cannot_be_forwarded(venue: Venue) -> None:
    user = await an_owner_who_pays(venue)
    await venue.stage.publish(drawable=False)
    await venue.deliver()

    await venue.world.say(user, "/latest")
    await venue.hear()
    await venue.deliver()

    shown = [message for message in venue.world.chat(user) if message.from_bot and "Entry" in message.text]
    assert len(shown) == 2
    assert all(message.options.get("protect_content") for message in shown)


async def test_x05_a_bot_that_asks_to_join_is_nobody(venue: Venue) -> None:
    machine = venue.stranger(77)
    venue.world.people[machine].is_bot = True
    await venue.world.knock(machine, venue.link)

    await venue.hear()

    assert await venue.stage.rows(Delivery.kind != "notice") == []


async def test_x05_a_bot_in_the_place_is_kept(venue: Venue) -> None:
    machine = venue.stranger(77)
    venue.world.people[machine].is_bot = True
    venue.world.set_member(CHAT, machine, "member", by=venue.world.people[venues.HOST].json())

    await venue.hear()

    assert await venue.acts(machine) == []
    assert (await venue.presence(machine)).kept
