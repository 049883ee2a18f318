"""The Stripe stand-in's wire: errors, idempotency, faults, delivery, and its tables against the installed library."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe as vendor

from tests.sandbox.test_stripe import DAY, World, opened

COMPLETED = "checkout.session.completed"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as one:
        yield one


# --- refusals


async def test_errors_have_stripes_shape_and_class(world: World) -> None:
    with pytest.raises(vendor.InvalidRequestError) as absent:
        await world.v1.subscriptions.retrieve_async("sub_none")
    assert (absent.value.http_status, absent.value.code) == (404, "resource_missing")
    assert str(absent.value.request_id).startswith("req_")
    with pytest.raises(vendor.AuthenticationError):
        await world.v1.products.list_async({}, {"api_key": "sk_test_wrong"})
    with pytest.raises(vendor.InvalidRequestError) as unknown:
        await world.session(payment_method_types=["card"])
    assert (unknown.value.http_status, unknown.value.code) == (400, "parameter_unknown")
    with pytest.raises(vendor.InvalidRequestError) as nested:
        await world.session(subscription_data={"trial_days": 3})
    assert nested.value.param == "subscription_data[trial_days]"
    with pytest.raises(vendor.InvalidRequestError) as price:
        await world.session(line_items=[{"price": "price_none", "quantity": 1}])
    assert (price.value.http_status, price.value.param) == (400, "line_items[0][price]")
    with pytest.raises(vendor.InvalidRequestError, match="cannot be expanded"):
        await world.session(expand=["nothing"])


async def test_lists_page_and_filter(world: World) -> None:
    made = [(await world.v1.customers.create_async({"email": f"m{n}@test.test"})).id for n in range(5)]
    first = await world.v1.customers.list_async({"limit": 2})
    assert ([row.id for row in first.data], first.has_more) == ([made[4], made[3]], True)
    assert [row.id async for row in first.auto_paging_iter()] == made[::-1]
    assert [row.id for row in (await world.v1.customers.list_async({"email": "m1@test.test"})).data] == [made[1]]
    back = await world.v1.customers.list_async({"limit": 2, "ending_before": made[1]})
    assert [row.id for row in back.data] == [made[3], made[2]]
    await world.v1.customers.update_async(made[0], {"metadata": {"member": "7"}})
    hits = await world.v1.customers.search_async({"query": "metadata['member']:'7'"})
    assert [row.id for row in hits.data] == [made[0]]


async def test_canceled_subscriptions_are_listed_only_when_asked_for(world: World) -> None:
    sub = await world.subscriber()
    canceled = await world.v1.subscriptions.cancel_async(sub.id)
    assert canceled.status == "canceled"
    assert (await world.v1.subscriptions.list_async({"customer": sub.customer})).data == []
    assert len((await world.v1.subscriptions.list_async({"status": "all"})).data) == 1


# --- idempotency


async def test_s23_same_key_gives_the_same_object_for_24_hours(world: World) -> None:
    async def create(name: str) -> Any:
        return await world.v1.products.create_async({"name": name}, {"idempotency_key": "row-1"})

    first, again = await asyncio.gather(create("A"), create("A"))
    assert first.id == again.id
    with pytest.raises(vendor.IdempotencyError) as refused:
        await create("B")
    assert refused.value.http_status == 400
    await world.sandbox.advance(DAY)
    assert (await create("A")).id != first.id


async def test_s23_stored_500_is_replayed_though_it_was_done(world: World) -> None:
    options: Any = {"idempotency_key": "row-2"}
    world.sandbox.fault("500", "POST", "/v1/products", after_store=True)
    for _ in range(2):
        with pytest.raises(vendor.APIError):
            await world.v1.products.create_async({"name": "A"}, options)
    assert sum(row.name == "A" for row in (await world.v1.products.list_async({})).data) == 1


@pytest.mark.parametrize("kind", ["drop", "hang"])
async def test_s23_answer_lost_after_storing_is_found_by_the_same_key(world: World, kind: str) -> None:
    options: Any = {"idempotency_key": "row-3"}
    world.sandbox.fault(kind, "POST", "/v1/products", after_store=True)
    with pytest.raises(vendor.APIConnectionError):
        await world.v1.products.create_async({"name": "A"}, options)
    await world.sandbox.calm()
    again = await world.v1.products.create_async({"name": "A"}, options)
    assert (await world.v1.products.list_async({})).data[0].id == again.id
    assert len(world.sandbox.account.all("product")) == 2


async def test_s22_faults_strike_the_asked_requests_only(world: World) -> None:
    world.sandbox.fault("429", "GET", "/v1/subscriptions.*", count=2)
    for _ in range(2):
        with pytest.raises(vendor.RateLimitError):
            await world.v1.subscriptions.list_async({})
    await world.v1.subscriptions.list_async({})
    world.sandbox.fault("500", count=None)
    for _ in range(3):
        with pytest.raises(vendor.APIError):
            await world.v1.prices.list_async({})
    await world.sandbox.calm()
    await world.v1.prices.list_async({})
    assert [row["status"] for row in world.history.of("stripe_request", path="/v1/prices")] == [500, 500, 500, 200]


# --- delivery


async def test_s09_held_events_are_released_in_any_order_and_number(world: World) -> None:
    world.sandbox.delivery.mode = "hold"
    await world.subscriber()
    assert world.inbox.events == []
    await world.sandbox.delivery.release([COMPLETED, "customer.subscription.created", COMPLETED])
    assert world.inbox.types() == [COMPLETED, "customer.subscription.created", COMPLETED]
    world.sandbox.delivery.drop("invoice.paid")
    await world.sandbox.delivery.release()
    assert "invoice.paid" not in world.inbox.types()
    event = next(event for event in world.sandbox.events if event["type"] == "invoice.paid")
    await world.sandbox.delivery.resend(event["id"])
    assert world.inbox.events[-1]["id"] == event["id"]


async def test_s21_undelivered_events_are_listed_for_thirty_days(world: World) -> None:
    world.sandbox.delivery.mode = "drop"
    await world.subscriber()
    lost: Any = {"delivery_success": False, "types": [COMPLETED], "limit": 100}
    listed = await world.v1.events.list_async(lost)
    assert [event.type for event in listed.data] == [COMPLETED]
    await world.sandbox.delivery.resend(listed.data[0].id)
    assert (await world.v1.events.list_async(lost)).data == []
    await world.sandbox.advance(31 * DAY)
    assert (await world.v1.events.list_async({"types": [COMPLETED]})).data == []


async def test_refused_event_is_tried_again_then_given_up(world: World) -> None:
    world.sandbox.delivery.retry_seconds = (0.01, 0.01)
    world.inbox.answers = [500, 404]
    await world.session()
    await world.sandbox.advance(DAY + 1)
    assert world.inbox.types() == ["checkout.session.expired"]
    assert [row["status"] for row in world.history.of("stripe_event_sent")] == [500, 404, 200]
    world.inbox.answers = [500] * 3
    await world.v1.customers.create_async({"email": "a@test.test"})
    await world.sandbox.delivery.settled()
    assert world.sandbox.events[-1]["pending_webhooks"] == 1


async def test_s06_duplicate_mode_sends_each_event_twice(world: World) -> None:
    world.sandbox.delivery.mode = "duplicate"
    await world.v1.customers.create_async({"email": "a@test.test"})
    await world.sandbox.delivery.settled()
    assert world.inbox.types() == ["customer.created"] * 2
    assert world.inbox.events[0]["id"] == world.inbox.events[1]["id"]


async def test_s14_endpoint_made_by_the_api_has_its_own_secret_and_version(world: World) -> None:
    url, world.sandbox.webhook_url = world.sandbox.webhook_url or "", None
    made = await world.v1.webhook_endpoints.create_async(
        {"url": url, "enabled_events": ["customer.created"], "api_version": "2025-03-31.basil"}
    )
    world.inbox.secret = str(made.secret)
    await world.subscriber()
    assert world.inbox.types() == ["customer.created"]
    assert world.inbox.events[0]["api_version"] == "2025-03-31.basil"
    await world.v1.webhook_endpoints.update_async(made.id, {"disabled": True})
    await world.subscriber()
    assert len(world.inbox.events) == 1
