"""Lists of the stand-in at size: pages, filters, and money that goes back."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe as vendor

from tests.sandbox.test_stripe import DAY, World, opened


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as one:
        yield one


async def everything(room: Any, wanted: dict[str, Any]) -> list[Any]:
    first = await room.list_async({"limit": 100, **wanted})
    return [row async for row in first.auto_paging_iter()]


async def test_many_subscriptions_are_made_without_events_and_listed_with_their_payments(world: World) -> None:
    made = [
        world.sandbox.add_subscription(world.price, member=str(n), metadata={"member": str(n)}, quantity=1 + n % 3)
        for n in range(350)
    ]
    assert world.sandbox.events == []
    rows = await everything(world.v1.subscriptions, {"status": "all", "expand": ["data.latest_invoice.payments"]})
    assert [row.id for row in rows] == [sub["id"] for sub in reversed(made)]
    last = rows[0]
    assert last.latest_invoice.payments.data[0].status == "paid"
    assert last.latest_invoice.total == 2900 * last["items"].data[0].quantity
    assert len(world.history.of("stripe_paid")) == 350
    theirs = await everything(world.v1.subscriptions, {"customer": made[7]["customer"]})
    assert [row.id for row in theirs] == [made[7]["id"]]


async def test_subscription_of_the_crowd_lives_like_any_other(world: World) -> None:
    sub = world.sandbox.add_subscription(world.price, member="9", told=True)
    await world.sandbox.delivery.settled()
    assert "customer.subscription.created" in world.inbox.types()
    await world.sandbox.advance(32 * DAY)
    assert world.history.of("stripe_renewed", subscription=sub["id"])[0]["member"] == "9"


async def test_s21_events_are_listed_by_type_and_time_in_pages(world: World) -> None:
    for _ in range(3):
        await world.subscriber()
        await world.sandbox.advance(DAY)
    types = ["checkout.session.completed", "invoice.*"]
    rows = await everything(world.v1.events, {"types": types, "limit": 2})
    assert len(rows) == 3 + sum(event["type"].startswith("invoice.") for event in world.sandbox.events)
    assert [row.created for row in rows] == sorted((row.created for row in rows), reverse=True)
    since = world.sandbox.now() - DAY - 60
    late = await everything(world.v1.events, {"created": {"gte": since}, "types": types})
    assert {row.id for row in late} == {row.id for row in rows if row.created >= since}


async def test_edge_of_a_page_must_be_one_of_the_list(world: World) -> None:
    sub = await world.subscriber()
    other = world.sandbox.add_subscription(world.price)
    for wanted in ({"starting_after": "sub_none"}, {"customer": sub.customer, "starting_after": other["id"]}):
        with pytest.raises(vendor.InvalidRequestError) as refused:
            await world.v1.subscriptions.list_async(wanted)
        assert refused.value.http_status == 400


async def test_expansion_has_four_levels_at_most(world: World) -> None:
    sub = await world.subscriber()
    deep = "latest_invoice.payments.data.payment.payment_intent"
    with pytest.raises(vendor.InvalidRequestError, match="4 levels"):
        await world.v1.subscriptions.retrieve_async(sub.id, {"expand": [deep]})


async def test_s19_refunds_disputes_and_charges_are_found_by_their_payment(world: World) -> None:
    sub = await world.subscriber()
    await world.subscriber()
    charge = (await world.v1.charges.list_async({"customer": sub.customer})).data[0]
    again: Any = {"idempotency_key": "refund-1"}
    wanted = {"charge": charge.id, "amount": 900, "reason": "duplicate", "metadata": {"row": "1"}}
    first = await world.v1.refunds.create_async(wanted, again)
    assert (await world.v1.refunds.create_async(wanted, again)).id == first.id
    world.sandbox.dispute(sub.id)
    paid = {"payment_intent": charge.payment_intent}
    refunds = (await world.v1.refunds.list_async(paid)).data
    assert [(row.id, row.amount, row.reason, row.metadata["row"]) for row in refunds] == [
        (first.id, 900, "duplicate", "1")
    ]
    assert len((await world.v1.disputes.list_async(paid)).data) == 1
    assert [row.id for row in (await world.v1.charges.list_async(paid)).data] == [charge.id]
    assert (await world.v1.charges.list_async({"created": {"gt": charge.created + 60}})).data == []
    shown = (await world.v1.charges.retrieve_async(charge.id)).payment_method_details.card
    assert (shown.last4, bool(shown.fingerprint)) == ("4242", True)


async def test_s19_refund_that_the_bank_could_not_make_is_taken_back(world: World) -> None:
    sub = await world.subscriber()
    given = world.sandbox.refund(sub.id)
    world.sandbox.fail_refund(given["id"])
    await world.sandbox.delivery.settled()
    assert world.inbox.last("refund.failed")["data"]["object"]["status"] == "failed"
    charge = await world.v1.charges.retrieve_async(given["charge"])
    assert (charge.refunded, charge.amount_refunded) == (False, 0)
