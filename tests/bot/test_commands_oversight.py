"""Operators about the whole: figures, places, deliveries, a pause, and a message to everybody."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from bot import messages
from core import catalogue, db, health, log, models, places
from core.delivery import outbox
from core.models import Audit, Delivery, Round, State
from tests.bot.desk import BTC_ONLY, GOLD, Chat, a_book, labels

VIP = catalogue.Place(key="vip", name="VIP room", platform="telegram", chat="-100200")
HALL = catalogue.Place(key="hall", name="Hall", platform="discord", server="900", role="901", channel="902")
HOUR = timedelta(hours=1)


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> Chat:
    return Chat(database, now, a_book(GOLD, BTC_ONLY), admins="telegram:1,telegram:2")


@pytest.fixture
async def lite(sqlite_database: db.Database, now: datetime) -> Chat:
    return Chat(sqlite_database, now, a_book(GOLD, BTC_ONLY), admins="telegram:1,telegram:2")


async def orders(chat: Chat, line: str, person: str = "1") -> str:
    return await chat.said(line, person=person)


async def open_places(chat: Chat) -> None:
    chat.book = chat.book.model_copy(update={"places": (VIP, HALL)})
    async with chat.db.transaction() as session:
        await places.sync(session, chat.book, now=chat.now)


async def test_figures_are_counted_from_what_is_stored(chat: Chat) -> None:
    price = {"amount": 2900, "currency": "USD", "interval": "month"}
    await chat.pays("7", **price)
    await chat.pays("7", plan="btc", **price)
    await chat.pays("8", status="trialing", **price)
    await chat.pays("9", status="past_due")
    await chat.pays("10", access_until=chat.now)
    await orders(chat, "/grant 9 btc")
    await chat.ask("/mute", person="8")
    async with chat.db.transaction() as session:
        await session.execute(
            update(models.Identity).where(models.Identity.external_id == "10").values(blocked_at=chat.now)
        )
        await outbox.reply(session, "telegram", "7", {}, key="old", now=chat.now - timedelta(days=2))
        await outbox.reply(session, "telegram", "7", {}, key="new", now=chat.now)

    words = await orders(chat, "/stats")

    assert "Members known: 5 " in words  # the operator too
    assert "With access: 3 " in words
    for row in ("Bitcoin, active: 1", "Bitcoin, given: 1", "Gold, active: 1", "Gold, past_due: 1", "Gold, trialing: 1"):
        assert f"· {row}" in words
    assert "Paid subscriptions: 3, of them in the days of grace: 1" in words
    assert "In free days: 1" in words
    assert "Monthly revenue (MRR): 58.00 USD " in words
    assert "Not in it: 1, whose price is not known." in words
    assert "Muted: 1" in words
    assert "take no messages: 1" in words
    assert "· pending: 2" in words  # the new answer, and the notice of the grant


async def test_an_empty_community_has_figures_too(lite: Chat) -> None:
    words = await orders(lite, "/stats")

    assert "Members known: 1 " in words
    assert "With access: 0 " in words
    assert "Monthly revenue (MRR): nothing yet" in words
    assert "Left in the last 30 days: nobody paid 30 days ago yet" in words
    assert "by their state now\nnone" in words


async def a_round(chat: Chat, platform: str, held: int, **found: object) -> None:
    facts = {"entitled": 30, "inside": 40, "unknown": 0, "let_in": 2, "put_out": 0, "held": held, "requests": 1}
    async with chat.db.transaction() as session:
        key = "vip" if platform == "telegram" else "hall"
        session.add(Round(platform=platform, at=chat.now, facts={key: found or facts}, held=held))


async def test_drift_shows_the_last_round_of_each_chat_and_releases_who_is_held_back(chat: Chat) -> None:
    await open_places(chat)
    await a_round(chat, "telegram", 99)
    await a_round(chat, "telegram", 25)
    await a_round(chat, "discord", 0, fault="The role stands above ours.")

    message = await chat.ask("/drift", person="1")

    assert "VIP room: may be inside 30, inside 40, inside and unknown to us 0, let in 2" in message.plain
    assert "held back 25" in message.plain
    assert "99" not in message.plain
    assert "Hall: The role stands above ours." in message.plain.replace("\u2060", "")
    assert labels(message) == ["/drift release", "/admin"]
    assert "Held back at the doors: 25" in await orders(chat, "/admin")

    done = await chat.ask("", data="/drift release", person="1")

    assert "Released: 25 are put out at the next round" in done.plain
    async with chat.db.reading() as session:
        rows = (await session.scalars(select(Round).order_by(Round.id))).all()
        assert [row.released_by for row in rows] == ["", "telegram:1", ""]
    assert "Released by telegram:1" in await orders(chat, "/drift")
    assert "/drift release" not in labels(await chat.ask("/drift", person="1"))
    assert "Nobody is held back" in await orders(chat, "/drift release")


async def test_drift_without_any_round(lite: Chat) -> None:
    assert "No round through places was made yet" in await orders(lite, "/drift")


async def test_one_delivery_has_its_life_told(chat: Chat) -> None:
    await chat.ask("/start")
    member = await chat.member()
    async with chat.db.transaction() as session:
        with log.caused_by("req-7"):
            await outbox.tell(session, member, "revoked", {"plan": "Gold"}, key="k", now=chat.now)
        row = (await session.scalars(select(Delivery))).one()
        row.state, row.reason, row.settled_at, row.message_id = State.SENT, "", chat.now + HOUR, "55"

    words = await orders(chat, f"/delivery {row.id}")

    assert f"Delivery {row.id}: notice revoked" in words
    assert "To: Ann (@ann) telegram:7" in words
    assert "State: sent" in words
    assert "Planned: 15 Jan 2026, 12:00 UTC" in words
    assert "Ended: 15 Jan 2026, 13:00 UTC" in words
    assert "Message 55 in the chat" in words
    assert "Caused by the request req-7" in words


async def test_a_delivery_to_a_place_and_none_at_all(lite: Chat) -> None:
    async with lite.db.transaction() as session:
        await outbox.post_notice(session, ("telegram", "-100200", "vip"), "late_summary", {}, key="k", now=lite.now)

    assert "To: telegram -100200 (vip)" in await orders(lite, "/delivery 1")
    assert "There is no delivery 99." in await orders(lite, "/delivery 99")
    assert "Write it so: /delivery ID" in await orders(lite, "/delivery abc")


async def test_a_pause_is_kept_shown_and_ended(chat: Chat) -> None:
    first, second = await orders(chat, "/pause exchange is ill"), await orders(chat, "/pause", person="2")

    assert "New signals are paused." in first
    assert "have been paused since 15 Jan 2026, 12:00 UTC already" in second
    assert "The operator has paused new signals since 15 Jan 2026" in await chat.said("/service")
    async with chat.db.reading() as session:
        row = (await session.scalars(select(models.Switch))).one()
        assert (row.name, row.by) == ("paused", "telegram:1")
        notes = (await session.scalars(select(Audit).where(Audit.action == "signals_paused").order_by(Audit.id))).all()
        assert [note.details for note in notes] == [
            {"reason": "exchange is ill", "anew": True},
            {"reason": "", "anew": False},
        ]
    assert "published again" in await orders(chat, "/resume")
    assert "were not paused" in await orders(chat, "/resume")
    assert "paused" not in await chat.said("/service")


async def sent(chat: Chat) -> list[tuple[str, str | None]]:
    async with chat.db.reading() as session:
        rows = await session.scalars(select(Delivery).where(Delivery.kind == "notice").order_by(Delivery.address))
        return [(row.address, row.place) for row in rows if row.payload and row.payload["name"] == "broadcast"]


async def test_a_message_to_everybody_is_asked_for_and_sent_once(chat: Chat) -> None:
    await chat.pays("7")
    await chat.pays("7", plan="btc")
    await chat.pays("8", plan="btc")
    await chat.ask("/mute", person="8")
    await chat.ask("/start", person="9")

    asked = await chat.ask("/broadcast We are away on Sunday, see https://a.example", person="1")

    assert "Send this to 2 private chats?" in asked.plain
    assert "away on Sunday, see https://a.example" in asked.plain
    assert await sent(chat) == []
    send, _ = labels(asked)
    assert "On its way to 2 private chats." in (await chat.ask("", data=send, person="1")).plain
    assert "sent already" in (await chat.ask("", data=send, person="1")).plain
    assert await sent(chat) == [("7", None), ("8", None)]
    async with chat.db.reading() as session:
        done = (await session.scalars(select(Audit).where(Audit.action == "broadcast"))).one()
        assert done.details["chats"] == 2


async def test_places_get_a_message_to_everybody_once(lite: Chat) -> None:
    await open_places(lite)
    await lite.pays("7")
    async with lite.db.transaction() as session:
        vip = await session.get_one(models.Place, "vip")
        await places.seen(session, vip, "7", inside=True, now=lite.now)

    asked = await lite.ask("/broadcast Hello", person="1")

    assert "Send this to 0 private chats?" in asked.plain
    assert "is posted in Hall, VIP room." in asked.plain
    assert "Posted in 2 places." in (await lite.ask("", data=labels(asked)[0], person="1")).plain
    assert await sent(lite) == [("-100200", "vip"), ("902", "hall")]


async def test_a_draft_is_its_writers_and_grows_old(lite: Chat) -> None:
    await lite.pays("7")
    send = labels(await lite.ask("/broadcast Hello", person="1"))[0]

    assert "is not yours" in (await lite.ask("", data=send, person="2")).plain
    assert "is not yours" in await orders(lite, "/broadcast yes 9999")
    lite.now += HOUR
    assert "too old" in (await lite.ask("", data=send, person="1")).plain
    assert await sent(lite) == []


async def test_a_message_to_everybody_needs_words_and_fits(lite: Chat) -> None:
    assert "Write it so: /broadcast TEXT" in await orders(lite, "/broadcast")
    assert "at most 1500 characters" in await orders(lite, "/broadcast " + "x" * 1501)


def test_x11_a_message_to_everybody_carries_the_risk_text() -> None:
    message = messages.notices.broadcast({"words": "See https://a.example"}, a_book().service)

    assert "https://a.example" in message.plain
    assert "Not financial advice" in message.plain
    assert "simulated market" in message.plain


async def test_the_desk_names_places_and_many_alarms(lite: Chat) -> None:
    await open_places(lite)
    async with lite.db.transaction() as session:
        await places.barred(session, await session.get_one(models.Place, "vip"), "No rights there.", now=lite.now)
        for number in range(7):
            await health.alarm(session, f"a{number}", f"Alarm {number}.", now=lite.now + HOUR)

    words = await orders(lite, "/admin")

    assert "Place Hall (Discord): fine" in words
    assert "Place VIP room (Telegram): No rights there." in words
    assert "Alarms: 8" in words
    assert "and 3 more" in words
