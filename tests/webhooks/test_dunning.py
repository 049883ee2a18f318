"""What members hear about payments, from the bank's word at the provider to the notice in the outbox."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from core import access, models
from core.billing import dunning
from tests.sandbox import stripe_billing
from tests.webhooks import shop
from tests.webhooks.conftest import World

DAY = 86_400


async def swept(world: World) -> None:
    """The scheduler has looked at what ended by the clock and at what is to be told."""
    book, grace = world.stack.catalogue, world.stack.settings.grace_days
    async with world.stack.db.transaction() as session:
        await dunning.plan(session, book, grace_days=grace, now=world.now)
        for member_id in await access.lapsed(session, now=world.now):
            await access.reconcile(session, member_id, book, now=world.now)


async def passes(world: World, days: float) -> None:
    await world.stripe.advance(days * DAY)
    await world.settle()
    await swept(world)


async def facts(world: World, name: str) -> dict[str, Any]:
    async with world.stack.db.reading() as session:
        rows = await session.scalars(select(models.Delivery).order_by(models.Delivery.id.desc()))
        return next(dict(row.payload) for row in rows if row.payload and row.payload.get("name") == name)


async def test_failed_payment_is_told_three_times_and_then_never_again(both: World) -> None:
    anna = await both.member()
    sub = await both.subscribe(anna)
    both.stripe.fail_next_renewal(sub)
    await passes(both, 31.1)
    assert (await both.notices(anna))[1:] == ["payment_failed"]
    said = await facts(both, "payment_failed")
    assert (said["amount"], said["card"]) == ("29.00 USD", "Visa 4242")
    until = (await both.row(anna)).access_until
    assert until is not None
    assert said["until"] == until.isoformat()
    await passes(both, 1)
    assert (await both.notices(anna))[2:] == []
    await passes(both, 1)
    assert (await both.notices(anna))[2:] == ["grace_ends"]
    await passes(both, 1)
    assert (await both.notices(anna))[3:] == ["access_ended_unpaid"]
    for _ in range(3):
        await passes(both, 1)
    assert len(await both.notices(anna)) == 4


async def test_whoever_pays_in_time_hears_nothing_more(world: World) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    world.stripe.fail_next_renewal(sub)
    await passes(world, 31.1)
    world.stripe.pay_open_invoices(sub)
    for _ in range(4):
        await passes(world, 1)
    assert (await world.notices(anna))[1:] == ["payment_failed"]


async def test_bank_that_wants_a_confirmation_is_told_in_its_own_words(world: World) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    world.stripe.fail_next_renewal(sub)
    await world.stripe.advance(31.1 * DAY)
    invoice = stripe_billing.invoices_of(world.stripe.account, sub)[-1]
    stripe_billing.intent_of(world.stripe.account, invoice)["status"] = "requires_action"
    await world.settle()
    await swept(world)
    await swept(world)
    assert (await world.notices(anna))[1:] == ["payment_action"]
    assert (await world.row(anna)).snapshot["action_required"] is True


async def test_free_days_and_a_year_are_announced_with_card_and_amount(worlds: Any) -> None:
    world: World = await worlds(book=shop.full)
    anna = await world.member()
    await shop.pay(world, await shop.buy(world, anna, price=shop.price_of(world, "pro", 2)))
    await passes(world, 4.9)
    assert (await world.notices(anna))[1:] == []
    await passes(world, 0.2)
    assert (await world.notices(anna))[1:] == ["trial_ends"]
    said = await facts(world, "trial_ends")
    assert (said["amount"], said["card"], said["at"][:10]) == ("290.00 USD", "Visa 4242", "2026-01-22")
    await passes(world, 3)
    assert (await world.row(anna)).status == "active"
    await passes(world, 356)
    assert (await world.notices(anna))[2:] == []
    await passes(world, 1)
    assert (await world.notices(anna))[2:] == ["renewal_ahead"]
    assert (await facts(world, "renewal_ahead"))["at"][:10] == "2027-01-22"


@pytest.mark.parametrize(("expiry", "told"), [((1, 2026), ["card_expires"]), ((2, 2026), [])])
async def test_card_that_ends_before_the_next_charge_is_told(
    world: World, expiry: tuple[int, int], told: list[str]
) -> None:
    anna = await world.member()
    assert world.stripe.pay(await world.checkout(anna), expiry=expiry) is not None
    await world.settle()
    await passes(world, 16)
    assert (await world.notices(anna))[1:] == []
    for _ in range(2):
        await passes(world, 1.5)
    assert (await world.notices(anna))[1:] == told


async def test_notice_waits_no_longer_than_it_is_true(world: World) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    world.stripe.fail_next_renewal(sub)
    await passes(world, 31.1)
    await passes(world, 2)
    row = await world.row(anna)
    async with world.stack.db.reading() as session:
        found = await session.scalars(select(models.Delivery).where(models.Delivery.expires_at == row.access_until))
        assert [(one.payload or {})["name"] for one in found] == ["grace_ends"]
    assert row.access_until is not None
    assert row.access_until - world.now < timedelta(days=1)
