"""A refund of the latest payment ends access until the next payment has arrived, whatever is billed meanwhile."""

import pytest

from tests.sandbox import stripe_routes
from tests.webhooks.conftest import World

HOUR, DAY = 3600, 86_400


async def refunded(world: World) -> tuple[int, str]:
    """A member whose only payment went back whole, ten days ago."""
    anna = await world.member()
    sub = await world.subscribe(anna)
    world.stripe.refund(sub)
    await world.stripe.advance(10 * DAY)
    await world.settle()
    assert await world.plans_of(anna) == set()
    return anna, sub


async def test_s19_an_invoice_that_is_not_paid_yet_does_not_undo_the_refund(world: World) -> None:
    anna, _ = await refunded(world)
    await world.stripe.advance(21 * DAY + HOUR / 2)
    await world.settle()
    assert world.stripe.account.all("invoice")[0]["status"] == "draft"
    assert await world.plans_of(anna) == set()
    await world.stripe.advance(HOUR)
    await world.settle()
    assert world.stripe.account.all("invoice")[0]["status"] == "paid"
    assert await world.plans_of(anna) == {"signals"}


async def test_s19_after_a_refund_there_is_no_grace_for_a_renewal_that_fails(world: World) -> None:
    anna, sub = await refunded(world)
    world.stripe.fail_next_renewal(sub)
    await world.stripe.advance(21 * DAY + 2 * HOUR)
    await world.settle()
    assert (await world.row(anna)).status == "past_due"
    assert await world.plans_of(anna) == set()
    world.stripe.pay_open_invoices(sub)
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}


@pytest.mark.parametrize("amount", [None, 500])
async def test_s19_a_refund_in_the_hour_before_the_charge_counts(world: World, amount: int | None) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    await world.stripe.advance(31 * DAY + HOUR / 2)
    world.stripe.refund(sub, amount)
    await world.settle()
    assert bool(await world.plans_of(anna)) == (amount is not None)


async def test_s12_a_change_of_plan_does_not_stand_in_for_a_first_payment_that_is_on_its_way(world: World) -> None:
    anna = await world.member()
    monthly = world.stripe.account.all("price")[0]["id"]
    yearly = world.stripe.add_price(29_000, "usd", "year")
    page = await world.checkout(anna)
    lines = world.stripe.account.secret(page)["lines"]
    lines[0]["price"] = yearly
    sub = world.stripe.pay(page, "sepa")
    assert sub is not None
    await world.settle()
    item = [("items[0][id]", sub["items"]["data"][0]["id"]), ("items[0][price]", monthly)]
    stripe_routes.answer(world.stripe.account, "POST", f"/v1/subscriptions/{sub['id']}", item)
    await world.settle()
    assert world.stripe.account.get("invoice", sub["latest_invoice"])["status"] == "paid"
    assert await world.plans_of(anna) == set()
    world.stripe.settle_debit(page)
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}
