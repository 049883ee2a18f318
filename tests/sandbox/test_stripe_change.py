"""Changes of a running subscription at the stand-in: what the preview shows is what the update does."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe as vendor

from tests.sandbox.test_stripe import DAY, World, opened


@pytest.fixture
async def world() -> AsyncIterator[World]:
    # Stripe's clock moves only when it is told to: no second passes between what is shown and what is done.
    began = time.time()
    async with opened(lambda: began) as one:
        yield one


async def looked_at(world: World, sub: Any, at: int | None = None, **details: Any) -> Any:
    wanted = {"proration_behavior": "always_invoice", **details}
    if at:
        wanted["proration_date"] = at
    return await world.v1.invoices.create_preview_async({"subscription": sub.id, "subscription_details": wanted})


async def changed(world: World, sub: Any, at: int | None = None, **params: Any) -> Any:
    wanted = {"proration_behavior": "always_invoice", "payment_behavior": "error_if_incomplete", **params}
    if at:
        wanted["proration_date"] = at
    return await world.v1.subscriptions.update_async(sub.id, {**wanted, "expand": ["latest_invoice"]})


def facts(invoice: Any) -> Any:
    lines = [
        (line.amount, line.period.start, line.period.end, line.parent.subscription_item_details.proration)
        for line in invoice.lines.data
    ]
    return lines, invoice.total, invoice.amount_due, invoice.starting_balance


def to(sub: Any, **fields: Any) -> list[dict[str, Any]]:
    return [{"id": sub["items"].data[0].id, **fields}]


@pytest.mark.parametrize("seconds", [1, DAY, 10 * DAY + 17, 27 * DAY])
@pytest.mark.parametrize(
    ("amount", "interval", "quantity"),
    [(4900, "month", 1), (1900, "month", 1), (2900, "month", 3), (29000, "year", 1), (900, "week", 2)],
)
async def test_preview_and_update_agree_to_the_cent(
    world: World, seconds: int, amount: int, interval: str, quantity: int
) -> None:
    sub = await world.subscriber()
    await world.sandbox.advance(seconds)
    price, at = world.sandbox.add_price(amount, "eur", interval), world.sandbox.now()
    wanted = to(sub, price=price["id"], quantity=quantity)
    shown = await looked_at(world, sub, at, items=wanted)
    after = await changed(world, sub, at, items=wanted)
    assert facts(after.latest_invoice) == facts(shown)
    assert after.latest_invoice.status == "paid"
    assert after["items"].data[0].price.id == price["id"]
    buyer = await world.v1.customers.retrieve_async(sub.customer)
    assert buyer.balance == min(0, shown.total)
    unused = shown.lines.data[0]
    period = sub["items"].data[0]
    left = period.current_period_end - at
    assert unused.amount == -round(2900 * left / (period.current_period_end - period.current_period_start))


async def test_half_a_period_costs_half_the_difference(world: World) -> None:
    sub = await world.subscriber()
    item = sub["items"].data[0]
    half = (item.current_period_start + item.current_period_end) // 2
    await world.sandbox.advance(half - world.sandbox.now())
    price = world.sandbox.add_price(4900)
    after = await changed(world, sub, half, items=to(sub, price=price["id"]))
    assert after.latest_invoice.total == 1000
    assert [line.amount for line in after.latest_invoice.lines.data] == [-1450, 2450]
    assert after["items"].data[0].current_period_end == item.current_period_end
    await world.sandbox.delivery.settled()
    told = world.inbox.last("customer.subscription.updated")["data"]
    assert told["previous_attributes"]["items"]["data"][0]["price"]["id"] == world.price["id"]
    assert [row["amount"] for row in world.history.of("stripe_renewed")] == [1000]


async def test_going_up_and_back_in_one_second_costs_nothing(world: World) -> None:
    sub = await world.subscriber()
    await world.sandbox.advance(5 * DAY)
    at, price = world.sandbox.now(), world.sandbox.add_price(7900)
    await changed(world, sub, at, items=to(sub, price=price["id"]))
    await changed(world, sub, at, items=to(sub, price=world.price["id"]))
    total = sum(row.total for row in (await world.v1.invoices.list_async({"subscription": sub.id})).data)
    assert total == 2900


async def test_refused_card_changes_nothing(world: World) -> None:
    sub = await world.subscriber("fails_later")
    price = world.sandbox.add_price(4900)
    before = len(world.sandbox.events)
    with pytest.raises(vendor.CardError) as refused:
        await changed(world, sub, items=to(sub, price=price["id"]), metadata={"a": "b"})
    assert (refused.value.http_status, refused.value.code) == (402, "card_declined")
    kept = await world.v1.subscriptions.retrieve_async(sub.id)
    assert kept.to_dict() == sub.to_dict()
    assert len(world.sandbox.events) == before
    allowed = await world.v1.subscriptions.update_async(
        sub.id, {"items": to(sub, price=price["id"]), "proration_behavior": "always_invoice"}
    )
    assert allowed.status == "past_due"


async def test_prorations_that_wait_are_on_the_next_invoice(world: World) -> None:
    sub = await world.subscriber()
    await world.sandbox.advance(10 * DAY)
    wanted = to(sub, quantity=2)
    shown = await looked_at(world, sub, items=wanted, proration_behavior="create_prorations")
    await changed(world, sub, items=wanted, proration_behavior="create_prorations")
    assert len((await world.v1.invoices.list_async({"subscription": sub.id})).data) == 1
    await world.sandbox.advance(22 * DAY)
    latest = (await world.v1.invoices.list_async({"subscription": sub.id})).data[0]
    assert (latest.total, len(latest.lines.data)) == (shown.total, 3)
    assert latest.total > 2 * 2900


async def test_nothing_is_counted_when_the_shop_says_none(world: World) -> None:
    sub = await world.subscriber()
    await world.sandbox.advance(10 * DAY)
    await changed(world, sub, items=to(sub, quantity=5), proration_behavior="none")
    assert len((await world.v1.invoices.list_async({"subscription": sub.id})).data) == 1
    after = await changed(world, sub, items=to(sub, quantity=1))
    # What was never asked for is not given back: the month was paid for one.
    assert [line.amount < 0 for line in after.latest_invoice.lines.data] == [True, False]
    assert after.latest_invoice.total == 0


async def test_other_interval_begins_a_new_period_and_the_rest_is_credit(world: World) -> None:
    sub = await world.subscriber()
    await world.sandbox.advance(3 * DAY)
    year = world.sandbox.add_price(29000, "eur", "year")
    after = await changed(world, sub, items=to(sub, price=year["id"]))
    item = after["items"].data[0]
    assert item.current_period_start == after.billing_cycle_anchor == after.latest_invoice.created
    assert 365 * DAY <= item.current_period_end - item.current_period_start <= 366 * DAY
    week = world.sandbox.add_price(900, "eur", "week")
    lower = await changed(world, after, items=to(sub, price=week["id"]))
    assert (lower.latest_invoice.amount_due, lower.latest_invoice.status) == (0, "paid")
    left = -lower.latest_invoice.ending_balance
    assert left > 27000
    await world.sandbox.advance(8 * DAY)
    buyer = await world.v1.customers.retrieve_async(sub.customer)
    assert -buyer.balance == left - 900


async def test_trial_ends_at_once_when_asked(world: World) -> None:
    data = {"trial_period_days": 7, "metadata": {"member": "member-7"}}
    sub = await world.subscriber(subscription_data=data)
    await world.sandbox.advance(DAY)
    shown = await looked_at(world, sub, trial_end="now")
    after = await changed(world, sub, trial_end="now")
    assert (after.status, after.latest_invoice.amount_paid, shown.amount_due) == ("active", 2900, 2900)
    assert after["items"].data[0].current_period_start == after.trial_end
    other = await world.subscriber("fails_later", subscription_data=data)
    with pytest.raises(vendor.CardError):
        await changed(world, other, trial_end="now")
    assert await world.status(other.id) == "trialing"


async def test_discount_is_given_back_as_it_was_given(world: World) -> None:
    code = world.sandbox.add_promotion_code("HALF", percent_off=50.0, duration="once")
    sub = await world.subscriber(discounts=[{"promotion_code": code["id"]}])
    at = sub["items"].data[0].current_period_start
    price = world.sandbox.add_price(4900)
    after = await changed(world, sub, at, items=to(sub, price=price["id"]))
    assert [line.amount for line in after.latest_invoice.lines.data] == [-1450, 4900]


async def test_upcoming_invoice_of_a_subscription_and_of_one_that_ends(world: World) -> None:
    sub = await world.subscriber()
    shown = await world.v1.invoices.create_preview_async({"subscription": sub.id})
    item = sub["items"].data[0]
    assert (shown.total, shown.period_end) == (2900, item.current_period_end)
    assert shown.lines.data[0].period.start == item.current_period_end
    await world.v1.subscriptions.update_async(sub.id, {"cancel_at_period_end": True})
    with pytest.raises(vendor.InvalidRequestError) as none:
        await world.v1.invoices.create_preview_async({"subscription": sub.id})
    assert none.value.code == "invoice_upcoming_none"


async def test_member_can_be_given_another_card(world: World) -> None:
    sub = await world.subscriber()
    method = world.sandbox.add_card(sub.customer, "5555555555554444", expiry=(1, 2027))
    after = await world.v1.subscriptions.update_async(
        sub.id, {"default_payment_method": method["id"], "expand": ["default_payment_method"]}
    )
    assert after.default_payment_method.card.brand == "mastercard"


async def test_ending_now_can_leave_credit(world: World) -> None:
    sub = await world.subscriber()
    await world.v1.subscriptions.cancel_async(sub.id, {"prorate": True, "invoice_now": True})
    buyer = await world.v1.customers.retrieve_async(sub.customer)
    assert buyer.balance == -2900


async def test_renewal_is_announced_where_the_operator_switched_it_on(world: World) -> None:
    world.sandbox.account.upcoming_days = 7
    sub = await world.subscriber()
    end = sub["items"].data[0].current_period_end
    await world.sandbox.advance(end - world.sandbox.now() - 7 * DAY - 1)
    assert "invoice.upcoming" not in world.inbox.types()
    await world.sandbox.advance(1)
    shown = world.inbox.last("invoice.upcoming")["data"]["object"]
    assert (shown["total"], shown["period_end"], "id" in shown) == (2900, end, False)
    await world.sandbox.advance(40 * DAY)
    assert world.inbox.types().count("invoice.upcoming") == 2
