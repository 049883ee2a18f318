"""The reconcile pass: whatever was lost, access is right again; and what looks like a mistake waits for a person."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core import models
from tests.webhooks.conftest import World
from webhooks import reconcile

DAY = 86_400
TEN = 601


@pytest.fixture
async def comparing(both: World) -> AsyncIterator[reconcile.Reconcile]:
    made = reconcile.Reconcile(both.here, both.here.providers[0], pause=0)
    yield made
    await made.stop()


def of(world: World) -> reconcile.Reconcile:
    return reconcile.Reconcile(world.here, world.here.providers[0], pause=0)


async def people(world: World, number: int) -> dict[int, str]:
    """So many members who pay, and their subscriptions, as one pass finds them."""
    found = {}
    price = next(iter(world.stripe.account.tables["price"].values()))
    for one in range(number):
        member = await world.member(f"m{one}")
        made = world.stripe.add_subscription(price, metadata={"signalstack_member": str(member)}, member=member)
        found[member] = made["id"]
    return found


async def rounds(world: World) -> list[models.Round]:
    async with world.stack.db.reading() as session:
        return list(await session.scalars(select(models.Round).order_by(models.Round.id)))


async def paying(world: World, members: Any) -> int:
    return sum([await world.plans_of(member) == {"signals"} for member in members])


async def passed(world: World, comparing: reconcile.Reconcile, seconds: int = TEN) -> models.Round:
    """The account of the pass that is due after so long."""
    await world.stripe.advance(seconds)
    await comparing.step()
    await world.settle()
    return (await rounds(world))[-1]


async def release(world: World) -> None:
    async with world.stack.db.transaction() as session:
        await session.execute(update(models.Round).values(released_by="telegram:1"))


async def test_s21_everything_is_found_although_no_endpoint_was_ever_registered(
    both: World, comparing: reconcile.Reconcile
) -> None:
    both.stripe.webhook_url = None
    anna, bert, cleo = [await both.member(name) for name in ("Anna", "Bert", "Cleo")]
    subs = [both.stripe.pay(await both.checkout(member)) for member in (anna, bert)]
    await comparing.step()
    assert await paying(both, (anna, bert)) == 2
    both.stripe.cancel(subs[0]["id"], at_period_end=False)  # type: ignore[index]
    both.stripe.refund(subs[1]["id"])  # type: ignore[index]
    both.stripe.pay(await both.checkout(cleo))
    await passed(both, comparing)
    assert [await both.plans_of(member) for member in (anna, bert, cleo)] == [set(), set(), {"signals"}]
    assert await both.notices(cleo) == ["access_started"]
    assert {row.state for row in await both.inbox()} == {"done"}


async def test_lists_alone_tell_what_is_new_and_that_nothing_differs(world: World) -> None:
    comparing = of(world)
    members = await people(world, 230)
    first = await passed(world, comparing)
    told = first.facts["subscriptions"]
    assert (told["listed"], told.get("read", 0), told["changed"], told["held"], told["gone"]) == (230, 0, 230, 0, 0)
    assert await paying(world, members) == 230
    before = len(world.stripe.account.history.of("stripe_request"))
    await passed(world, comparing)
    asked = [row["path"] for row in world.stripe.account.history.of("stripe_request")[before:]]
    assert set(asked) == {f"/v1/{name}" for name in ("events", "refunds", "disputes", "subscriptions")}
    assert asked.count("/v1/subscriptions") == 3


async def test_pass_is_made_every_ten_minutes_by_one_process(world: World) -> None:
    one, other = of(world), of(world)
    await one.step()
    await one.step()
    assert len(await rounds(world)) == 1
    async with world.stack.db.transaction() as session:
        await session.execute(update(models.Lease).values(holder="another"))
    await passed(world, other, 100)
    assert len(await rounds(world)) == 1
    await world.stripe.advance(TEN)
    await other.step()
    assert len(await rounds(world)) == 2


async def test_s22_pass_that_breaks_off_writes_nothing_down_and_starts_over(world: World) -> None:
    comparing = of(world)
    members = await people(world, 3)
    world.stripe.fault("503", path="/v1/subscriptions.*", count=None)
    with pytest.raises(Exception, match="problem of its own"):
        await comparing.step()
    assert await rounds(world) == []
    await world.stripe.calm()
    await comparing.step()
    assert await paying(world, members) == 3


async def test_more_than_a_few_ends_at_once_are_held_back_until_they_are_released(
    both: World, comparing: reconcile.Reconcile
) -> None:
    both.stripe.webhook_url = None
    members = await people(both, 10)
    await comparing.step()
    for sub in list(members.values())[:4]:
        both.stripe.cancel(sub, at_period_end=False)
    both.stripe.pause_collection(list(members.values())[9])
    held = await passed(both, comparing)
    assert (held.held, await paying(both, members)) == (5, 10)
    assert "brake:billing:stripe" in await both.alarms()
    assert (await passed(both, comparing)).held == 5
    await release(both)
    await passed(both, comparing, 1)
    assert await paying(both, members) == 5
    assert "brake:billing:stripe" not in await both.alarms()


async def test_claims_that_were_held_back_for_hours_end_access_when_they_are_released(world: World) -> None:
    comparing = of(world)
    members = await people(world, 10)
    await comparing.step()
    world.stripe.webhook_url = None
    for sub in list(members.values())[:5]:
        world.stripe.dispute(sub)
    assert (await passed(world, comparing)).held == 5
    for _ in range(8):
        assert (await passed(world, comparing, 3600)).held == 5
    await release(world)
    await passed(world, comparing, 1)
    assert await paying(world, members) == 5


async def test_ends_within_the_bound_are_applied_and_news_is_never_held_back(world: World) -> None:
    world.stripe.webhook_url = None
    comparing = of(world)
    members = await people(world, 10)
    await comparing.step()
    for sub in list(members.values())[:3]:
        world.stripe.cancel(sub, at_period_end=False)
    await passed(world, comparing)
    assert await paying(world, members) == 7
    for sub in list(members.values())[3:10]:
        world.stripe.cancel(sub, at_period_end=False)
    anna = await world.member("Anna")
    world.stripe.pay(await world.checkout(anna))
    await passed(world, comparing)
    assert await paying(world, members) == 7
    assert await world.plans_of(anna) == {"signals"}


async def test_single_events_are_braked_when_they_come_in_a_mass(both: World, comparing: reconcile.Reconcile) -> None:
    members = await people(both, 10)
    await comparing.step()
    for sub in list(members.values())[:6]:
        both.stripe.cancel(sub, at_period_end=False)
    await both.settle()
    assert await paying(both, members) == 7
    assert "brake:billing:stripe" in await both.alarms()
    assert "dead" not in {row.state for row in await both.inbox()}
    await passed(both, comparing)  # ten minutes later these three are no mass any more
    assert await paying(both, members) == 4
    assert "brake:billing:stripe" not in await both.alarms()


async def test_subscriptions_of_another_account_take_nothing_from_anybody(world: World) -> None:
    comparing = of(world)
    members = await people(world, 5)
    await comparing.step()
    world.stripe.account.tables["subscription"].clear()
    found = await passed(world, comparing)
    assert (found.facts["subscriptions"]["gone"], found.held) == (5, 0)
    assert await paying(world, members) == 5
    assert "subscriptions_gone:stripe" in await world.alarms()


async def test_subscriptions_to_other_things_are_left_alone_quietly(world: World) -> None:
    comparing = of(world)
    other = world.stripe.add_price(900, "usd", "month", name="Coffee")
    made = world.stripe.add_subscription(other)
    await comparing.step()
    world.stripe.refund(made["id"])
    await passed(world, comparing)
    async with world.stack.db.reading() as session:
        assert (await session.scalars(select(models.Subscription))).all() == []
    assert await world.alarms() == set()


async def test_changed_policy_is_applied_at_the_next_pass(world: World) -> None:
    comparing = of(world)
    (member,) = await people(world, 1)
    await comparing.step()
    async with world.stack.db.transaction() as session:
        later = models.Subscription.access_until
        await session.execute(update(models.Subscription).values(access_until=world.now + timedelta(days=1)))
        assert later is not None
    await passed(world, comparing)
    row = await world.row(member)
    assert row.access_until is not None
    assert row.access_until > world.now + timedelta(days=20)


async def test_events_that_must_be_fetched_again_and_again_are_an_alarm_until_one_comes_by_itself(world: World) -> None:
    comparing = of(world)
    world.stripe.webhook_url = None
    members = [await world.member(name) for name in ("Anna", "Bert", "Cleo")]
    world.stripe.pay(await world.checkout(members[0]))
    await passed(world, comparing)
    assert "events_undelivered:stripe" not in await world.alarms()
    world.stripe.pay(await world.checkout(members[1]))
    await passed(world, comparing)
    assert "events_undelivered:stripe" in await world.alarms()
    world.stripe.webhook_url = f"{world.url}/webhooks/stripe"
    world.stripe.pay(await world.checkout(members[2]))
    await world.settle()
    await passed(world, comparing)
    assert "events_undelivered:stripe" not in await world.alarms()


async def test_s14_endpoint_that_speaks_another_version_is_an_alarm(world: World) -> None:
    comparing = of(world)
    world.stripe.api_version = "2025-02-24.acacia"
    anna = await world.member()
    await world.subscribe(anna)
    await passed(world, comparing)
    assert await world.plans_of(anna) == {"signals"}
    assert await world.alarms() == {"events_odd:stripe"}
    world.stripe.api_version = "2026-10-28.endive"
    await world.subscribe(await world.member("Bert"))
    await passed(world, comparing)
    assert await world.alarms() == set()


async def test_silence_of_a_provider_is_an_alarm_while_subscriptions_run(world: World) -> None:
    comparing = of(world)
    await passed(world, comparing, 100 * 3600)
    assert await world.alarms() == set()
    anna = await world.member()
    await world.subscribe(anna)
    await passed(world, comparing, 71 * 3600)
    assert await world.alarms() == set()
    await passed(world, comparing, 2 * 3600)
    assert await world.alarms() == {"events_silent:stripe"}
    await world.subscribe(await world.member("Bert"))
    await passed(world, comparing)
    assert await world.alarms() == set()
