"""X03 in words: what both sides of a link are told and asked, and what is said when it goes wrong."""

import re
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from bot import commands, messages
from core import db, members, models
from core.models import Delivery, State
from tests.bot.desk import Chat, a_book, labels


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> Chat:
    return Chat(database, now, a_book())


@pytest.fixture
async def lite(sqlite_database: db.Database, now: datetime) -> Chat:
    return Chat(sqlite_database, now, a_book())


BOB = {"person": "70", "platform": "discord"}


async def code(chat: Chat, person: str = "7", platform: str = "telegram") -> str:
    words = (await chat.ask("/link", person=person, platform=platform)).plain
    (found,) = re.findall(r"^/link (\S+)$", words, re.MULTILINE)
    return str(found)


async def asked(chat: Chat) -> messages.Message:
    """Bob on Discord has used a code of Ann's on Telegram."""
    return await chat.ask(f"/link {await code(chat)}", **BOB)


async def notices(chat: Chat, person: str = "7", platform: str = "telegram") -> list[messages.Message]:
    """What waits unasked for this account, oldest first, in words."""
    async with chat.db.reading() as session:
        rows = await session.scalars(
            select(Delivery)
            .where(Delivery.kind == "notice", Delivery.state == State.PENDING)
            .where(Delivery.platform == platform, Delivery.address == person)
            .order_by(Delivery.id)
        )
        facts = [row.payload for row in rows if row.payload]
    return [messages.notices.NOTICES[one["name"]](one, chat.book.service) for one in facts]


async def same_member(chat: Chat) -> bool:
    return await chat.member() == await chat.member("70", "discord")


async def test_x03_a_code_comes_with_its_use_and_a_warning(lite: Chat) -> None:
    message = await lite.ask("/link")

    assert re.search(r"^/link [\w-]{22}$", message.plain, re.MULTILINE)
    assert "works once, for 10 minutes (until 15 Jan 2026, 12:10 UTC)" in message.plain
    assert "never use a code that somebody else gave you" in message.plain
    assert "choose /membership link" in message.plain.replace("\u2060", "")
    assert commands.BY_NAME["link"].slash == "membership link"
    assert not message.paid  # it has to be copied


async def test_x03_both_sides_are_asked_with_both_names(chat: Chat) -> None:
    mine = await asked(chat)
    (theirs,) = await notices(chat)

    for message, here, there in (
        (mine, "Bob (@bob) on Discord", "Ann (@ann) on Telegram"),
        (theirs, "Ann (@ann) on Telegram", "Bob (@bob) on Discord"),
    ):
        words = message.plain.replace("\u2060", "")
        assert f"This account: {here}" in words
        assert f"The other one: {there}" in words
        assert "somebody else gave you" in words
        assert "MOVES" not in words
        assert labels(message) == ["/link yes 1", "/link no 1"]


async def test_x03_after_two_times_yes_both_sides_are_told(chat: Chat) -> None:
    await chat.pays()
    question = await asked(chat)

    first = await chat.ask("", data=labels(question)[0], **BOB)
    assert not await same_member(chat)
    second = await chat.ask("", data=labels(question)[0])

    assert "Noted: you said yes." in first.plain
    assert labels(first) == ["/link no 1"]
    assert "now share one membership" in second.plain
    assert await same_member(chat)
    assert "now share one membership" in (await notices(chat, "70", "discord"))[-1].plain
    assert "Gold: active" in (await chat.ask("/status", **BOB)).plain


async def test_x03_a_no_is_told_to_the_other_side(chat: Chat) -> None:
    await asked(chat)

    message = await chat.ask("", data="/link no 1", **BOB)

    assert "nothing was linked" in message.plain
    assert "Bob (@bob) on Discord said no" in (await notices(chat))[-1].plain.replace("\u2060", "")
    assert "That request has ended" in (await chat.ask("/link yes 1")).plain


async def test_x03_the_question_comes_up_again_beside_a_new_code(lite: Chat) -> None:
    await asked(lite)

    message = await lite.ask("/link")

    assert re.search(r"^/link [\w-]{22}$", message.plain, re.MULTILINE)
    assert "Shall these two accounts share one membership?" in message.plain
    assert labels(message) == ["/link yes 1", "/link no 1"]
    assert "has to say yes too" in (await lite.ask("/link yes 1")).plain


