"""Who is answered where, and who is not: groups, strangers, other bots, the impatient and the curious."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from bot import commands, messages
from core import db, members
from core.delivery import outbox
from tests.bot import signals
from tests.bot.desk import Chat, a_book, labels


@pytest.fixture
async def lite(sqlite_database: db.Database, now: datetime) -> AsyncIterator[Chat]:
    return Chat(sqlite_database, now, a_book())


async def test_commands_for_other_bots_are_not_ours(lite: Chat) -> None:
    assert await lite.replies("/start@other_bot") == []
    assert await lite.replies("/latest@other_bot", chat="-5") == []


WITH_WORDS = ["/latest BTC", "/signal 12", "/open 1", "/history btc 1", "/settings both", "/link abc", "/unlink 1 yes"]


@pytest.mark.parametrize(
    "command", [*(f"/{row.name}" for row in commands.COMMANDS if not row.operator), *WITH_WORDS, "/subscribe gold"]
)
async def test_x06_in_public_nothing_is_said_but_that_it_was_sent_privately(lite: Chat, command: str) -> None:
    await lite.pays()
    await lite.published(signals.make())

    private, public = await lite.replies(command, chat="-5")

    assert private.address == "7"
    assert public == commands.Reply("-5", messages.answers.sent_privately())


async def test_x06_strangers_in_public_are_asked_into_the_private_chat(lite: Chat) -> None:
    for command, payload in (("/latest", "latest"), ("/mute", "hello")):
        (reply,) = await lite.replies(command, chat="-5", person="77")
        assert reply.address == "-5"
        assert labels(reply.message) == [f"start={payload}"]
    async with lite.db.transaction() as session:
        assert await members.find(session, "telegram", "77") is None


async def test_t05_who_blocked_us_is_asked_back_in_public(lite: Chat) -> None:
    await lite.pays()
    async with lite.db.transaction() as session:
        await members.block(session, "telegram", "7", now=lite.now)

    (reply,) = await lite.replies("/status", chat="-5")

    assert labels(reply.message) == ["start=status"]


async def test_talk_in_public_is_not_ours(lite: Chat) -> None:
    for text in ("hello", "/unknown", "/unknown@our_bot"):
        assert await lite.replies(text, chat="-5") == []


async def test_who_asks_too_much_waits_for_the_answers(lite: Chat) -> None:
    async def queue(address: str, number: int) -> None:
        async with lite.db.transaction() as session:
            for n in range(number):
                await outbox.reply(session, "telegram", address, {}, key=f"{address}:{n}", now=lite.now)

    await lite.ask("/start")
    await queue("7", commands.MOST_WAITING)
    assert await lite.replies("/start") == []
    assert await lite.replies("/start", chat="-5") == []
    await queue("-5", commands.MOST_WAITING)
    assert await lite.replies("/start", person="8", chat="-5") == []


async def test_t05_whoever_writes_again_is_reachable_again(lite: Chat) -> None:
    await lite.ask("/start")
    async with lite.db.transaction() as session:
        await members.block(session, "telegram", "7", now=lite.now)

    await lite.ask("/start")

    async with lite.db.transaction() as session:
        known = await members.find(session, "telegram", "7")
        assert known is not None
        assert known.blocked_at is None
