"""/why explains a decision by the rule that made it, with the facts it rests on and what comes next."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from core import catalogue, db, inbox, members, models
from core.billing import errands, subscriptions
from tests.bot.desk import BTC_ONLY, GOLD, Chat, a_book
from tests.core.billing.test_rule import END, READ, START, snapshot


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> Chat:
    return Chat(database, now, a_book(GOLD, BTC_ONLY), admins="telegram:1")


@pytest.fixture
async def lite(sqlite_database: db.Database, now: datetime) -> Chat:
    return Chat(sqlite_database, now, a_book(GOLD, BTC_ONLY), admins="telegram:1")


async def applied(chat: Chat, *, book: catalogue.Catalogue | None = None, **said: Any) -> int:
    """The provider has said this of a member's subscription; gives its number."""
    await chat.replies("/start", person="7")
    given = {"member_id": await chat.member("7"), "amount": 2900, "currency": "usd", "interval": "month"}
    async with chat.db.transaction() as session:
        row = await subscriptions.apply(
            session, snapshot(**(given | said)), book or chat.book, grace_days=3, now=chat.now
        )
        return row.id


async def why(chat: Chat) -> str:
    return await chat.said("/why 7", person="1")


@pytest.mark.parametrize(
    ("said", "gives", "because"),
    [
        ({}, "gives access until 4 Feb 2026, 00:00 UTC", "it is paid; the days of grace are added"),
        ({"status": "trialing"}, "gives access until 4 Feb 2026", "free days; the days of grace"),
        ({"cancel_at_period_end": True}, "gives access until 1 Feb 2026", "access ends exactly then"),
        ({"period_end": None, "read_at": READ}, "gives access until 18 Jan 2026", "was not said, so it counts"),
        ({"status": "past_due", "period_start": READ}, "gives access until 18 Jan 2026", "the last payment failed"),
        ({"collection_paused": True}, "gives no access", "collecting payments is paused"),
        ({"hold": "pending"}, "gives no access", "the first payment is on its way"),
        ({"hold": "refunded"}, "gives no access", "the latest payment was refunded"),
        ({"hold": "disputed"}, "gives no access", "the latest payment is disputed"),
        ({"hold": "trial_used"}, "gives no access", "free days were had before"),
        ({"status": "unpaid"}, "gives no access", "the status is unpaid"),
        ({"status": "brand_new"}, "gives no access", "the status is brand_new"),
        ({"price_id": "price_9"}, "gives no access", "its price belongs to no plan"),
    ],
)
async def test_every_row_of_the_rule_is_explained(lite: Chat, said: dict[str, Any], gives: str, because: str) -> None:
    await applied(lite, **said)
    words = await why(lite)
    assert gives in words
    assert because in words
    assert "by today's settings" not in words


async def test_what_the_provider_said_and_what_comes_next(lite: Chat) -> None:
    await applied(lite, card="Visa 4242", card_expires="2027-03", claims=("pi_1",))
    words = await why(lite)
    assert "Stripe said on 15 Jan 2026, 00:00 UTC: active, 29.00 USD / month, " in words
    assert "period 1 Jan 2026 – 1 Feb 2026, 00:00 UTC, Visa 4242 good until 2027-03, 1 payment ever taken" in words
    assert "Next: charged on 1 Feb 2026, 00:00 UTC; asked again by 15 Jan 2026, 06:00 UTC at the latest" in words
    assert "that is overdue" in words  # it is noon
    assert "No event of a payment provider waits." in words


async def test_a_setting_that_changed_since_is_said(lite: Chat) -> None:
    await applied(lite)
    lite.settings = lite.settings.model_copy(update={"grace_days": 10})
    assert "by today's settings it would be until 11 Feb 2026" in await why(lite)


async def test_seats_partner_errands_and_waiting_events_are_named(chat: Chat) -> None:
    number = await applied(chat, quantity=5)
    member = await chat.member("7")
    async with chat.db.transaction() as session:
        partner = models.Partner(code="ANN", name="Ann's desk", created_by="telegram:1", created_at=START)
        session.add(partner)
        await session.flush()
        (await session.get_one(models.Member, member)).partner_id = partner.id
        friend = await members.arrive(session, "telegram", "8", address="8", name="B", username=None, now=START)
        seat = {"plan": "gold", "until": END, "granted_by": "telegram:7", "created_at": START, "source": "seat"}
        session.add(models.Grant(member_id=friend.member_id, subscription_id=number, seat=2, **seat))
        why_not = "a second subscription to the same plan"
        await errands.ask(session, "stripe", "cancel", "sub_2", why=why_not, now=chat.now, member_id=member)
        await inbox.put(session, "stripe", "evt_1", "x", b"{}", now=chat.now - timedelta(minutes=5))

    words = await why(chat)

    assert "Seats: 5 paid for, 1 given away." in words
    assert "Came by the partner Ann's desk (ANN)." in words
    assert "Stripe is to cancel sub_2 (a second subscription to the same plan), asked on 15 Jan 2026" in words
    assert "Events of payment providers that wait: 1, the oldest for 5 min." in words
    theirs = await chat.said("/why 8", person="1")
    assert "Gold as seat 2 given by telegram:7 on 1 Jan 2026, paid by member 1 with sub_1 (active)" in theirs
