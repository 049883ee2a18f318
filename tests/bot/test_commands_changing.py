"""The ways to change a plan, and /fix, which has the payment provider asked."""

from datetime import datetime, timedelta

import orjson
import pytest
from sqlalchemy import select

from core import db, models
from core.billing import links, looks
from tests.bot.desk import BTC_ONLY, GOLD, Chat, a_book, labels

STANDS = {"snapshot": {"item_id": "si_1", "price_id": "price_1"}, "currency": "USD", "amount": 2900}


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> Chat:
    return Chat(database, now, a_book(GOLD, BTC_ONLY))


async def pages(chat: Chat, command: str) -> list[str]:
    """The plans whose change the buttons lead to."""
    found = [one for one in labels(await chat.ask(command)) if "/change/" in one]
    tickets = [links.read(chat.settings, links.CHANGE, one.rsplit("/", 1)[-1], now=chat.now) for one in found]
    assert {ticket.member_id for ticket in tickets} <= {await chat.member()}
    return [ticket.plan for ticket in tickets]


async def test_plans_and_billing_lead_to_the_change_of_what_is_paid(chat: Chat) -> None:
    await chat.priced()
    await chat.pays(**STANDS)
    assert await pages(chat, "/plans") == ["gold"]
    assert await pages(chat, "/billing") == ["gold"]
    assert "page of ours, which says what it costs before" in await chat.said("/billing")


@pytest.mark.parametrize(
    "why_not", [{"status": "past_due"}, {"currency": "EUR"}, {"snapshot": {}}, {"status": "canceled"}, {"cancels": 1}]
)
async def test_no_way_is_shown_where_nothing_can_be_changed(chat: Chat, why_not: dict[str, object]) -> None:
    await chat.priced()
    if "cancels" in why_not:
        why_not = {"cancels_at": chat.now + timedelta(days=2)}
    await chat.pays(**{**STANDS, **why_not})
    assert await pages(chat, "/plans") == []
    assert await pages(chat, "/billing") == []


async def test_fix_has_every_provider_asked_once_a_minute_about_what_is_known(chat: Chat) -> None:
    await chat.pays()
    await chat.pays(plan="btc", provider="stars", external_id="charge_1")
    async with chat.db.transaction() as session:
        begun = {"member_id": await chat_member(chat), "plan": "gold", "state": "open", "created_at": chat.now}
        session.add(
            models.Checkout(**begun, provider="stripe", session_id="cs_1", expires_at=chat.now + timedelta(days=1))
        )
    assert "We are asking our payment provider" in await chat.said("/fix")
    assert "less than a minute ago" in await chat.said("/fix")
    chat.now += timedelta(minutes=1)
    assert "We are asking our payment provider" in await chat.said("/fix")

    async with chat.db.reading() as session:
        rows = (await session.scalars(select(models.Inbox).order_by(models.Inbox.id))).all()
    assert [row.source for row in rows] == ["look.stars", "look.stripe"] * 2
    assert [row.kind for row in rows] == ["look"] * 4
    assert looks.opened(rows[1].body or b"").subscriptions == ("sub_7_gold",)
    assert looks.opened(rows[1].body or b"").sessions == ("cs_1",)
    assert orjson.loads(rows[0].body or b"")["subscriptions"] == ["charge_1"]


async def chat_member(chat: Chat) -> int:
    async with chat.db.reading() as session:
        found = await session.scalars(select(models.Identity.member_id))
        return found.first() or 0


async def test_fix_asks_nobody_where_no_payment_is_known(chat: Chat) -> None:
    assert "nobody to ask" in await chat.said("/fix")
    async with chat.db.reading() as session:
        assert (await session.scalars(select(models.Inbox))).all() == []
