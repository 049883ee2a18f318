"""Money that was taken back: refunds and disputes of every payment of a subscription, new or old."""

from typing import Any

import pytest
from sqlalchemy import select

from core import models
from tests.sandbox import stripe_billing as billing
from tests.webhooks import giving
from tests.webhooks.conftest import World
from webhooks import reconcile

DAY = 86_400


async def renewed(world: World, member_id: int) -> tuple[str, str]:
    """A subscription that was paid twice, and its first invoice."""
    sub = await world.subscribe(member_id)
    (first,) = billing.invoices_of(world.stripe.account, sub)
    await world.stripe.advance(32 * DAY)
    await world.settle()
    assert len(billing.invoices_of(world.stripe.account, sub)) == 2
    return sub, first["id"]


async def claims(world: World) -> list[str]:
    async with world.stack.db.reading() as session:
        return await session.scalar(select(models.Subscription.claims)) or []


async def test_s19_refund_of_an_older_payment_takes_nothing(world: World) -> None:
    anna = await world.member()
    _, first = await renewed(world, anna)
    world.stripe.refund(first)
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}
    assert len(await claims(world)) == 1


@pytest.mark.parametrize("outcome", ["open", "lost"])
async def test_s19_dispute_of_an_older_payment_ends_access_like_one_of_the_latest(world: World, outcome: str) -> None:
    anna = await world.member()
    sub, first = await renewed(world, anna)
    world.stripe.dispute(first, outcome)
    await world.settle()
    assert await world.plans_of(anna) == set()
    # Also when the subscription itself is what is told of next, and when only the list is looked at.
    world.stripe.account.emit("customer.subscription.updated", dict(world.stripe.subscription(sub)))
    await world.settle()
    await reconcile.Reconcile(world.here, world.here.providers[0], pause=0).step()
    assert await world.plans_of(anna) == set()


async def test_s19_won_dispute_of_an_older_payment_gives_access_back(world: World) -> None:
    anna = await world.member()
    _, first = await renewed(world, anna)
    world.stripe.dispute(first, "open")
    await world.settle()
    assert await world.plans_of(anna) == set()
    world.stripe.dispute(first, "won")
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}


async def test_s19_inquiry_about_an_older_payment_takes_nothing(world: World) -> None:
    anna = await world.member()
    _, first = await renewed(world, anna)
    for outcome in ("inquiry", "warning_closed"):
        world.stripe.dispute(first, outcome)
        await world.settle()
        assert await world.plans_of(anna) == {"signals"}


async def test_s19_dispute_in_a_state_that_nobody_knows_counts_as_open(world: World) -> None:
    anna = await world.member()
    _, first = await renewed(world, anna)
    dispute = world.stripe.dispute(first, "inquiry")
    dispute["status"] = "brand_new"
    world.stripe.account.emit("charge.dispute.updated", dispute)
    await world.settle()
    assert await world.plans_of(anna) == set()


@pytest.mark.parametrize("older", [True, False])
async def test_s19_claims_are_found_although_every_webhook_was_lost(both: World, older: bool) -> None:
    anna = await both.member()
    sub, first = await renewed(both, anna)
    comparing = reconcile.Reconcile(both.here, both.here.providers[0], pause=0)
    await comparing.step()
    both.stripe.webhook_url = None
    both.stripe.dispute(first if older else sub, "open")
    await both.stripe.advance(601)
    await comparing.step()
    assert await both.plans_of(anna) == set()
    both.stripe.dispute(first if older else sub, "won")
    await both.stripe.advance(601)
    await comparing.step()
    assert await both.plans_of(anna) == {"signals"}


@pytest.mark.parametrize("outcomes", [("lost", "inquiry"), ("inquiry", "lost")])
async def test_s19_claims_to_two_older_payments_that_one_pass_finds_both_count(
    both: World, outcomes: tuple[str, str]
) -> None:
    anna = await both.member()
    sub, first = await renewed(both, anna)
    second = billing.invoices_of(both.stripe.account, sub)[-1]["id"]
    await both.stripe.advance(31 * DAY)
    await both.settle()
    comparing = reconcile.Reconcile(both.here, both.here.providers[0], pause=0)
    await comparing.step()
    both.stripe.webhook_url = None
    for invoice, outcome in zip((first, second), outcomes, strict=True):
        both.stripe.dispute(invoice, outcome)
    await both.stripe.advance(601)
    await comparing.step()
    assert await both.plans_of(anna) == set()
    assert len(await claims(both)) == 2


async def test_s19_refund_of_a_gift_is_found_although_every_webhook_was_lost(
    sqlite_database: Any, make_stack: Any, now: Any
) -> None:
    async with giving.opened(sqlite_database, make_stack, now) as world:
        anna = await world.member()
        session = await giving.bought(world, anna)
        grant = await giving.redeem(world, "Ben", await giving.code(world, anna))
        assert grant is not None
        assert await world.plans_of(grant.member_id) == {"signals"}
        comparing = reconcile.Reconcile(world.here, world.here.providers[0], pause=0)
        await comparing.step()
        world.stripe.webhook_url = None
        world.stripe.refund(world.stripe.account.get("checkout.session", session)["payment_intent"])
        await world.stripe.advance(601)
        await comparing.step()
        assert await world.plans_of(grant.member_id) == set()


async def test_reading_that_began_before_a_claim_was_known_is_asked_again(world: World, monkeypatch: Any) -> None:
    anna = await world.member()
    sub, first = await renewed(world, anna)
    read = world.here.providers[0].read

    async def slow(subject: Any, **moment: Any) -> Any:
        """While the subscription is being read, the dispute of its older payment becomes known."""
        reading = await read(subject, **moment)
        if subject.subscription and not await claims(world):
            async with world.stack.db.transaction() as session:
                row = (await session.scalars(select(models.Subscription))).one()
                row.claims = [billing.intent_of(world.stripe.account, world.stripe.account.get("invoice", first))["id"]]
        return reading

    monkeypatch.setattr(world.here.providers[0], "read", slow)
    world.stripe.delivery.mode = "drop"
    world.stripe.dispute(first, "open")
    world.stripe.delivery.mode = "normal"
    world.stripe.account.emit("customer.subscription.updated", dict(world.stripe.subscription(sub)))
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}
    await world.stripe.advance(10)
    await world.settle()
    assert await world.plans_of(anna) == set()
