"""The sweep: whatever events were lost, access is right again, gently."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core import leases, models
from tests.webhooks.conftest import World
from webhooks import sweep

DAY = 86_400


@pytest.fixture
async def sweeping(both: World) -> AsyncIterator[sweep.Sweep]:
    made = sweep.Sweep(both.here, both.here.providers[0])
    yield made
    await made.stop()


async def round_of(world: World, sweeping: sweep.Sweep) -> None:
    await sweeping.round()
    await world.settle()


async def test_s21_purchase_whose_events_were_all_lost_is_found(both: World, sweeping: sweep.Sweep) -> None:
    anna = await both.member()
    both.stripe.delivery.mode = "drop"
    both.stripe.pay(await both.checkout(anna))
    await round_of(both, sweeping)
    assert await both.plans_of(anna) == {"signals"}


async def test_s21_endpoint_gone_for_four_days_converges(both: World, sweeping: sweep.Sweep) -> None:
    anna, bert = await both.member("Anna"), await both.member("Bert")
    sub = await both.subscribe(anna)
    both.stripe.delivery.mode = "drop"
    both.stripe.cancel(sub, at_period_end=False)
    both.stripe.pay(await both.checkout(bert))
    await both.stripe.advance(4 * DAY)
    assert (await both.plans_of(anna), await both.plans_of(bert)) == ({"signals"}, set())
    await round_of(both, sweeping)
    assert (await both.plans_of(anna), await both.plans_of(bert)) == (set(), {"signals"})


async def test_checkout_that_nobody_told_of_is_read_even_if_stripe_lists_no_lost_event(
    world: World, monkeypatch: Any
) -> None:
    sweeping = sweep.Sweep(world.here, world.here.providers[0])

    async def none_missed(since: Any) -> list[Any]:
        return []

    monkeypatch.setattr(world.here.providers[0], "missed", none_missed)
    anna = await world.member()
    world.stripe.delivery.mode = "drop"
    world.stripe.pay(await world.checkout(anna))
    await world.stripe.advance(400)
    await sweeping.round()
    assert await world.plans_of(anna) == {"signals"}


async def test_subscription_near_its_end_is_read_again_before_access_is_lost(world: World, monkeypatch: Any) -> None:
    sweeping = sweep.Sweep(world.here, world.here.providers[0])

    async def none_missed(since: Any) -> list[Any]:
        return []

    monkeypatch.setattr(world.here.providers[0], "missed", none_missed)
    anna = await world.member()
    await world.subscribe(anna)
    world.stripe.delivery.mode = "drop"
    await world.stripe.advance(31 * DAY + 3 * DAY - 3600)
    assert await world.plans_of(anna) == {"signals"}
    await sweeping.round()
    await world.stripe.advance(DAY)
    assert await world.plans_of(anna) == {"signals"}


async def test_s22_sweep_while_stripe_is_away_changes_nothing(world: World) -> None:
    sweeping = sweep.Sweep(world.here, world.here.providers[0])
    anna = await world.member()
    await world.subscribe(anna)
    world.stripe.fault("503", count=None)
    await world.stripe.advance(DAY)
    with pytest.raises(Exception, match="problem of its own"):
        await sweeping.round()
    assert await world.plans_of(anna) == {"signals"}


async def test_s11_subscription_that_nobody_owns_becomes_an_alarm_until_it_is_linked(world: World) -> None:
    sweeping = sweep.Sweep(world.here, world.here.providers[0])
    anna = await world.member()
    world.stripe.delivery.mode = "hold"
    session = await world.checkout(anna)
    sub = world.stripe.pay(session)
    assert sub is not None
    sub["metadata"].clear()
    await world.stripe.delivery.release(["customer.subscription.created"])
    await world.settle()
    async with world.stack.db.transaction() as session_:
        await session_.execute(update(models.Checkout).values(state="expired", session_id=None))
    world.stripe.delivery.drop()
    world.stripe.account.get("checkout.session", session).update(client_reference_id=None, metadata={})
    await sweeping.round()
    key = f"subscription_unlinked:{sub['id']}"
    assert key not in await world.alarms()
    await world.stripe.advance(700)
    await sweeping.round()
    assert key in await world.alarms()
    sub["metadata"]["signalstack_member"] = str(anna)
    world.stripe.delivery.mode = "normal"
    world.stripe.set_status(sub["id"], "trialing")
    await world.settle()
    assert key not in await world.alarms()
    assert await world.plans_of(anna) == {"signals"}


async def test_one_process_sweeps_at_a_time_and_leaves_in_good_order(both: World, sweeping: sweep.Sweep) -> None:
    async with both.stack.db.transaction() as session:
        epoch = await leases.acquire(session, "webhooks.sweep", "another", ttl=180, now=both.now)
        assert epoch is not None
    await sweeping.round()
    async with both.stack.db.reading() as session:
        assert await session.get(models.Heartbeat, "webhooks.sweep") is None
    async with both.stack.db.transaction() as session:
        await leases.release(session, "webhooks.sweep", epoch, now=both.now)
    await sweeping.round()
    await sweeping.stop()
    async with both.stack.db.transaction() as session:
        assert await leases.acquire(session, "webhooks.sweep", "another", ttl=1, now=both.now) is not None


async def test_lost_events_are_listed_page_by_page(world: World) -> None:
    world.stripe.delivery.mode = "drop"
    for number in range(130):
        world.stripe.account.emit("customer.created", {"id": f"cus_{number}", "object": "customer"})
    found = await world.here.providers[0].missed(world.now - timedelta(days=1))
    told = [one["id"] for one in world.stripe.events]
    assert [one.id for one in found][-130:] == told[-130:]


async def test_sweep_reads_no_subscription_that_is_over_or_was_read_just_now(world: World) -> None:
    sweeping = sweep.Sweep(world.here, world.here.providers[0])
    over = await world.subscribe(await world.member("Over"))
    await world.subscribe(await world.member("On"))
    world.stripe.cancel(over, at_period_end=False)
    await world.settle()
    await world.stripe.advance(300)
    before = len(world.stripe.account.history.of("stripe_request"))
    await sweeping.round()
    asked = [row["path"] for row in world.stripe.account.history.of("stripe_request")[before:]]
    assert [path for path in asked if "subscriptions" in path] == []


async def test_reading_that_is_refused_leaves_the_others_to_be_read(world: World, monkeypatch: Any) -> None:
    provider = world.here.providers[0]
    assert provider is not None
    members = [await world.member(name) for name in ("Anna", "Bert")]
    subs = [await world.subscribe(member) for member in members]
    world.stripe.delivery.mode = "drop"
    for sub in subs:
        world.stripe.account.events.clear()
        world.stripe.cancel(sub, at_period_end=False)
    world.stripe.account.tables["event"].clear()
    await world.stripe.advance(7 * 3600)
    world.stripe.fault("429", "GET", f"/v1/subscriptions/{subs[0]}", count=0)
    read = provider.read

    async def refuses_first(subject: Any, **moment: Any) -> Any:
        from core import errors

        if subject.subscription == subs[0]:
            raise errors.RefusedError("no")
        return await read(subject, **moment)

    monkeypatch.setattr(provider, "read", refuses_first)
    await sweep.Sweep(world.here, provider).round()
    assert await world.plans_of(members[0]) == {"signals"}
    assert await world.plans_of(members[1]) == set()
    async with world.stack.db.reading() as session:
        assert await session.scalar(select(models.Heartbeat.part).where(models.Heartbeat.part == "webhooks.sweep"))


async def test_subscription_that_stripe_does_not_know_keeps_what_it_has_and_stands_last_in_line(world: World) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    world.stripe.account.tables["subscription"].clear()
    await world.stripe.advance(7 * 3600)
    await sweep.Sweep(world.here, world.here.providers[0]).round()
    assert await world.plans_of(anna) == {"signals"}
    assert (await world.row(anna)).read_at == world.now


async def test_sweep_ends_no_mass_of_members_either(world: World) -> None:
    members = [await world.member(f"m{number}") for number in range(6)]
    subs = [await world.subscribe(member) for member in members]
    world.stripe.account.tables["event"].clear()
    world.stripe.delivery.mode = "drop"
    for sub in subs:
        world.stripe.cancel(sub, at_period_end=False)
    world.stripe.account.tables["event"].clear()
    await world.stripe.advance(7 * 3600)
    await sweep.Sweep(world.here, world.here.providers[0]).round()
    assert [await world.plans_of(member) for member in members].count({"signals"}) == 3
    assert "brake:billing:stripe" in await world.alarms()
