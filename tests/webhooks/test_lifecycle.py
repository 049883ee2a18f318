"""From paying to losing access, over real sockets: what Stripe says is what a member has."""

import itertools
from typing import Any

import pytest

from tests.webhooks.conftest import World

DAY = 86_400


async def test_member_pays_has_the_plan_and_hears_of_it(both: World) -> None:
    anna = await both.member()
    assert await both.plans_of(anna) == set()
    await both.subscribe(anna)
    assert await both.plans_of(anna) == {"signals"}
    assert await both.notices(anna) == ["access_started"]
    row = await both.row(anna)
    assert row.customer_id.startswith("cus_")
    assert row.plan == "signals"


async def test_declined_card_gives_nothing(world: World) -> None:
    anna = await world.member()
    session = await world.checkout(anna)
    assert world.stripe.pay(session, "declined") is None
    await world.settle()
    assert await world.plans_of(anna) == set()
    assert await world.notices(anna) == []


async def test_renewal_keeps_access_and_says_nothing(world: World) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    await world.stripe.advance(32 * DAY)
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}
    assert await world.notices(anna) == ["access_started"]


async def test_failed_renewal_keeps_access_for_the_grace_and_no_longer(world: World) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    unpaid_from = world.stripe.subscription(sub)["items"]["data"][0]["current_period_end"]
    world.stripe.fail_next_renewal(sub)
    await world.stripe.advance(unpaid_from - world.stripe.now() + 7200)
    await world.settle()
    assert world.stripe.subscription(sub)["status"] == "past_due"
    assert await world.plans_of(anna) == {"signals"}
    assert "payment_failed" in await world.notices(anna)
    row = await world.row(anna)
    assert row.access_until is not None
    assert row.access_until.timestamp() == unpaid_from + 3 * DAY
    await world.stripe.advance(3 * DAY)
    assert await world.plans_of(anna) == set()


async def test_s09_every_order_of_the_events_ends_in_what_stripe_says(world: World) -> None:
    world.stripe.delivery.mode = "hold"
    kinds = ["customer.subscription.created", "invoice.paid", "checkout.session.completed"]
    for number, order in enumerate(itertools.permutations(kinds)):
        member = await world.member(f"m{number}")
        world.stripe.pay(await world.checkout(member), "4242424242424242")
        world.stripe.delivery.drop(*(event["id"] for event in world.stripe.delivery.held if event["type"] not in kinds))
        for kind in order:
            await world.stripe.delivery.release([kind])
            await world.settle()
        assert await world.plans_of(member) == {"signals"}, order
        assert await world.notices(member) == ["access_started"]


async def test_s10_late_update_does_not_bring_back_a_cancelled_member(world: World) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    world.stripe.delivery.mode = "hold"
    world.stripe.set_status(sub, "active")
    world.stripe.account.emit("customer.subscription.updated", dict(world.stripe.subscription(sub)))
    world.stripe.cancel(sub, at_period_end=False)
    await world.stripe.delivery.release(["customer.subscription.deleted"])
    await world.settle()
    assert await world.plans_of(anna) == set()
    await world.stripe.delivery.release()
    await world.settle()
    assert await world.plans_of(anna) == set()
    assert await world.notices(anna) == ["access_started", "access_ended"]


async def test_s11_subscription_told_before_its_checkout_is_linked_by_our_metadata(world: World) -> None:
    anna = await world.member()
    world.stripe.delivery.mode = "hold"
    sub = world.stripe.pay(await world.checkout(anna))
    assert sub is not None
    await world.stripe.delivery.release(["customer.subscription.created"])
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}


async def test_s11_subscription_without_metadata_is_kept_and_linked_by_the_stored_checkout(both: World) -> None:
    anna = await both.member()
    both.stripe.delivery.mode = "hold"
    session = await both.checkout(anna)
    sub = both.stripe.pay(session)
    assert sub is not None
    sub["metadata"].clear()
    both.stripe.account.get("checkout.session", session)["metadata"].clear()
    await both.stripe.delivery.release(["customer.subscription.created"])
    await both.settle()
    assert await both.plans_of(anna) == set()
    await both.stripe.delivery.release(["checkout.session.completed"])
    await both.settle()
    assert await both.plans_of(anna) == {"signals"}


@pytest.mark.parametrize("async_status", ["active", "incomplete"])
async def test_s12_slow_payment_gives_access_only_when_the_money_is_there(world: World, async_status: str) -> None:
    world.stripe.account.async_status = async_status
    anna = await world.member()
    await world.subscribe(anna, "sepa")
    assert await world.plans_of(anna) == set()
    assert await world.notices(anna) == ["payment_pending"]
    await world.stripe.advance(3 * DAY + 60)
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}
    assert await world.notices(anna) == ["payment_pending", "access_started"]


