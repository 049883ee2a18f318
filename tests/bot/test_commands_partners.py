"""Partners in chat: codes made and ended by operators, members who come with them, and what is counted."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from core import db, models
from core.billing import partners
from tests.bot.desk import Chat, a_book
from tests.bot.test_front_door import Run, run  # noqa: F401 - a fixture

OPERATOR = "1"


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> Chat:
    chat = Chat(database, now, a_book(), admins=f"telegram:{OPERATOR}")
    await chat.said("/partners add JOE Joe from the podcast", person=OPERATOR)
    return chat


async def test_operator_makes_a_code_and_gets_its_link(chat: Chat) -> None:
    said = await chat.said("/partners add Ann-2 Ann Smith discount SPRING20", person=OPERATOR)
    assert said.startswith("Ann Smith has the code ann-2.")
    assert "https://t.me/our_bot?start=with_ann-2" in said
    assert "SPRING20" in said
    async with chat.db.reading() as session:
        rows = (await session.scalars(select(models.Audit).where(models.Audit.action == "partner_added"))).all()
    assert [row.details["code"] for row in rows] == ["joe", "ann-2"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/partners add joe Another", "The code joe is taken already"),
        ("/partners add x Short", "A code has 2 to 24 letters"),
        ("/partners add no_underscores Name", "A code has 2 to 24 letters"),
        ("/partners add jim", "Say for whom the code is"),
        ("/partners add", "A code has 2 to 24 letters"),
        ("/partners end nobody", "There is no code nobody"),
    ],
)
async def test_what_cannot_be_is_said_in_one_sentence(chat: Chat, line: str, words: str) -> None:
    assert (await chat.said(line, person=OPERATOR)).startswith(words)


async def test_member_who_follows_the_link_is_counted_once_and_the_first_partner_stays(chat: Chat) -> None:
    await chat.said("/partners add ann Ann", person=OPERATOR)
    assert (await chat.said("/start with_JOE")).startswith("Joe from the podcast has invited you.\n")
    assert (await chat.said("/start with_ann")).startswith("Joe from the podcast has invited you.\n")
    listed = await chat.said("/partners", person=OPERATOR)
    assert "joe – Joe from the podcast: came 1, in free days 0, paying 0" in listed
    assert "ann – Ann: came 0, in free days 0, paying 0" in listed


async def test_numbers_follow_what_members_pay(chat: Chat) -> None:
    for person, status in (("7", "active"), ("8", "trialing"), ("9", "canceled"), ("10", "past_due")):
        await chat.said("/start with_joe", person=person)
        await chat.pays(person, status=status)
    listed = await chat.said("/partners", person=OPERATOR)
    assert "came 4, in free days 1, paying 2" in listed


async def test_who_subscribed_before_is_welcome_but_counted_for_nobody(chat: Chat) -> None:
    await chat.pays()
    assert (await chat.said("/start with_joe")).startswith("Welcome to ")
    assert "came 0" in await chat.said("/partners", person=OPERATOR)


async def test_code_that_has_ended_brings_nobody_and_keeps_who_came(chat: Chat) -> None:
    await chat.said("/start with_joe")
    assert (await chat.said("/partners end joe", person=OPERATOR)).startswith("The code joe has ended.")
    said = await chat.said("/start with_joe", person="8")
    assert said.startswith("The invitation in this link is not valid any more")
    assert "Welcome to" in said
    assert "came 1, in free days 0, paying 0, ended" in await chat.said("/partners", person=OPERATOR)
    assert "taken already" in await chat.said("/partners add joe Joe", person=OPERATOR)


@pytest.mark.parametrize("payload", ["with_", "with", "with_" + "x" * 60, "with_joe_more"])
async def test_odd_links_are_a_welcome(chat: Chat, payload: str) -> None:
    assert "Welcome to" in await chat.said(f"/start {payload}")


def test_the_command_line_lists_them_too(run: Run, tmp_path: Path) -> None:  # noqa: F811
    assert run("partners") == (
        0,
        "Nobody has a code yet; an operator makes one in chat: /partners add CODE NAME.\n",
        "",
    )

    async def add() -> None:
        database = db.Database(f"sqlite:///{tmp_path / 'a.db'}")
        async with database.transaction() as session:
            await partners.add(session, "joe", "Joe", "SPRING20", by="cli:ann", now=datetime.now(UTC))
        await database.close()

    asyncio.run(add())
    assert run("partners")[1] == "joe  Joe: came 0, in free days 0, paying 0, discount SPRING20\n"
