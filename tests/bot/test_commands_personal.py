"""X10 in words: a copy of everything, and its end."""

import json
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from bot import messages
from bot.platforms.telegram import rendering
from core import db, grants, members, models
from core.models import Delivery
from tests.bot.desk import GOLD, Chat, a_book, labels


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> Chat:
    return Chat(database, now, a_book())


@pytest.fixture
async def lite(sqlite_database: db.Database, now: datetime) -> Chat:
    return Chat(sqlite_database, now, a_book())


def put_together(parts: list[messages.Message]) -> dict[str, object]:
    """The copy, as a reader puts it together from the marked lines of all messages in their order."""
    lines = [span.shown for part in parts for line in part.lines for span in line if span.style == "code"]
    read: dict[str, object] = json.loads("\n".join(lines))
    return read


async def gone(chat: Chat, person: str = "7") -> bool:
    async with chat.db.reading() as session:
        return await members.find(session, "telegram", person) is None


@pytest.mark.parametrize("limit", [rendering.TEXT, 1900])
async def test_x10_the_copy_comes_whole_however_it_is_cut(chat: Chat, limit: int) -> None:
    await chat.pays(cancels_at=chat.now + timedelta(days=9))
    name = 'Ann "Q" \\ Ä👩‍👩‍👧 \u2028x@y.example https://a.example'
    async with chat.db.transaction() as session:
        await session.execute(update(models.Identity).values(name=name))
        rows = {"kind": "notice", "priority": 1, "platform": "telegram", "address": "7", "not_before": chat.now}
        facts = {"name": "late_summary", "signals": [{"id": str(n), "symbol": "BTC/USDT"} for n in range(20)]}
        session.add_all(Delivery(**rows, created_at=chat.now, payload=facts) for _ in range(40))

    message = await chat.ask("/export", name=name)
    parts = messages.split(message, limit)
    found = put_together(parts)

    assert len(parts) > 3
    assert found["accounts"][0]["name"] == name  # type: ignore[index]
    assert len(found["notices"]) == 40  # type: ignore[arg-type]
    assert found["subscriptions"][0]["external_id"] == "sub_7_gold"  # type: ignore[index]
    assert "everything we keep about you" in message.plain
    assert labels(parts[-1]) == ["/delete"]


async def test_x10_deleting_asks_first_with_everything_it_means(lite: Chat) -> None:
    await lite.pays(cancels_at=lite.now + timedelta(days=9))

    message = await lite.ask("/delete")

    words = message.plain.replace("\u2060", "")
    assert "It concerns Ann (@ann) on Telegram." in words
    assert "You have paid until 24 Jan 2026, 12:00 UTC; the rest of that time is lost." in words
    assert "cannot undo" in words
    assert labels(message) == ["/delete yes", "/status"]
    assert not await gone(lite)


async def test_x10_a_gift_is_no_paid_time(lite: Chat) -> None:
    await lite.ask("/start")
    member = await lite.member()
    async with lite.db.transaction() as session:
        await grants.grant(session, member, GOLD, lite.book, until=None, by="cli", now=lite.now)

    assert "You have paid until" not in (await lite.ask("/delete")).plain


async def test_x10_who_is_charged_is_shown_how_to_cancel(chat: Chat) -> None:
    await chat.pays()

    for line in ("/delete", "/delete yes"):
        message = await chat.ask(line)
        assert "You still pay for Gold." in message.plain
        assert labels(message) == ["/cancel", "/billing"]
    assert not await gone(chat)


async def test_x10_a_payment_on_its_way_is_waited_for(lite: Chat) -> None:
    await lite.ask("/start")
    row = {"member_id": await lite.member(), "plan": "gold", "provider": "stripe", "state": "pending"}
    async with lite.db.transaction() as session:
        session.add(models.Checkout(**row, created_at=lite.now, expires_at=lite.now))

    assert "still on its way" in (await lite.ask("/delete yes")).plain
    assert not await gone(lite)


async def test_x10_a_yes_deletes_and_tells_the_other_accounts(chat: Chat) -> None:
    await chat.ask("/start")
    await chat.ask("/start", person="70", platform="discord")
    member = await chat.member()
    async with chat.db.transaction() as session:
        there = await members.find(session, "discord", "70")
        assert there is not None
        there.member_id = member

    message = await chat.ask("", data="/delete yes")

    assert "everything about you is deleted" in message.plain
    assert await gone(chat)
    async with chat.db.reading() as session:
        rows = (await session.scalars(select(Delivery).where(Delivery.kind == "reply"))).all()
        assert [(row.platform, row.address) for row in rows] == [("discord", "70")]
        assert await members.find(session, "discord", "70") is None
    assert "no subscription" in (await chat.ask("/status")).plain  # somebody new
    assert await chat.member() != member


async def test_x10_the_policy_names_both_ways(lite: Chat) -> None:
    message = await lite.ask("/privacy")

    assert "/export sends you a copy" in message.plain
    assert labels(message) == ["/export", "/delete"]
