"""X05: operators' commands exist for operators alone, where nobody else reads the answer, and every try is noted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import func, select

from bot import commands, messages
from core import db, models, switches
from core.delivery import outbox
from core.models import Audit, Base
from tests.bot.desk import Chat, a_book, labels

OPERATOR = "1"
LINES = {
    "admin": "",
    "grant": "telegram:7 gold 30",
    "revoke": "telegram:7 gold",
    "who": "telegram:7",
    "why": "telegram:7",
    "drift": "release",
    "delivery": "1",
    "stats": "",
    "partners": "add joe Joe Doe",
    "pause": "for a test",
    "resume": "",
    "broadcast": "Hello everybody",
    "post": "BTC long stop 95 targets 110",
    "close": "1",
}
ACTORS: dict[str, dict[str, Any]] = {
    "a stranger": {"person": "99"},
    "a member": {"person": "7"},
    "a member by a button": {"person": "7", "as_button": True},
    "a member in a group": {"person": "7", "chat": "-5"},
    "a stranger in a group": {"person": "99", "chat": "-5"},
    "an operator in a group": {"person": OPERATOR, "chat": "-5"},
    "an operator in a group by a button": {"person": OPERATOR, "chat": "-5", "as_button": True},
    "the same number elsewhere": {"person": OPERATOR, "platform": "discord"},
    "the operator's name": {"person": "98", "name": "Ann", "username": "ann"},
    "who says to be one": {"person": "97", "name": "telegram:1", "username": "telegram:1"},
}


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> Chat:
    return Chat(database, now, a_book(), admins=f"telegram:{OPERATOR},discord:5")


@pytest.fixture
async def lite(sqlite_database: db.Database, now: datetime) -> Chat:
    return Chat(sqlite_database, now, a_book(), admins=f"telegram:{OPERATOR},discord:5")


async def asked(desk: Chat, line: str, *, as_button: bool = False, **who: Any) -> list[commands.Reply]:
    return await desk.replies("" if as_button else line, data=line if as_button else "", **who)


async def audits(chat: Chat) -> Sequence[Audit]:
    async with chat.db.reading() as session:
        return (await session.scalars(select(Audit).where(Audit.action == "command").order_by(Audit.id))).all()


async def sizes(chat: Chat) -> dict[str, int]:
    """How many rows every table has, but for the record of tries."""
    async with chat.db.reading() as session:
        tables = [table for name, table in Base.metadata.tables.items() if name != "audit"]
        return {t.name: await session.scalar(select(func.count()).select_from(t)) or 0 for t in tables}


def test_x05_the_matrix_has_every_command() -> None:
    assert set(LINES) == {row.name for row in commands.COMMANDS if row.operator}


@pytest.mark.parametrize("actor", ACTORS)
async def test_x05_nobody_else_learns_of_an_operators_command(lite: Chat, actor: str) -> None:
    who = ACTORS[actor]
    await lite.pays()
    for person in ("99", OPERATOR):
        await lite.replies("/start", person=person)
    await asked(lite, "/nonsense", **who)
    before = await sizes(lite)

    for noted, (name, argument) in enumerate(LINES.items(), 1):
        answer = await asked(lite, f"/{name} {argument}".strip(), **who)
        assert answer == await asked(lite, "/nonsense", **who), name
        assert await sizes(lite) == before, name
        rows = await audits(lite)
        assert len(rows) == noted
        place = who.get("chat", who["person"])
        assert rows[-1].actor == f"{who.get('platform', 'telegram')}:{who['person']}"
        assert rows[-1].details == {"name": name, "argument": argument, "allowed": False, "chat": place}


@pytest.mark.parametrize("name", LINES)
async def test_x05_an_operator_is_answered_in_private(chat: Chat, name: str) -> None:
    await chat.pays()
    await chat.replies("/start", person=OPERATOR)

    (reply,) = await asked(chat, f"/{name} {LINES[name]}".strip(), person=OPERATOR)

    assert reply.address == OPERATOR
    assert reply.message != messages.answers.unknown()
    (row,) = await audits(chat)
    assert (row.actor, row.at) == ("telegram:1", chat.now)
    assert row.details == {"name": name, "argument": LINES[name], "allowed": True, "chat": OPERATOR}


async def test_x05_an_operator_is_answered_where_only_they_see_it(lite: Chat) -> None:
    """On Discord the answer goes to where only who asked sees it, which counts as private."""
    here = {"platform": "discord", "answer_at": "interaction:5", "reachable": False}

    (reply,) = await asked(lite, "/stats", person="5", **here)

    assert reply.address == "interaction:5"
    assert "Figures of this moment" in reply.message.plain


async def test_x05_tries_are_noted_even_when_nobody_is_answered(lite: Chat) -> None:
    await lite.ask("/start")
    async with lite.db.transaction() as session:
        for n in range(commands.MOST_WAITING):
            await outbox.reply(session, "telegram", "7", {}, key=str(n), now=lite.now)

    assert await lite.replies("/admin") == []
    assert [row.details["allowed"] for row in await audits(lite)] == [False]


async def test_x05_what_is_noted_is_bounded_and_for_us_only(lite: Chat) -> None:
    await lite.ask("/broadcast " + "x" * 4000)
    await lite.replies("/admin@other_bot")

    (row,) = await audits(lite)
    assert len(row.details["argument"]) == 60


async def test_x05_an_ex_operator_is_a_member_like_others(lite: Chat) -> None:
    await lite.ask("/pause", person=OPERATOR)
    former = Chat(lite.db, lite.now, lite.book)

    assert "I do not know that command" in (await former.ask("/resume", person=OPERATOR)).plain
    async with lite.db.reading() as session:
        assert await switches.turned_on(session, switches.PAUSED) is not None


async def test_operators_see_their_commands_in_the_help(lite: Chat) -> None:
    theirs, others = await lite.ask("/help", person=OPERATOR), await lite.ask("/help")

    assert "For operators" in theirs.plain
    assert "/grant – give a plan by hand: MEMBER [PLAN] [DAYS]" in theirs.plain
    assert "operators" not in others.plain.lower()
    assert not any(f"/{name} –" in others.plain for name in LINES)


async def test_x05_a_link_into_the_chat_begins_no_operators_command(lite: Chat) -> None:
    for payload in ("admin", "pause", "grant_7"):
        assert "Welcome" in (await lite.ask(f"/start {payload}", person=OPERATOR)).plain


@pytest.mark.parametrize("name", LINES)
async def test_buttons_of_operators_fit_every_platform(lite: Chat, name: str) -> None:
    long = "1234567890123456789"
    await lite.replies("/start", person=long, platform="discord")
    line = f"/{name} {LINES[name]}".replace("telegram:7 gold", f"discord:{long} gold").replace("telegram:7", long)

    (reply,) = await asked(lite, line, person=OPERATOR)

    assert all(len(label.encode()) <= 64 for label in labels(reply.message))


async def test_the_operators_menu_is_a_row_of_the_table(lite: Chat) -> None:
    async with lite.db.transaction() as session:
        session.add(models.Alarm(key="x", text="Something broke.", first_at=lite.now, last_at=lite.now, count=1))
    await lite.pays()
    await lite.ask("/pause", person=OPERATOR)

    message = await lite.ask("/admin", person=OPERATOR)

    assert "Members with access: 1 of 2 known" in message.plain
    assert "New signals: PAUSED since 15 Jan 2026, 12:00 UTC by telegram:1" in message.plain.replace("\u2060", "")
    assert "No places for subscribers." in message.plain
    assert "· Something broke. (since 15 Jan 2026, 12:00 UTC)" in message.plain.replace("\u2060", "")
    assert "/resume" in labels(message)
