"""What a provider must still do for us is done once, whatever happens in between."""

from typing import Any

import pytest
from sqlalchemy import select

from core import models
from core.billing import errands
from tests.webhooks.conftest import World
from webhooks import errands as runs


async def ask(world: World, act: Any, target: str, member_id: int | None = None) -> bool:
    async with world.stack.db.transaction() as session:
        return await errands.ask(session, "stripe", act, target, why="a test", now=world.now, member_id=member_id)


async def states(world: World) -> list[tuple[str, str]]:
    async with world.stack.db.reading() as session:
        rows = await session.scalars(select(models.Errand).order_by(models.Errand.id))
        return [(row.act, row.state) for row in rows]


async def run(world: World) -> int:
    return await runs.work_off(world.here, world.here.providers[0])


async def test_cancelled_subscription_is_over_for_both_sides_at_once(world: World) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    assert await ask(world, "cancel", sub, anna)
    assert not await ask(world, "cancel", sub, anna)
    assert await run(world) == 1
    assert world.stripe.subscription(sub)["status"] == "canceled"
    assert await world.plans_of(anna) == set()
    assert await states(world) == [("cancel", "done")]
    assert await run(world) == 0


async def test_errand_that_is_not_needed_any_more_is_done(world: World) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    world.stripe.cancel(sub, at_period_end=False)
    page = await world.checkout(await world.member("Bob"))
    world.stripe.pay(page)
    for act, target in (("cancel", sub), ("end_trial", sub), ("expire", page)):
        await ask(world, act, target)
    await world.settle()
    assert {state for _, state in await states(world)} == {"done"}
    assert await world.alarms() == set()


async def test_open_page_is_closed_and_cannot_be_paid(world: World) -> None:
    anna = await world.member()
    page = await world.checkout(anna)
    await ask(world, "expire", page)
    await world.settle()
    async with world.stack.db.reading() as session:
        assert await session.scalar(select(models.Checkout.state)) == "expired"
    assert await world.checkout(anna) != page


@pytest.mark.parametrize("kind", ["500", "429", "drop"])
async def test_s22_errand_waits_while_stripe_is_away(world: World, kind: str) -> None:
    sub = await world.subscribe(await world.member())
    world.stripe.fault(kind, "DELETE", count=None)
    await ask(world, "cancel", sub)
    assert await run(world) == 1
    assert await states(world) == [("cancel", "pending")]
    assert await run(world) == 0
    await world.stripe.calm()
    await world.stripe.advance(10)
    await world.settle()
    assert await states(world) == [("cancel", "done")]


async def test_s23_refund_whose_answer_was_lost_is_made_once(world: World) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    world.stripe.fault("drop", "POST", "/v1/refunds", count=2, after_store=True)
    await ask(world, "refund", sub, anna)
    await run(world)
    assert await states(world) == [("refund", "pending")]
    await world.stripe.advance(10)
    await world.settle()
    assert await states(world) == [("refund", "done")]
    assert [refund["amount"] for refund in world.stripe.account.all("refund")] == [2900]
    assert await world.plans_of(anna) == set()


async def test_refused_errand_is_an_alarm_that_says_what_to_do(world: World) -> None:
    await ask(world, "paint", "sub_x")
    await run(world)
    assert await states(world) == [("paint", "failed")]
    assert await world.alarms() == {"errand_failed:1"}


async def test_errand_of_a_worker_that_died_is_taken_over_and_the_dead_one_writes_nothing(world: World) -> None:
    sub = await world.subscribe(await world.member())
    await ask(world, "cancel", sub)
    async with world.stack.db.transaction() as session:
        (held,) = await errands.claim(session, "stripe", now=world.now, lease=runs.LEASE)
    assert await run(world) == 0
    await world.stripe.advance(runs.LEASE + 1)
    assert await run(world) == 1
    with pytest.raises(Exception, match="taken over"):
        async with world.stack.db.transaction() as session:
            await errands.done(session, held, now=world.now)
    assert await states(world) == [("cancel", "done")]
