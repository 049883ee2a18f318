"""What is said of places for subscribers, and of the ways on which signals reach an account."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bot import messages
from core import catalogue, db, grants, members, models, places
from core.models import Identity, Place
from tests.bot.desk import GOLD, Chat, a_book, labels

VIP = catalogue.Place(key="vip", name="VIP room", platform="telegram", chat="-100200")
HALL = catalogue.Place(key="hall", name="Great hall", platform="discord", server="900", role="901", channel="902")


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> Chat:
    return Chat(database, now, a_book())


@pytest.fixture
async def lite(sqlite_database: db.Database, now: datetime) -> Chat:
    return Chat(sqlite_database, now, a_book())


async def open_places(chat: Chat, *found: catalogue.Place) -> None:
    chat.book = chat.book.model_copy(update={"places": found})
    async with chat.db.transaction() as session:
        await places.sync(session, chat.book, now=chat.now)


async def seen(chat: Chat, person: str, *, inside: bool = True, place: str = "vip") -> None:
    async with chat.db.transaction() as session:
        here = await session.get_one(Place, place)
        await places.seen(session, here, person, inside=inside, now=chat.now)


async def of(chat: Chat, person: str = "7", platform: str = "telegram") -> Identity:
    async with chat.db.reading() as session:
        found = await members.find(session, platform, person)
        assert found is not None
        return found


async def same_member(chat: Chat, **given: Any) -> None:
    """Person 7 on Telegram and person 70 on Discord are one member."""
    await chat.replies("/start")
    await chat.replies("/start", person="70", platform="discord")
    member = await chat.member()
    async with chat.db.transaction() as session:
        there = await members.find(session, "discord", "70")
        assert there is not None
        there.member_id = member
        for name, value in given.items():
            setattr(there, name, value)


async def test_without_places_signals_come_in_the_chat(lite: Chat) -> None:
    guest = await lite.ask("/join")
    await lite.pays("8")
    payer = await lite.ask("/join", person="8")

    assert "nothing to join here: your signals come to you in this chat, as soon as" in guest.plain
    assert labels(guest) == ["/plans", "/status"]
    assert "nothing to join here: your signals come to you in this chat." in payer.plain
    assert labels(payer) == ["/status"]


async def test_who_may_enter_gets_a_way_into_the_place(chat: Chat) -> None:
    await open_places(chat, VIP, HALL)
    await chat.pays()

    message = await chat.ask("/join")

    assert "VIP room: open to you" in message.plain
    assert "On your other chat: Great hall (Discord)." in message.plain
    (door, *_) = message.buttons[0]
    assert (door.text, door.place, door.data) == ("VIP room", "vip", "")
    assert labels(message) == ["place=vip", "/status"]


async def test_who_is_inside_or_waits_is_told_so(chat: Chat) -> None:
    await open_places(chat, VIP)
    for who in ("7", "8", "9"):
        await chat.pays(who)
    await seen(chat, "7")
    async with chat.db.transaction() as session:
        vip = await session.get_one(Place, "vip")
        await places.asked(session, vip, "8", now=chat.now)

    inside, waits = await chat.ask("/join"), await chat.ask("/join", person="8")
    async with chat.db.transaction() as session:
        await places.barred(session, await session.get_one(Place, "vip"), "We are no administrators.", now=chat.now)
    shut = await chat.ask("/join", person="9")

    assert "VIP room: you are inside." in inside.plain
    assert "VIP room: your request has arrived" in waits.plain
    assert "nobody can be let in right now" in shut.plain
    assert {tuple(labels(one)) for one in (inside, waits, shut)} == {("/status",)}


async def test_without_the_plan_it_is_said_what_opens_the_place(lite: Chat) -> None:
    silver = catalogue.Plan(key="silver", name="Silver", symbols=frozenset({"BTC/USDT"}))
    bronze = catalogue.Plan(key="bronze", name="Bronze", places=frozenset({"other"}))
    lite.book = a_book(GOLD, silver, bronze)
    await open_places(lite, VIP)

    message = await lite.ask("/join")

    assert "VIP room: opens with Gold." in message.plain
    assert labels(message) == ["/plans", "/status"]
    lite.book = a_book(silver)
    await open_places(lite, VIP)
    assert "VIP room: no plan opens it at the moment." in (await lite.ask("/join")).plain


async def test_status_shows_places_routes_and_linked_accounts(chat: Chat) -> None:
    await open_places(chat, VIP, HALL)
    await chat.pays()
    await same_member(chat, blocked_at=chat.now)
    await seen(chat, "7")

    message = await chat.ask("/status")

    assert "VIP room (Telegram): you are inside\n" in message.plain
    assert "Great hall (Discord): open to you" in message.plain
    here = "in the places for subscribers, and in our private chat while you are not inside one (this one)"
    assert f"Ann (\u2060@\u2060ann) on Telegram: {here}".replace("\u2060", "") in message.plain.replace("\u2060", "")
    assert "on Discord: our messages do not arrive there" in message.plain
    assert labels(message) == ["/latest", "/billing", "/mute", "/settings", "/join"]


async def test_status_of_one_account_without_places_stays_short(lite: Chat) -> None:
    await lite.pays()

    message = await lite.ask("/status")

    assert "How signals reach" not in message.plain
    assert "/join" not in labels(message)


async def test_settings_explain_each_way_and_choose_one(chat: Chat) -> None:
    await open_places(chat, VIP)
    await same_member(chat)

    first = await chat.ask("/settings")
    chosen = await chat.ask("", data="/settings place")

    assert "both: you read signals in the places" in first.plain
    assert "(as it is now, usual here)" in first.plain
    assert "Linked accounts: Bob (@\u2060bob) on Discord." in first.plain
    assert labels(first) == ["/settings private", "/settings place", "/mute", "/link", "/unlink"]
    assert chosen.plain.startswith("Saved.")
    assert (await of(chat)).route == "place"
    assert (await of(chat, "70", "discord")).route == ""
    assert "/settings both" in labels(chosen)
    await chat.ask("/settings usual")
    assert (await of(chat)).route == ""


async def test_settings_say_what_is_usual_on_discord_and_where_there_is_no_place(lite: Chat) -> None:
    message = await lite.ask("/settings", person="70", platform="discord")

    (usual,) = [line for line in message.plain.splitlines() if "usual here" in line]
    assert usual.startswith("place: ")
    assert "There is no place for subscribers on Discord at the moment" in message.plain
    assert "Linked accounts: none." in message.plain
    assert "/unlink" not in labels(message)


async def test_an_unknown_way_changes_nothing(lite: Chat) -> None:
    await lite.ask("/settings private")

    message = await lite.ask("/settings pigeon")

    assert "That way is not known" in message.plain
    assert (await of(lite)).route == "private"


async def test_a_mute_is_seen_in_settings(lite: Chat) -> None:
    await lite.ask("/start")
    await lite.ask("/mute")

    message = await lite.ask("/settings")

    assert "Signals in private are muted." in message.plain
    assert "/unmute" in labels(message)


async def test_a_new_plan_names_the_places_it_opens(lite: Chat) -> None:
    await lite.ask("/start")
    await open_places(lite, VIP)
    member = await lite.member()
    async with lite.db.transaction() as session:
        await grants.grant(session, member, GOLD, lite.book, until=None, by="cli", now=lite.now)
        rows = (await session.scalars(select(models.Delivery).where(models.Delivery.kind == "notice"))).all()
    (facts,) = [row.payload for row in rows if row.payload]

    for name in ("granted", "access_started"):
        message = messages.notices.NOTICES[name](facts, lite.book.service)
        assert "Your plan opens VIP room, where signals are posted; /join takes you in." in message.plain
        assert labels(message)[0] == "/join"
    assert "/join" not in labels(messages.notices.granted({"plan": "Gold"}, lite.book.service))


async def test_start_shows_the_way_to_places_and_to_other_chats(lite: Chat) -> None:
    await open_places(lite, VIP)
    await lite.pays("8")

    assert "/join" in labels(await lite.ask("/start", person="8"))
    assert "/join" not in labels(await lite.ask("/start"))
    assert "/link" not in (await lite.ask("/start")).plain
    both = {"telegram_bot_token": "1:x", "discord_bot_token": "a.b.c"}
    several = Chat(lite.db, lite.now, lite.book, **both)
    assert "Already a member on another chat? /link" in (await several.ask("/start")).plain


def test_who_is_turned_away_hears_how_to_get_in() -> None:
    message = messages.answers.turned_away("VIP room", a_book().service)

    assert message.plain.startswith("VIP room is for subscribers.")
    assert "/subscribe" in message.plain
    assert message.plain.endswith("SignalStack")
    assert labels(message) == ["start=plans"]


async def test_a_day_passes_and_nothing_is_open(lite: Chat) -> None:
    """Access that has run out closes the place, whatever anybody was told."""
    await open_places(lite, VIP)
    await lite.pays(access_until=lite.now + timedelta(days=1))
    lite.now += timedelta(days=2)

    assert "opens with Gold" in (await lite.ask("/join")).plain