async def test_s12_refused_slow_payment_is_told_and_gives_nothing(world: World) -> None:
    anna = await world.member()
    await world.subscribe(anna, "sepa_fails")
    await world.stripe.advance(3 * DAY + 60)
    await world.settle()
    assert await world.plans_of(anna) == set()
    assert await world.notices(anna) == ["payment_pending", "payment_refused"]


async def test_s12_completed_told_after_the_refusal_does_not_look_pending_again(world: World) -> None:
    anna = await world.member()
    world.stripe.delivery.mode = "hold"
    session = await world.checkout(anna)
    world.stripe.pay(session, "sepa_fails")
    world.stripe.settle_debit(session, paid=False)
    for kind in ("checkout.session.async_payment_failed", "checkout.session.completed"):
        await world.stripe.delivery.release([kind])
        await world.settle()
    assert await world.notices(anna) == ["payment_refused"]


@pytest.mark.parametrize("version", ["2025-02-24.acacia", "2025-03-31.basil", "2026-10-28.endive"])
async def test_s14_s15_events_of_any_api_version_are_understood(worlds: Any, version: str) -> None:
    world = await worlds()
    world.stripe.api_version = version
    anna = await world.member()
    sub = await world.subscribe(anna)
    assert await world.plans_of(anna) == {"signals"}
    await world.stripe.advance(40 * DAY)
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}
    world.stripe.refund(sub)
    await world.settle()
    assert await world.plans_of(anna) == set()


async def test_s15_end_is_the_latest_of_the_items_that_open_something(world: World) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    other = world.stripe.add_price(900, "usd", "month", name="Something else")
    paid_to = world.stripe.subscription(sub)["items"]["data"][0]["current_period_end"]
    world.stripe.add_item(sub, other, period_end=paid_to + 300 * DAY)
    await world.settle()
    row = await world.row(anna)
    assert row.access_until is not None
    assert row.access_until.timestamp() == paid_to + 3 * DAY


async def test_s16_open_session_without_subscription_changes_nothing(world: World) -> None:
    anna = await world.member()
    session = world.stripe.account.get("checkout.session", await world.checkout(anna))
    assert session["subscription"] is None
    world.stripe.account.emit("checkout.session.completed", session)
    await world.settle()
    assert [item.state for item in await world.inbox()] == ["done"]
    assert await world.plans_of(anna) == set()


@pytest.mark.parametrize(
    ("status", "has"),
    [
        ("active", True),
        ("trialing", True),
        ("past_due", True),
        ("incomplete", False),
        ("incomplete_expired", False),
        ("unpaid", False),
        ("paused", False),
        ("canceled", False),
        ("brand_new", False),
    ],
)
async def test_s17_status_decides_and_the_unknown_opens_nothing(world: World, status: str, has: bool) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    world.stripe.set_status(sub, status)
    await world.settle()
    assert await world.plans_of(anna) == ({"signals"} if has else set())


async def test_s17_paused_collection_follows_the_policy(world: World) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    world.stripe.pause_collection(sub)
    await world.settle()
    assert await world.plans_of(anna) == set()
    world.stripe.pause_collection(sub, None)
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}


async def test_s18_cancelled_at_period_end_ends_then_without_any_event(world: World) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    world.stripe.cancel(sub)
    await world.settle()
    assert await world.notices(anna) == ["access_started", "cancel_planned"]
    world.stripe.delivery.mode = "drop"
    end = world.stripe.subscription(sub)["items"]["data"][0]["current_period_end"]
    await world.stripe.advance(end - world.stripe.now() - 1)
    assert await world.plans_of(anna) == {"signals"}
    await world.stripe.advance(1)
    assert await world.plans_of(anna) == set()


async def test_s18_cancellation_taken_back_is_told(world: World) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    world.stripe.cancel(sub)
    await world.settle()
    await world.stripe.advance(60)
    world.stripe.keep(sub)
    await world.settle()
    assert await world.notices(anna) == ["access_started", "cancel_planned", "cancel_undone"]


async def test_s19_partial_refunds_keep_access_and_the_full_one_ends_it(world: World) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    for amount in (1000, 1000):
        world.stripe.refund(sub, amount)
        await world.settle()
        assert await world.plans_of(anna) == {"signals"}
    world.stripe.refund(sub)
    await world.settle()
    assert await world.plans_of(anna) == set()


@pytest.mark.parametrize(
    ("outcome", "has"), [("inquiry", True), ("warning_closed", True), ("open", False), ("lost", False)]
)
async def test_s19_dispute_ends_access_but_an_inquiry_does_not(world: World, outcome: str, has: bool) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    world.stripe.dispute(sub, outcome)
    await world.settle()
    assert await world.plans_of(anna) == ({"signals"} if has else set())


async def test_s19_won_dispute_gives_access_back(world: World) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    world.stripe.dispute(sub, "open")
    await world.settle()
    await world.stripe.advance(60)
    world.stripe.dispute(sub, "won")
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}
    assert await world.notices(anna) == ["access_started", "access_ended", "access_started"]