async def test_x03_on_the_same_chat_it_is_said_that_the_membership_moves(chat: Chat) -> None:
    await chat.pays()
    given = await code(chat)

    question = await chat.ask(f"/link {given}", person="8", name="Zoe", username=None)
    words = question.plain.replace("\u2060", "")
    await chat.ask("/link yes 1")
    done = await chat.ask("/link yes 1", person="8", name="Zoe", username=None)

    assert "so the membership MOVES" in words
    assert "Zoe on Telegram gets it, and Ann (@ann) on Telegram loses it" in words
    assert "The membership is now with this account." in done.plain
    told = [message.plain for message in await notices(chat)]
    assert any("This account no longer has the membership" in one for one in told)
    assert "no subscription" in (await chat.ask("/status")).plain
    assert "Gold: active" in (await chat.ask("/status", person="8")).plain


async def test_x03_who_gave_it_away_hears_where_it_went(lite: Chat) -> None:
    await lite.pays()
    given = await code(lite)
    await lite.ask(f"/link {given}", person="8")
    await lite.ask("/link yes 1", person="8")

    message = await lite.ask("/link yes 1")

    assert "This account no longer has it." in message.plain
    assert "/paysupport" in message.plain
    assert labels(message) == ["/status"]


async def test_x03_wrong_codes_are_counted_although_they_are_refused(chat: Chat) -> None:
    given = await code(chat)
    for number in range(5):
        assert "not valid" in (await chat.ask(f"/link guess{number}", **BOB)).plain

    assert "Too many codes" in (await chat.ask(f"/link {given}", **BOB)).plain
    async with chat.db.reading() as session:
        tries = await session.scalars(select(models.Audit.action).where(models.Audit.actor == "discord:70"))
        assert list(tries) == ["link_code_wrong"] * 5


async def test_x03_a_code_said_in_public_still_needs_both_yes(lite: Chat) -> None:
    await lite.ask("/start", **BOB)
    given = await code(lite)

    private, public = await lite.replies(f"/link {given}", chat="-5", **BOB)

    assert private.address == "70"
    assert public.message == messages.answers.sent_privately()
    assert not await same_member(lite)


@pytest.mark.parametrize("line", ["/link yes", "/link yes 99", "/link no 99", "/link yes abc", "/link  YES  1"])
async def test_answers_to_no_question_change_nothing(lite: Chat, line: str) -> None:
    words = (await lite.ask(line)).plain

    assert "has ended" in words or "not valid" in words


async def test_unlinking_lists_asks_and_does(chat: Chat) -> None:
    assert "Only this account" in (await chat.ask("/unlink")).plain
    await asked(chat)
    await chat.ask("/link yes 1", **BOB)
    await chat.ask("/link yes 1")

    listed = await chat.ask("/unlink")
    (mine, theirs) = labels(listed)
    question = await chat.ask("", data=theirs)
    assert await same_member(chat)
    done = await chat.ask("", data=labels(question)[0])

    assert "(this one)" in listed.plain
    assert mine != theirs
    assert "Take Bob (@bob) on Discord out of the membership?" in question.plain.replace("\u2060", "")
    assert "For 24 hours after that only the same account" in question.plain
    assert labels(question) == [f"{theirs} yes", "/unlink"]
    assert "no longer belongs to your membership" in done.plain
    assert not await same_member(chat)
    assert "no longer has the membership" in (await notices(chat, "70", "discord"))[-1].plain
    assert "Only this account" in (await chat.ask("", data=f"{theirs} yes")).plain


async def test_unlinking_oneself_says_how_to_come_back(lite: Chat) -> None:
    await asked(lite)
    await lite.ask("/link yes 1", **BOB)
    await lite.ask("/link yes 1")
    mine = labels(await lite.ask("/unlink"))[0]

    message = await lite.ask("", data=f"{mine} yes")

    assert "this account no longer belongs to the membership" in message.plain
    assert "To come back" in message.plain


async def test_unlink_of_a_strangers_account_shows_ones_own(lite: Chat) -> None:
    await asked(lite)
    await lite.ask("/link yes 1", **BOB)
    await lite.ask("/link yes 1")
    await lite.ask("/start", person="9")
    async with lite.db.reading() as session:
        stranger = await members.find(session, "telegram", "9")
        assert stranger is not None

    message = await lite.ask(f"/unlink {stranger.id} yes")

    assert "Accounts of your membership" in message.plain
    async with lite.db.reading() as session:
        assert await session.scalar(select(models.Audit.id).where(models.Audit.action == "account_left")) is None


async def test_a_code_too_late_is_refused_in_words(lite: Chat) -> None:
    given = await code(lite)
    lite.now += timedelta(minutes=10)

    message = await lite.ask(f"/link {given}", **BOB)

    assert "codes work once, for ten minutes" in message.plain
    assert labels(message) == ["/help"]


async def test_lines_of_buttons_fit_every_platform(lite: Chat) -> None:
    await asked(lite)
    everything = [await lite.ask("/link"), await lite.ask("/unlink"), *await notices(lite)]

    assert all(len(label.encode()) <= 64 for message in everything for label in labels(message))
