"""The stand-in's portal and invoices, used as a member uses them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe as vendor

from tests.sandbox.test_stripe import World, opened


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as one:
        yield one


async def portal(world: World, customer: str, features: dict[str, Any] | None = None, **params: Any) -> Any:
    wanted: dict[str, Any] = {"customer": customer, "return_url": "http://shop.test/account", **params}
    if features is not None:
        made = await world.v1.billing_portal.configurations.create_async({"features": features})
        wanted["configuration"] = made.id
    return await world.v1.billing_portal.sessions.create_async(wanted)


async def test_member_gives_another_card(world: World) -> None:
    sub = await world.subscriber("fails_later")
    page = await portal(world, sub.customer, {"payment_method_update": {"enabled": True}})
    assert "Visa ending in 0341" in await (await world.http.get(page.url)).text()
    bad = await world.http.post(page.url, data={"action": "card", "card": "4000000000000002", "expiry": "1/2031"})
    assert "declined" in await bad.text()
    good = {"action": "card", "card": "5555 5555 5555 4444", "expiry": "1/2031"}
    assert "Mastercard ending in 4444, until 1/2031" in await (await world.http.post(page.url, data=good)).text()
    await world.sandbox.advance(32 * 86_400)
    assert await world.status(sub.id) == "active"


async def test_member_changes_plan_and_number(world: World) -> None:
    higher = world.sandbox.add_price(4900, name="Signals Pro")
    sub = await world.subscriber()
    update = {
        "enabled": True,
        "default_allowed_updates": ["price", "quantity"],
        "products": [{"product": higher["product"], "prices": [higher["id"]]}],
        "proration_behavior": "always_invoice",
    }
    page = await portal(world, sub.customer, {"subscription_update": update})
    shown = await (await world.http.get(page.url)).text()
    assert "Signals Pro, 49.00 EUR every month" in shown
    assert "Cancel plan" not in shown
    form = {"action": "update", "subscription": sub.id, "price": higher["id"], "quantity": "2"}
    assert "2 × 49.00 EUR" in await (await world.http.post(page.url, data=form)).text()
    item = (await world.v1.subscriptions.retrieve_async(sub.id))["items"].data[0]
    assert (item.price.id, item.quantity) == (higher["id"], 2)


async def test_link_to_one_change_shows_its_price_and_leads_back(world: World) -> None:
    sub = await world.subscriber()
    price = world.sandbox.add_price(4900)
    wanted = {"subscription": sub.id, "items": [{"id": sub["items"].data[0].id, "price": price["id"], "quantity": 1}]}
    flow = {
        "type": "subscription_update_confirm",
        "subscription_update_confirm": wanted,
        "after_completion": {"type": "redirect", "redirect": {"return_url": "http://shop.test/changed"}},
    }
    update = {"enabled": True, "proration_behavior": "always_invoice"}
    page = await portal(world, sub.customer, {"subscription_update": update}, flow_data=flow)
    assert "20.00 EUR" in await (await world.http.get(page.url)).text()
    form = {"action": "confirm", "subscription": sub.id}
    answer = await world.http.post(page.url, data=form, allow_redirects=False)
    assert answer.headers["Location"] == "http://shop.test/changed"
    assert (await world.v1.subscriptions.retrieve_async(sub.id))["items"].data[0].price.id == price["id"]


async def test_link_to_ending_shows_only_that_plan(world: World) -> None:
    sub = await world.subscriber()
    other = world.sandbox.add_subscription(world.sandbox.add_price(900, name="Other"), customer=sub.customer)
    flow = {"type": "subscription_cancel", "subscription_cancel": {"subscription": sub.id}}
    page = await portal(world, sub.customer, flow_data=flow)
    shown = await (await world.http.get(page.url)).text()
    assert sub.id in shown
    assert other["id"] not in shown
    await world.http.post(page.url, data={"action": "cancel", "subscription": sub.id})
    assert (await world.v1.subscriptions.retrieve_async(sub.id)).cancel_at_period_end is True


async def test_plan_of_somebody_else_cannot_be_changed(world: World) -> None:
    mine, theirs = await world.subscriber(), await world.subscriber()
    page = await portal(world, mine.customer)
    shown = await (await world.http.post(page.url, data={"action": "cancel", "subscription": theirs.id})).text()
    assert "cannot be changed" in shown
    assert (await world.v1.subscriptions.retrieve_async(theirs.id)).cancel_at_period_end is False


async def test_bank_asks_about_the_renewal_and_the_member_confirms_on_the_invoice(world: World) -> None:
    sub = await world.subscriber("asks_later")
    await world.sandbox.advance(32 * 86_400)
    assert await world.status(sub.id) == "past_due"
    types = world.inbox.types()
    assert types.index("invoice.payment_action_required") < types.index("invoice.payment_failed")
    latest = (await world.v1.subscriptions.retrieve_async(sub.id, {"expand": ["latest_invoice"]})).latest_invoice
    paid = {"invoice": latest.id, "expand": ["data.payment.payment_intent"]}
    intent = (await world.v1.invoice_payments.list_async(paid)).data[0].payment.payment_intent
    assert (intent.status, intent.next_action.type) == ("requires_action", "use_stripe_sdk")
    assert "Confirm the payment" in await (await world.http.get(latest.hosted_invoice_url)).text()
    assert "paid" in await (await world.http.post(latest.hosted_invoice_url)).text()
    assert await world.status(sub.id) == "active"
    with pytest.raises(vendor.CardError) as asked:
        await world.v1.subscriptions.update_async(
            sub.id,
            {
                "items": [{"id": sub["items"].data[0].id, "quantity": 2}],
                "proration_behavior": "always_invoice",
                "payment_behavior": "error_if_incomplete",
            },
        )
    assert asked.value.code == "subscription_payment_intent_requires_action"


async def test_open_invoice_is_paid_with_another_card(world: World) -> None:
    sub = await world.subscriber("fails_later")
    await world.sandbox.advance(32 * 86_400)
    latest = (await world.v1.subscriptions.retrieve_async(sub.id, {"expand": ["latest_invoice"]})).latest_invoice
    bad = await world.http.post(latest.hosted_invoice_url, data={"card": "4000000000000002"})
    assert "declined" in await bad.text()
    await world.http.post(latest.hosted_invoice_url, data={"card": "4242424242424242"})
    await world.sandbox.advance(32 * 86_400)
    assert await world.status(sub.id) == "active"
    assert (await world.http.get(f"{world.sandbox.base_url}/invoice/in_none")).status == 404
