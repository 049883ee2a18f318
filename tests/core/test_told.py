"""What a member is told of a subscription: each change once, however often and by however many it is looked at."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from core import access, db, models
from core.models import Delivery, Subscription
from tests.core import people

DAY = timedelta(days=1)


async def member(database: db.Database, now: datetime) -> int:
    async with database.transaction() as session:
        return (await people.person(session, now)).member_id


async def look(database: db.Database, member_id: int, now: datetime, **change: Any) -> None:
    """The subscription has changed, and was looked at three times."""
    if change:
        async with database.transaction() as session:
            await session.execute(update(Subscription).where(Subscription.member_id == member_id).values(**change))
    for _ in range(3):
        async with database.transaction() as session:
            await access.reconcile(session, member_id, people.BOOK, now=now)


async def test_each_change_of_a_subscription_is_told_once(database: db.Database, now: datetime) -> None:
    who = await member(database, now)
    async with database.transaction() as session:
        await people.subscription(session, who, None, status="incomplete")
    end = now + 30 * DAY
    story: list[tuple[datetime, dict[str, Any], str]] = [
        (now, {}, ""),
        (now, {"status": "active", "access_until": end}, "access_started"),
        (now + DAY, {"access_until": end + DAY}, ""),
        (now + 2 * DAY, {"cancels_at": end}, "cancel_planned"),
        (now + 3 * DAY, {"cancels_at": None}, "cancel_undone"),
        (now + 4 * DAY, {"status": "past_due"}, "payment_failed"),
        (now + 5 * DAY, {"status": "active"}, ""),
        (now + 6 * DAY, {"status": "past_due"}, "payment_failed"),
        (now + 7 * DAY, {"cancels_at": end}, "cancel_planned"),
        (now + 8 * DAY, {"cancels_at": None}, "payment_failed"),
        (now + 9 * DAY, {"status": "active"}, ""),
        (end + DAY, {}, "access_ended"),  # by the clock alone
        (end + 2 * DAY, {"access_until": end + 40 * DAY}, "access_started"),
        (end + 3 * DAY, {"access_until": None, "status": "canceled"}, "access_ended"),
        (end + 4 * DAY, {"access_until": end + 50 * DAY, "cancels_at": end + 50 * DAY}, "access_started"),
        (end + 5 * DAY, {"cancels_at": None, "status": "past_due"}, "payment_failed"),
        (end + 6 * DAY, {"access_until": None, "status": "canceled"}, "access_ended_unpaid"),
        (end + 7 * DAY, {"access_until": end + 60 * DAY, "status": "active"}, "access_started"),
        (end + 8 * DAY, {"status": "past_due", "snapshot": {"action_required": True}}, "payment_action"),
    ]
    told: list[str] = []
    for at, change, expected in story:
        await look(database, who, at, **change)
        told += [expected] if expected else []
        names = await people.notices(database, who)
        assert names == told


@pytest.mark.parametrize(
    ("values", "renews"), [({}, True), ({"cancels_at": datetime.fromisoformat("2026-02-01T00:00:00+00:00")}, False)]
)
async def test_a_notice_says_plan_end_and_renewal(
    database: db.Database, now: datetime, values: dict[str, Any], renews: bool
) -> None:
    who = await member(database, now)
    async with database.transaction() as session:
        await people.subscription(session, who, now + 30 * DAY, plan="bitcoin", **values)
        await access.reconcile(session, who, people.BOOK, now=now)
    [row] = await people.deliveries(database)
    until = values.get("cancels_at", now + 30 * DAY).isoformat()
    assert row.payload == {"name": "access_started", "plan": "Bitcoin only", "until": until, "renews": renews}


async def test_free_days_that_begin_are_no_payment(database: db.Database, now: datetime) -> None:
    who = await member(database, now)
    async with database.transaction() as session:
        priced = {"amount": 2900, "currency": "USD", "interval": "month"}
        await people.subscription(session, who, now + 7 * DAY, status="trialing", **priced)
        await access.reconcile(session, who, people.BOOK, now=now)
    [row] = await people.deliveries(database)
    assert row.payload is not None
    assert (row.payload["name"], row.payload["trial"], row.payload["amount"]) == ("access_started", True, "29.00 USD")


async def test_an_end_is_not_told_while_the_plan_stays_open_otherwise(database: db.Database, now: datetime) -> None:
    who = await member(database, now)
    async with database.transaction() as session:
        first = await people.subscription(session, who, now + DAY)
        await people.subscription(session, who, now + 9 * DAY)
        other = await people.subscription(session, who, now + DAY, plan="retired plan")
        await access.reconcile(session, who, people.BOOK, now=now)
    assert await people.notices(database, who) == ["access_started"] * 3
    at = now + 2 * DAY
    await look(database, who, at)
    [*_, last] = await people.deliveries(database, Delivery.kind == "notice")
    assert last.payload == {
        "name": "access_ended",
        "plan": "retired plan",
        "until": (now + DAY).isoformat(),
        "renews": True,
    }
    async with database.reading() as session:
        told = {row.id: row.told for row in await session.scalars(select(Subscription))}
    assert (told[first.id], told[other.id]) == ("off", "off")
    assert len(await people.notices(database, who)) == 4


async def test_nobody_is_told_of_a_subscription_without_a_member(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        orphan = await people.subscription(session, None, now + DAY)
        await access._tell(session, orphan, "on", set(), people.BOOK, now)
    assert await people.deliveries(database) == []


async def test_two_processes_at_once_tell_it_once(database: db.Database, now: datetime) -> None:
    who = await member(database, now)
    async with database.transaction() as session:
        await people.subscription(session, who, now + DAY)
        await people.signal(session, now)

    async def one(delay: int) -> None:
        async with database.transaction() as session:
            at = now + timedelta(seconds=delay)
            await access.reconcile(session, who, people.BOOK, now=at)

    await asyncio.gather(*(one(delay) for delay in range(8)))
    assert await people.notices(database, who) == ["access_started"]
    assert len(await people.deliveries(database, Delivery.kind == "opening")) == 1


async def test_what_a_session_read_before_another_process_told_is_not_told_again(
    postgres_database: db.Database, now: datetime
) -> None:
    who = await member(postgres_database, now)
    async with postgres_database.transaction() as session:
        await people.subscription(session, who, now + DAY)
    async with postgres_database.transaction() as early:
        [read] = (await early.scalars(select(Subscription))).all()
        await look(postgres_database, who, now)
        assert read.told == ""
        await access.reconcile(early, who, people.BOOK, now=now + timedelta(seconds=1))
        assert read.told == "on"
    assert await people.notices(postgres_database, who) == ["access_started"]


async def test_members_whose_access_ended_by_the_clock_are_found_until_they_are_told(
    database: db.Database, now: datetime
) -> None:
    async with database.transaction() as session:
        ids = []
        for told in ("on", "ending", "grace", "off", ""):
            ids.append((await people.person(session, now)).member_id)
            await people.subscription(session, ids[-1], now, told=told)
        lost = (await people.person(session, now)).member_id
        await people.subscription(session, lost, None, told="on")
        await people.subscription(session, lost, None, told="on")
        await people.subscription(session, None, now, told="on")
        paying = await people.payer(session, now)
        await session.execute(update(Subscription).where(Subscription.member_id == paying.member_id).values(told="on"))
        found = await access.lapsed(session, now=now)
        assert sorted(found) == sorted([*ids[:3], lost])
        assert len(await access.lapsed(session, now=now, limit=2)) == 2
        for number in found:
            await access.reconcile(session, number, people.BOOK, now=now)
        assert await access.lapsed(session, now=now) == []
        assert await session.scalar(select(func.count()).select_from(models.Delivery)) == 5
