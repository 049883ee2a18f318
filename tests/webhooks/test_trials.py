"""Days for free: once for each person, by their accounts and by their card, whatever they delete in between."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from core import members, models, rights
from core.billing import trials
from core.privacy import removal
from tests.webhooks import shop
from tests.webhooks.conftest import World
from tests.webhooks.test_checkout import unbroken
from webhooks import events

CARD, OTHER = "4242424242424242", "5555555555554444"
DAY = 86_400


@pytest.fixture
async def world(worlds: Any) -> World:
    opened: World = await worlds(book=shop.full)
    return opened


async def heard(world: World) -> None:
    """Every event was worked off, and nothing else was done."""
    await world.stripe.delivery.settled()
    while await events.work_off(world.here, world.here.providers[0]):
        pass


async def status(world: World, sub: str) -> str:
    return str(world.stripe.account.get("subscription", sub)["status"])


async def test_new_member_has_the_days_and_access_at_once(world: World) -> None:
    anna = await world.member()
    said = unbroken(await shop.page(world, anna))
    charged = world.now + timedelta(days=7)
    assert "7 days free" in said
    assert f"You are charged on {charged.day} {charged:%b %Y}, unless you cancel before." in said
    session = await shop.buy(world, anna)
    assert session["amount_total"] == 0
    sub = await shop.pay(world, session)
    assert await status(world, sub) == "trialing"
    assert await world.plans_of(anna) == {"pro"}
    assert (await world.row(anna)).snapshot["hold"] == ""


async def test_second_time_the_member_pays_from_the_first_day(world: World) -> None:
    anna = await world.member()
    sub = await shop.pay(world, await shop.buy(world, anna))
    world.stripe.cancel(sub, at_period_end=False)
    await world.settle()
    assert "days free" not in unbroken(await shop.page(world, anna))
    session = await shop.buy(world, anna)
    assert session["amount_total"] == 2900
    assert await status(world, await shop.pay(world, session)) == "active"


async def test_deleted_member_who_comes_back_gets_no_second_trial(world: World) -> None:
    anna = await world.member()
    sub = await shop.pay(world, await shop.buy(world, anna))
    world.stripe.cancel(sub, at_period_end=False)
    await world.settle()
    async with world.stack.db.transaction() as session:
        await removal.remove(session, anna, now=world.now)
    again = await world.member()
    assert again != anna
    assert "days free" not in unbroken(await shop.page(world, again))
    assert (await shop.buy(world, again))["amount_total"] == 2900


async def test_same_card_under_a_new_account_is_charged_at_once_and_opens_nothing_before(world: World) -> None:
    anna, eve = await world.member("Anna"), await world.member("Eve")
    await shop.pay(world, await shop.buy(world, anna), CARD)
    session = await shop.buy(world, eve)
    assert session["amount_total"] == 0  # nobody could know
    made = world.stripe.pay(session["id"], CARD)
    assert made is not None
    sub = made["id"]
    await heard(world)
    assert await world.plans_of(eve) == set()
    row = await world.row(eve)
    assert (row.snapshot["hold"], row.access_until) == (trials.USED, None)
    assert "trial_used" in await world.notices(eve)
    assert "access_started" not in await world.notices(eve)
    await world.settle()
    assert await status(world, sub) == "active"
    assert world.stripe.account.get("invoice", world.stripe.account.get("subscription", sub)["latest_invoice"])[
        "amount_paid"
    ] == 2900  # fmt: skip
    assert await world.plans_of(eve) == {"pro"}
    assert (await world.notices(eve)).count("trial_used") == 1
    assert await world.plans_of(anna) == {"pro"}


async def test_refused_charge_at_the_end_of_such_days_gives_no_grace(world: World) -> None:
    anna, eve = await world.member("Anna"), await world.member("Eve")
    card = "4000000000000341"  # accepted, and refused when it is charged
    await shop.pay(world, await shop.buy(world, anna), card)
    sub = await shop.pay(world, await shop.buy(world, eve), card)
    assert await status(world, sub) == "past_due"
    assert await world.plans_of(eve) == set()


async def test_another_card_is_another_person(world: World) -> None:
    anna, eve = await world.member("Anna"), await world.member("Eve")
    await shop.pay(world, await shop.buy(world, anna), CARD)
    sub = await shop.pay(world, await shop.buy(world, eve), OTHER)
    await world.settle()
    assert await status(world, sub) == "trialing"
    assert await world.plans_of(eve) == {"pro"}


async def test_account_that_was_linked_counts_too(world: World) -> None:
    anna = await world.member()
    async with world.stack.db.transaction() as session:
        other = await members.arrive(session, "discord", "77", address="77", name="Anna", username=None, now=world.now)
        other.member_id = anna
    await shop.pay(world, await shop.buy(world, anna))
    async with world.stack.db.transaction() as session:
        fresh = models.Member(created_at=world.now)
        session.add(fresh)
        await session.flush()
        found = await members.find(session, "discord", "77")
        assert found is not None
        found.member_id = fresh.id
        alone = fresh.id
    assert "days free" not in unbroken(await shop.page(world, alone))


async def test_days_that_the_operator_gives_at_stripe_are_not_ended(world: World) -> None:
    anna, eve = await world.member("Anna"), await world.member("Eve")
    await shop.pay(world, await shop.buy(world, anna), CARD)
    sub = await shop.pay(world, await shop.buy(world, eve, "team"), CARD)
    now, given = int(world.now.timestamp()), world.stripe.account.get("subscription", sub)
    with world.stripe.account.changing(given, "customer.subscription.updated"):
        given.update(status="trialing", trial_start=now, trial_end=now + 9 * DAY)
    await world.settle()
    assert (await world.row(eve)).status == "trialing"
    assert await status(world, sub) == "trialing"
    assert await world.plans_of(eve) == {"team"}


async def test_marks_say_nothing_and_are_in_no_copy(world: World) -> None:
    anna = await world.member("Anna")
    await shop.pay(world, await shop.buy(world, anna))
    async with world.stack.db.reading() as session:
        rows = (await session.scalars(select(models.Trial).order_by(models.Trial.kind))).all()
        kept = await session.scalars(select(models.Subscription.snapshot))
        assert all("fingerprint" not in snapshot for snapshot in kept)
    assert [row.kind for row in rows] == ["account", "card"]
    prints = {row["card"]["fingerprint"] for row in world.stripe.account.all("payment_method")}
    assert all(len(row.mark) == 64 and row.mark not in prints and "Anna" not in row.mark for row in rows)


@pytest.mark.parametrize("mine", [True, False])
async def test_two_readings_at_once_take_one_mark(both: World, mine: bool) -> None:
    """On both databases: whoever commits first has it, and the other one knows."""
    conf, anna = both.stack.settings, await both.member("Anna")
    plan = both.stack.catalogue.plans[0].model_copy(update={"trial_days": 7})
    async with both.stack.db.transaction() as session:
        assert await trials.days(session, conf, plan, anna) == 7
        mark = trials._mark(conf, trials.ACCOUNT, "telegram", "Anna" if mine else "Eve")
        session.add(models.Trial(kind="account", mark=mark, subscription="sub_1", at=both.now))
    async with both.stack.db.reading() as session:
        assert await trials.days(session, conf, plan, anna) == (0 if mine else 7)
        assert await rights.plans_of(session, anna, now=both.now) == set()
