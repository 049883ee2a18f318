"""Operators about one member: giving, taking back, who they are, and why they have what they have."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from core import catalogue, db, grants, models, places, rights
from core.models import Delivery, Grant
from tests.bot import signals
from tests.bot.desk import BTC_ONLY, GOLD, Chat, a_book, labels

VIP = catalogue.Place(key="vip", name="VIP room", platform="telegram", chat="-100200")
DAY = timedelta(days=1)


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> Chat:
    return Chat(database, now, a_book(GOLD, BTC_ONLY), admins="telegram:1")


@pytest.fixture
async def lite(sqlite_database: db.Database, now: datetime) -> Chat:
    return Chat(sqlite_database, now, a_book(GOLD, BTC_ONLY), admins="telegram:1")


async def orders(chat: Chat, line: str) -> str:
    return await chat.said(line, person="1")


async def plans(chat: Chat, person: str = "7") -> set[str]:
    member = await chat.member(person)
    async with chat.db.reading() as session:
        return await rights.plans_of(session, member, now=chat.now)


async def test_a_grant_is_given_told_and_taken_back_by_its_button(chat: Chat) -> None:
    await chat.ask("/start")

    message = await chat.ask("/grant telegram:7 gold 30", person="1")

    assert "Ann (@ann) telegram:7 has Gold until 14 Feb 2026, 12:00 UTC." in message.plain.replace("\u2060", "")
    assert await plans(chat) == {"gold"}
    async with chat.db.reading() as session:
        row = (await session.scalars(select(Grant))).one()
        assert (row.granted_by, row.until) == ("telegram:1", chat.now + 30 * DAY)
        told = (await session.scalars(select(Delivery.payload).where(Delivery.kind == "notice"))).one()
        assert told is not None
        assert told["name"] == "granted"
    undo = await chat.ask("", data=labels(message)[0], person="1")
    assert "has no grant of Gold any more" in undo.plain
    assert await plans(chat) == set()
    assert labels(undo)[0] == "/grant telegram:7 gold 30"


@pytest.mark.parametrize(
    ("line", "held"),
    [
        ("/grant 7 gold", {"gold"}),
        ("/grant @ann Bitcoin 3", {"btc"}),
        ("/grant telegram:7 GOLD", {"gold"}),
        ("/grant TELEGRAM:7 btc 1", {"btc"}),
        ("/grant member:1 gold", {"gold"}),
    ],
)
async def test_members_and_plans_are_understood_as_operators_write_them(lite: Chat, line: str, held: set[str]) -> None:
    await lite.ask("/start")
    assert await lite.member() == 1

    await orders(lite, line)

    assert await plans(lite) == held


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/grant", "Write it so: /grant MEMBER [PLAN] [DAYS]"),
        ("/grant 7", "Name one of the plans: btc, gold."),
        ("/grant 7 silver", "Name one of the plans: btc, gold."),
        ("/grant 7 gold 0", "DAYS is a number from 1 to 3650."),
        ("/grant 7 gold 99999", "DAYS is a number from 1 to 3650."),
        ("/grant telegram:8 gold", "Nobody is known as 'telegram:8'"),
        ("/grant member:77 gold", "Nobody is known as 'member:77'"),
        ("/grant @nobody gold", "Nobody is known as '@nobody'"),
        ("/revoke", "Write it so: /revoke MEMBER [PLAN]"),
        ("/revoke 7 gold", "has no grant of Gold; nothing changed"),
        ("/who", "Write it so: /who MEMBER"),
        ("/why", "Write it so: /why MEMBER"),
        ("/who 8", "Nobody is known as 'telegram:8'"),
    ],
)
async def test_orders_that_cannot_be_followed_say_what_is_missing(lite: Chat, line: str, words: str) -> None:
    await lite.ask("/start")

    assert words in await orders(lite, line)
    assert await plans(lite) == set()


async def test_a_member_who_is_gone_is_found_and_given_nothing(lite: Chat) -> None:
    await lite.ask("/start")
    await lite.ask("/delete yes")

    assert "· unnamed telegram:removed:1: " in await orders(lite, "/who member:1")
    assert "was deleted" in await orders(lite, "/grant member:1 gold")


async def test_with_one_plan_it_need_not_be_named(lite: Chat) -> None:
    lite.book = a_book(GOLD)
    await lite.ask("/start")

    assert "has Gold until 20 Jan 2026" in await orders(lite, "/grant 7 5")
    assert "Gold" in await orders(lite, "/revoke 7")
    assert await plans(lite) == set()


async def test_a_grant_without_end_is_given_again_without_end(lite: Chat) -> None:
    await lite.pays()
    await orders(lite, "/grant 7 gold")
    await orders(lite, "/grant 7 gold 3")

    message = await lite.ask("/revoke 7 gold", person="1")

    assert "A paid subscription still opens it." in message.plain
    assert labels(message)[0] == "/grant telegram:7 gold"


async def test_who_shows_a_member_at_a_glance(chat: Chat) -> None:
    chat.book = chat.book.model_copy(update={"places": (VIP,)})
    async with chat.db.transaction() as session:
        await places.sync(session, chat.book, now=chat.now)
    await chat.pays()
    await chat.published(signals.make())
    await orders(chat, "/grant 7 btc 3")
    await chat.ask("/mute")
    async with chat.db.transaction() as session:
        await session.execute(update(models.Identity).values(route="private"))

    message = await chat.ask("/who 7", person="1")
    words = message.plain.replace("\u2060", "")

    assert words.startswith("Member 1, known since 15 Jan 2026\n· Ann (@ann) telegram:7: route private (chosen)")
    assert "Plans: Gold (active) until 14 Feb 2026, 12:00 UTC, Bitcoin (granted) until 18 Jan 2026, 12:00 UTC" in words
    assert ", muted" in words
    assert "· VIP room (Telegram): may enter, not inside" in words
    assert "notice granted, pending" in words
    assert labels(message) == ["/why telegram:7", "/admin"]


async def test_who_of_a_new_person_has_nothing(lite: Chat) -> None:
    await lite.ask("/start")
    async with lite.db.transaction() as session:
        await session.execute(update(models.Identity).values(blocked_at=lite.now))

    words = await orders(lite, "/who 7")

    assert "takes no messages since 15 Jan 2026" in words
    assert "Plans: none" in words
    assert "No deliveries yet." in words


@pytest.mark.parametrize(
    ("row", "head", "words"),
    [
        ({}, "has Gold", "Gold by sub_7_gold (active) gives access until 14 Feb 2026"),
        ({"access_until": None, "status": "unpaid"}, "No access", "Because: the status is unpaid."),
        ({"access_until": None, "snapshot": {"hold": "refunded"}}, "No access", "the latest payment was refunded"),
        ({"access_until": None, "snapshot": {"hold": "disputed"}}, "No access", "the latest payment is disputed"),
        ({"access_until": None, "snapshot": {"hold": "pending"}}, "No access", "the first payment is on its way"),
        ({"access_until": None, "snapshot": {"collection_paused": True}}, "No access", "payments is paused"),
        ({"access_until": None, "plan": ""}, "No access", "its price belongs to no plan"),
    ],
)
async def test_why_explains_the_decision_by_its_facts(
    lite: Chat, row: dict[str, object], head: str, words: str
) -> None:
    await lite.pays(**row)

    said = await orders(lite, "/why 7")

    assert head in said
    assert words in said
    assert "Stripe said on 15 Jan 2026, 12:00 UTC: " in said


async def test_why_names_ends_grants_and_mutes(chat: Chat) -> None:
    await chat.pays(cancels_at=chat.now + DAY, access_until=chat.now + DAY)
    await orders(chat, "/grant 7 btc 1")
    await orders(chat, "/revoke 7 btc")
    await orders(chat, "/grant 7 btc 1")
    await chat.ask("/mute")
    chat.now += 2 * DAY

    said = await orders(chat, "/why @ann")

    assert "No access now." in said
    assert "gave access until 16 Jan 2026, 12:00 UTC, cancelled for 16 Jan 2026, 12:00 UTC" in said
    assert "Bitcoin given by telegram:1 on 15 Jan 2026, ended on 16 Jan 2026" in said
    assert "Bitcoin given by telegram:1 on 15 Jan 2026, revoked on 15 Jan 2026" in said
    assert "Muted: no signals in private chats" in said


async def test_why_of_somebody_without_anything(lite: Chat) -> None:
    await lite.ask("/start")

    assert "No subscription and no grant was ever theirs." in await orders(lite, "/why 7")


async def test_why_agrees_with_what_the_member_gets(lite: Chat) -> None:
    await lite.ask("/start")
    member = await lite.member()
    async with lite.db.transaction() as session:
        await grants.grant(session, member, GOLD, lite.book, until=None, by="cli", now=lite.now)

    assert "valid without end" in await orders(lite, "/why 7")
    assert "has Gold." in await orders(lite, "/why 7")
