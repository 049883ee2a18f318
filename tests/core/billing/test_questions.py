"""Questions before a payment: wanted from the member who asked, at the price of now, while nothing else runs."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, db, members, models, sold
from core.billing import checkouts, plans, questions, subscriptions
from tests.core import people

PLAN = catalogue.Plan(key="signals", name="Signals", prices=(sold.Price(id="pay:signals:500"),))
ASKED = questions.Question("1", "order-1", "telegram", "7001", 500, "XTR")


async def ann(session: AsyncSession, now: datetime, external_id: str = "7001") -> int:
    who = await members.arrive(
        session, "telegram", external_id, address=external_id, name="Ann", username=None, now=now
    )
    return who.member_id


async def offered(session: AsyncSession, now: datetime, **wanted: Any) -> int:
    """The member who may pay 500 for the session "order-1"."""
    member = await ann(session, now)
    priced = plans.Priced("signals", "pay:signals:500", 500, "XTR", "day", 30)
    await plans.keep(session, "pay", [priced], now=now)
    choice = checkouts.Choice(PLAN, "pay:signals:500", **wanted)
    row = await checkouts.reserve(session, member, choice, provider="pay", now=now)
    await checkouts.opened(session, row.id, session_id="order-1", url="x", expires_at=now + timedelta(hours=1))
    return member


async def refused(database: db.Database, now: datetime, asked: questions.Question = ASKED, name: str = "pay") -> str:
    async with database.transaction() as session:
        return await questions.refusal(session, name, asked, now=now)


async def test_the_member_who_asked_may_pay_what_it_costs(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await offered(session, now)
    assert await refused(database, now) == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"session": "order-2"}, questions.UNKNOWN),
        ({"account": "7002"}, questions.ANOTHERS),
        ({"account": "666"}, questions.ANOTHERS),
        ({"platform": "discord"}, questions.ANOTHERS),
        ({"amount": 1}, questions.CHANGED),
        ({"currency": "USD"}, questions.CHANGED),
    ],
)
async def test_x02_any_other_payment_is_not_wanted(
    database: db.Database, now: datetime, changes: dict[str, Any], why: str
) -> None:
    async with database.transaction() as session:
        await offered(session, now)
        await ann(session, now, "7002")
    assert await refused(database, now, replace(ASKED, **changes)) == why
    assert await refused(database, now, name="another") == questions.UNKNOWN


async def test_the_other_account_of_the_same_member_may_pay(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        member = await offered(session, now)
        session.add(
            models.Identity(
                member_id=member, platform="discord", external_id="9", address="9", name="Ann", created_at=now
            )
        )
    asked = questions.Question("1", "order-1", "discord", "9", 500, "XTR")
    assert await refused(database, now, asked) == ""


async def test_s13_while_it_is_being_paid_nobody_else_gets_a_yes(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await offered(session, now)
    again = replace(ASKED, id="2")
    answers = await asyncio.gather(refused(database, now), refused(database, now, again))
    assert sorted(answers) == ["", questions.BUSY]
    asked = ASKED if answers[0] == "" else again
    assert await refused(database, now, asked) == ""  # the same question, because its answer was lost
    assert await refused(database, now + timedelta(minutes=1), replace(ASKED, id="3")) == ""


async def test_an_offer_that_has_run_out_is_not_paid(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await offered(session, now)
    assert await refused(database, now + timedelta(hours=2)) == questions.OVER


async def test_s13_who_has_the_plan_already_does_not_pay_again(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        member = await offered(session, now)
        await people.subscription(session, member, now + timedelta(days=3), plan="signals")
    assert await refused(database, now) == questions.RUNNING


async def test_a_renewal_that_failed_can_be_paid_at_the_same_provider(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        member = await offered(session, now)
        unpaid = {"plan": "signals", "status": "past_due"}
        row = await people.subscription(session, member, now + timedelta(days=3), **unpaid, provider="pay")
        await checkouts.closed(session, "order-1", state="paid")
    assert await refused(database, now) == ""
    async with database.transaction() as session:
        (await session.get_one(models.Subscription, row.id)).provider = "another"
    assert await refused(database, now) == questions.RUNNING


async def test_a_gift_of_it_can_be_bought_all_the_same(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        member = await offered(session, now, gift=True)
        await people.subscription(session, member, now + timedelta(days=3), plan="signals")
    assert await refused(database, now) == ""
    async with database.transaction() as session:
        await checkouts.closed(session, "order-1", state="paid")
    assert await refused(database, now) == questions.OVER


async def test_what_was_paid_can_be_begun_again_once_it_is_over(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        member = await offered(session, now)
        await people.subscription(session, member, now + timedelta(days=3), plan="signals")
        await checkouts.closed(session, "order-1", state="paid")
    assert await refused(database, now) == questions.RUNNING
    async with database.transaction() as session:
        [row] = await subscriptions.of_member(session, member)
        row.status = "canceled"
    assert await refused(database, now) == ""
