"""Applying what the provider says to the rows, on both databases."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from core import catalogue, db, members, models
from core.billing import checkouts, subscriptions
from tests.core.billing.test_rule import DAY, END, READ, START, snapshot

PRO = catalogue.Plan(key="pro", name="Pro", price_id="price_1")
BASIC = catalogue.Plan(key="basic", name="Basic", price_id="price_2")
BOOK = catalogue.Catalogue(plans=(PRO, BASIC))


async def member(database: db.Database, name: str = "7") -> int:
    async with database.transaction() as session:
        who = await members.arrive(session, "telegram", name, address=name, name=name, username=None, now=READ)
        return who.member_id


async def apply(database: db.Database, book: catalogue.Catalogue = BOOK, **fields: Any) -> models.Subscription:
    async with database.transaction() as session:
        said = snapshot(**fields)
        return await subscriptions.apply(session, said, book, grace_days=3, now=said.read_at)


async def alarms(database: db.Database) -> set[str]:
    async with database.reading() as session:
        return set(await session.scalars(select(models.Alarm.key).where(models.Alarm.cleared_at.is_(None))))


async def test_row_says_what_the_provider_says(database: db.Database) -> None:
    anna = await member(database)
    row = await apply(database, member_id=anna)
    assert (row.member_id, row.plan, row.status, row.access_until) == (anna, "pro", "active", END + 3 * DAY)
    assert row.cancels_at is None
    later = await apply(database, member_id=anna, cancel_at_period_end=True, read_at=READ + DAY)
    assert later.id == row.id
    assert (later.cancels_at, later.access_until) == (END, END)
    over = await apply(database, status="canceled", read_at=READ + 2 * DAY)
    assert (over.member_id, over.access_until, over.cancels_at) == (anna, None, None)
    async with database.reading() as session:
        stored = await session.get(models.Subscription, row.id)
        assert stored is not None
        assert stored.snapshot["status"] == "canceled"
        assert stored.created_at == START


async def test_s11_unlinked_is_kept_and_linked_later_and_then_known_by_its_customer(database: db.Database) -> None:
    anna = await member(database)
    assert (await apply(database)).member_id is None
    async with database.transaction() as session:
        found = await subscriptions.unlinked(session, before=START + DAY, now=READ)
        assert [row.external_id for row in found] == ["sub_1"]
        assert await subscriptions.unlinked(session, before=START, now=READ) == []
    assert await alarms(database) == {"subscription_unlinked:sub_1"}
    assert (await apply(database, member_id=anna)).member_id == anna
    assert await alarms(database) == set()
    assert (await apply(database, external_id="sub_2", price_id="price_2")).member_id == anna
    async with database.reading() as session:
        assert await subscriptions.customer_of(session, anna, "stripe") == "cus_1"
        assert await subscriptions.customer_of(session, anna, "other") == ""


async def test_x02_stored_checkout_goes_before_metadata_and_a_link_once_made_stays(database: db.Database) -> None:
    anna, eve = await member(database, "1"), await member(database, "2")
    async with database.transaction() as session:
        row = await checkouts.reserve(session, anna, checkouts.Choice(PRO), provider="stripe", now=READ)
        await checkouts.opened(session, row.id, session_id="cs_1", url="u", expires_at=READ + DAY)
    assert (await apply(database, session_id="cs_1", member_id=eve)).member_id == anna
    assert (await apply(database, member_id=eve, read_at=READ + DAY)).member_id == anna


async def test_member_that_metadata_names_but_nobody_knows_links_nothing(database: db.Database) -> None:
    assert (await apply(database, member_id=999, session_id="cs_unknown")).member_id is None


async def test_customer_without_subscription_is_still_found(database: db.Database) -> None:
    anna = await member(database)
    async with database.transaction() as session:
        session.add(models.Customer(provider="stripe", external_id="cus_9", member_id=anna))
    async with database.reading() as session:
        assert await subscriptions.customer_of(session, anna, "stripe") == "cus_9"


async def test_price_of_no_plan_opens_nothing_and_is_an_alarm(database: db.Database) -> None:
    anna = await member(database)
    row = await apply(database, member_id=anna, price_id="price_x")
    assert (row.plan, row.access_until) == ("", None)
    assert await alarms(database) == {"price_unknown:price_x"}
    wider = catalogue.Catalogue(plans=(*BOOK.plans, catalogue.Plan(key="x", name="X", price_id="price_x")))
    assert (await apply(database, wider, price_id="price_x", read_at=READ + DAY)).access_until == END + 3 * DAY
    assert await alarms(database) == set()


async def test_unknown_price_of_a_subscription_that_is_over_is_no_alarm(database: db.Database) -> None:
    await apply(database, price_id="price_x", status="canceled")
    assert await alarms(database) == set()


async def test_price_that_the_catalogue_no_longer_names_keeps_the_plan_it_was_bought_as(database: db.Database) -> None:
    anna = await member(database)
    await apply(database, member_id=anna)
    raised = catalogue.Catalogue(plans=(PRO.model_copy(update={"price_id": "price_new"}), BASIC))
    assert (await apply(database, raised, read_at=READ + DAY)).plan == "pro"
    moved = await apply(database, raised, price_id="price_2", read_at=READ + 2 * DAY)
    assert moved.plan == "basic"
    lost = await apply(database, raised, price_id="price_1", read_at=READ + 3 * DAY)
    assert lost.plan == ""
    told = await apply(database, raised, price_id="price_1", plan="pro", read_at=READ + 4 * DAY)
    assert told.plan == "pro"


async def test_s09_reading_that_was_overtaken_is_refused_but_a_clock_that_was_set_is_not(database: db.Database) -> None:
    await apply(database, status="canceled", read_at=READ)
    with pytest.raises(subscriptions.StaleReadError):
        await apply(database, status="active", read_at=READ - timedelta(seconds=5))
    assert (await apply(database, status="canceled", read_at=READ - timedelta(hours=1))).read_at == READ - timedelta(
        hours=1
    )


async def test_s15_unpaid_period_whose_beginning_is_not_said_has_one_end_all_the_same(database: db.Database) -> None:
    first = await apply(database, status="past_due", period_start=None)
    second = await apply(database, status="past_due", period_start=None, read_at=READ + DAY)
    assert first.access_until == second.access_until == READ + 3 * DAY
    said = await apply(database, status="past_due", read_at=READ + 2 * DAY)
    assert said.access_until == START + 3 * DAY


async def test_s13_two_running_subscriptions_to_one_plan_are_an_alarm_until_one_ends(database: db.Database) -> None:
    anna = await member(database)
    await apply(database, member_id=anna)
    await apply(database, member_id=anna, external_id="sub_other_plan", price_id="price_2")
    assert await alarms(database) == set()
    await apply(database, member_id=anna, external_id="sub_2")
    assert await alarms(database) == {f"second_subscription:{anna}:pro"}
    async with database.reading() as session:
        rows = await subscriptions.running(session, anna, "pro")
    assert [row.external_id for row in rows] == ["sub_1", "sub_2"]
    await apply(database, external_id="sub_2", status="canceled", read_at=READ + DAY)
    assert await alarms(database) == set()


async def test_s06_the_same_reading_applied_at_once_makes_one_row(database: db.Database) -> None:
    anna = await member(database)
    rows = await asyncio.gather(*(apply(database, member_id=anna) for _ in range(8)))
    assert len({row.id for row in rows}) == 1


async def due(database: db.Database, now: datetime) -> list[str]:
    async with database.reading() as session:
        rows = await subscriptions.due(session, "stripe", now=now, unread_for=timedelta(hours=6), limit=10)
        return [row.external_id for row in rows]


async def test_due_are_those_near_their_end_and_those_long_unread(database: db.Database) -> None:
    await apply(database, external_id="sub_fresh")
    await apply(database, external_id="sub_ending", cancel_at=READ + timedelta(hours=1))
    await apply(database, external_id="sub_over", status="canceled")
    assert await due(database, READ + timedelta(minutes=9)) == []
    assert await due(database, READ + timedelta(minutes=11)) == ["sub_ending"]
    assert set(await due(database, READ + timedelta(hours=7))) == {"sub_fresh", "sub_ending"}
