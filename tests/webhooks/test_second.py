"""Two running subscriptions of one member to one plan: found, told, and put right."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import select, update

from core import catalogue, models
from tests.proofs import entitlement_acts
from tests.webhooks.conftest import World, open_world
from webhooks import events, payments

DAY = 86_400


async def twice(world: World, member_id: int, *, card: str = "4242424242424242") -> tuple[str, str]:
    """Both subscriptions of a member whose first checkout page was lost before it was stored; nothing is told yet."""
    first = world.stripe.pay(await world.checkout(member_id))
    async with world.stack.db.transaction() as session:
        await session.execute(update(models.Checkout).values(state="expired"))
    await world.stripe.advance(10)
    second = world.stripe.pay(await world.checkout(member_id), card)
    assert first is not None
    assert second is not None
    return first["id"], second["id"]


def refunds(world: World) -> list[tuple[str, int]]:
    return [(row["reason"], row["amount"]) for row in world.stripe.account.all("refund")]


async def test_s13_second_paid_subscription_is_cancelled_and_its_payment_given_back(both: World) -> None:
    anna = await both.member()
    first, second = await twice(both, anna)
    await both.settle()
    assert both.stripe.subscription(first)["status"] == "active"
    assert both.stripe.subscription(second)["status"] == "canceled"
    assert refunds(both) == [("duplicate", 2900)]
    await both.settle()
    assert await both.plans_of(anna) == {"signals"}
    assert await both.alarms() == set()
    told = [name for name in await both.notices(anna) if name != "access_started"]
    assert told == ["second_returning", "second_returned"]


async def test_s13_of_three_subscriptions_the_oldest_is_left(world: World) -> None:
    anna = await world.member()
    first, second = await twice(world, anna)
    async with world.stack.db.transaction() as session:
        await session.execute(update(models.Checkout).values(state="expired"))
    await world.stripe.advance(10)
    third = world.stripe.pay(await world.checkout(anna))
    assert third is not None
    await world.settle()
    states = [world.stripe.subscription(one)["status"] for one in (first, second, third["id"])]
    assert states == ["active", "canceled", "canceled"]
    assert refunds(world) == [("duplicate", 2900)] * 2
    assert await world.alarms() == set()


async def test_s13_readings_of_both_at_the_same_moment_never_wait_for_each_other_for_ever(both: World) -> None:
    anna = await both.member()
    found = await twice(both, anna)
    await both.settle()
    (provider,) = both.here.providers

    async def read(subscription: str) -> None:
        reading = await events.read(both.here, provider, payments.Subject(subscription=subscription))
        async with both.stack.db.transaction() as session:
            await events.take(session, both.here, reading)

    for _ in range(10):
        await asyncio.gather(*map(read, found))
    assert await both.plans_of(anna) == {"signals"}


async def test_s13_nothing_is_given_back_twice_however_often_it_is_told(world: World) -> None:
    anna = await world.member()
    await twice(world, anna)
    world.stripe.delivery.mode = "duplicate"
    await world.settle()
    for event in list(world.stripe.events):
        await world.stripe.delivery.resend(event["id"])
    await world.settle()
    assert refunds(world) == [("duplicate", 2900)]
    assert (await world.notices(anna)).count("second_returned") == 1


@asynccontextmanager
async def open_changing(database: Any, make_stack: Any, now: Any, other: str = "") -> AsyncIterator[tuple[World, str]]:
    """A world whose only plan is sold monthly and yearly; with the yearly price."""
    yearly = ""

    def book(stripe: Any) -> catalogue.Catalogue:
        nonlocal yearly
        monthly = next(iter(stripe.account.tables["price"].values()))["id"]
        yearly = stripe.add_price(29_000, "usd", "year", name="Signals")["id"]
        prices = {"signals": ({"id": monthly, "period": "month"},)}
        prices[other or "signals"] = (*prices.get(other or "signals", ()), {"id": yearly, "period": "year"})
        plans = [catalogue.Plan(key=key, name=key.title(), prices=given) for key, given in prices.items()]
        return catalogue.Catalogue(plans=tuple(plans))

    async with open_world(database, make_stack, now, book=book) as world:
        yield world, yearly


async def test_s13_all_that_was_paid_for_the_second_one_goes_back_if_it_was_changed_on_its_first_day(
    sqlite_database: Any, make_stack: Any, now: Any
) -> None:
    async with open_changing(sqlite_database, make_stack, now) as (world, yearly):
        anna = await world.member()
        first, second = await twice(world, anna)
        await world.stripe.advance(3600)
        entitlement_acts.change(world.stripe, world.stripe.subscription(second), yearly, 1)
        await world.settle()
        assert world.stripe.subscription(first)["status"] == "active"
        assert world.stripe.subscription(second)["status"] == "canceled"
        charges = [row for row in world.stripe.account.all("charge") if row["paid"]]
        assert len(charges) == 3
        assert [row["refunded"] for row in charges] == [True, True, False]
        assert await world.alarms() == set()


@pytest.mark.parametrize("way", ["over", "another plan"])
async def test_s13_the_second_goes_back_when_a_third_that_stood_in_the_way_is_gone(
    sqlite_database: Any, make_stack: Any, now: Any, way: str
) -> None:
    async with open_changing(sqlite_database, make_stack, now, "pro") as (world, pro):
        anna = await world.member()
        first, second = await twice(world, anna, card="sepa")
        await world.stripe.advance(10)
        async with world.stack.db.transaction() as session:
            await session.execute(update(models.Checkout).values(state="expired"))
        third = (world.stripe.pay(await world.checkout(anna)) or {})["id"]
        world.stripe.cancel(third)
        await world.settle()
        await world.stripe.advance(4 * DAY)
        await world.settle()
        assert refunds(world) == []  # the newest ends by itself, so all are left to people
        if way == "over":
            world.stripe.cancel(third, at_period_end=False)
        else:
            entitlement_acts.change(world.stripe, world.stripe.subscription(third), pro, 1)
        await world.settle()
        states = [world.stripe.subscription(one)["status"] for one in (first, second)]
        assert states == ["active", "canceled"]
        assert refunds(world) == [("duplicate", 2900)]
        assert await world.alarms() == set()
        told = [name for name in await world.notices(anna) if name.startswith("second")]
        assert told == ["second_subscription", "second_subscription", "second_returned"]


async def test_s13_a_debit_that_arrives_when_the_second_one_is_over_goes_back_too(
    sqlite_database: Any, make_stack: Any, now: Any
) -> None:
    async with open_changing(sqlite_database, make_stack, now) as (world, yearly):
        anna = await world.member()
        _, second = await twice(world, anna, card="sepa")
        entitlement_acts.change(world.stripe, world.stripe.subscription(second), yearly, 1)
        await world.settle()
        assert world.stripe.subscription(second)["status"] == "canceled"
        assert [reason for reason, _ in refunds(world)] == ["duplicate"]  # of the change; the debit is on its way
        await world.stripe.advance(4 * DAY)
        await world.settle()
        assert world.stripe.subscription(second)["status"] == "canceled"
        assert [reason for reason, _ in refunds(world)] == ["duplicate"] * 2
        assert 2900 in [amount for _, amount in refunds(world)]
        assert await world.plans_of(anna) == {"signals"}
        assert await world.alarms() == set()


async def test_s13_where_the_policy_says_so_both_are_left_to_people(
    sqlite_database: Any, make_stack: Any, now: Any
) -> None:
    def book(stripe: Any) -> catalogue.Catalogue:
        price = next(iter(stripe.account.tables["price"].values()))
        policy = catalogue.Policy(second_subscription="tell")
        plan = catalogue.Plan(key="signals", name="Signals", price_id=price["id"])
        return catalogue.Catalogue(plans=(plan,), policy=policy)

    async with open_world(sqlite_database, make_stack, now, book=book) as world:
        anna = await world.member()
        _, second = await twice(world, anna)
        await world.settle()
        assert world.stripe.subscription(second)["status"] == "active"
        assert refunds(world) == []
        assert f"second_subscription:{anna}:signals" in await world.alarms()
        assert (await world.notices(anna)).count("second_subscription") == 1


async def test_s13_second_subscription_that_is_old_is_told_and_left_to_people(world: World) -> None:
    anna = await world.member()
    world.stripe.delivery.mode = "drop"
    first, second = await twice(world, anna)
    await world.stripe.advance(40 * DAY)
    world.stripe.delivery.mode = "normal"
    for sub in (first, second):
        world.stripe.account.emit("customer.subscription.updated", dict(world.stripe.subscription(sub)))
    await world.settle()
    assert world.stripe.subscription(second)["status"] == "active"
    assert refunds(world) == []
    assert f"second_subscription:{anna}:signals" in await world.alarms()
    assert (await world.notices(anna)).count("second_subscription") == 1
    world.stripe.cancel(second, at_period_end=False)
    await world.settle()
    assert await world.alarms() == set()
    assert await world.plans_of(anna) == {"signals"}


async def test_s13_newer_one_stays_when_the_older_one_does_not_go_on(world: World) -> None:
    anna = await world.member()
    first, second = await twice(world, anna)
    world.stripe.cancel(first)
    await world.settle()
    assert world.stripe.subscription(second)["status"] == "active"
    assert refunds(world) == []
    assert "second_subscription" in await world.notices(anna)


async def test_s13_second_one_whose_money_is_on_its_way_is_left_to_people(world: World) -> None:
    anna = await world.member()
    _, second = await twice(world, anna, card="sepa")
    await world.settle()
    assert world.stripe.subscription(second)["status"] == "active"
    async with world.stack.db.reading() as session:
        assert (await session.scalars(select(models.Errand))).all() == []
    assert await world.plans_of(anna) == {"signals"}
