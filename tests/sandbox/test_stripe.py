"""The Stripe stand-in, held against the real stripe library over real sockets."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import stripe as vendor
from aiohttp import web

from tests.sandbox import stripe_periods, stripe_shape
from tests.sandbox.history import History
from tests.sandbox.server import serving
from tests.sandbox.stripe import Stripe

DAY = 86_400
SECRET = "whsec_sandbox"


class Inbox:
    """A webhook endpoint that verifies with the vendor's code and answers what it is told to."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.answers: list[int] = []
        self.secret = SECRET

    async def take(self, request: web.Request) -> web.Response:
        body, header = await request.text(), request.headers["Stripe-Signature"]
        vendor.WebhookSignature.verify_header(body, header, self.secret, tolerance=300)
        status = self.answers.pop(0) if self.answers else 200
        self.headers.append(header)
        if status == 200:
            self.events.append(json.loads(body))
        return web.Response(status=status)

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def last(self, event_type: str) -> dict[str, Any]:
        return next(event for event in reversed(self.events) if event["type"] == event_type)


class World:
    def __init__(self, sandbox: Stripe, inbox: Inbox, client: vendor.StripeClient, http: aiohttp.ClientSession) -> None:
        self.sandbox, self.inbox, self.client, self.http = sandbox, inbox, client, http
        self.v1: Any = client.v1
        self.history = sandbox.account.history
        self.price = sandbox.add_price(2900, "eur", "month", name="Signals <Pro>")

    async def session(self, **params: Any) -> Any:
        wanted = {
            "mode": "subscription",
            "line_items": [{"price": self.price["id"], "quantity": 1}],
            "success_url": "http://shop.test/thanks?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "http://shop.test/back",
            "client_reference_id": "member-7",
            "subscription_data": {"metadata": {"member": "member-7"}},
            **params,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        return await self.v1.checkout.sessions.create_async(given)

    async def subscriber(self, card: str = "4242424242424242", **params: Any) -> Any:
        session = await self.session(**params)
        sub = self.sandbox.pay(session.id, card)
        assert sub is not None
        await self.sandbox.delivery.settled()
        return await self.v1.subscriptions.retrieve_async(sub["id"])

    async def status(self, sub_id: str) -> str:
        return str((await self.v1.subscriptions.retrieve_async(sub_id)).status)


@asynccontextmanager
async def opened(now: Callable[[], float] = time.time) -> AsyncIterator[World]:
    inbox = Inbox()
    hooks = web.Application()
    hooks.router.add_post("/hook", inbox.take)
    sandbox = Stripe(History(), now=now)
    wrong: list[str] = []
    sandbox.api.answered = lambda body: wrong.extend(stripe_shape.problems(body))
    async with serving(hooks) as hook_url, serving(sandbox.app) as url, aiohttp.ClientSession() as http:
        sandbox.base_url, sandbox.webhook_url = url, f"{hook_url}/hook"
        library = vendor.HTTPXClient(allow_sync_methods=False, timeout=1)
        client = vendor.StripeClient(
            "sk_test_sandbox", base_addresses={"api": url}, http_client=library, max_network_retries=0
        )
        try:
            yield World(sandbox, inbox, client, http)
        finally:
            await library.close_async()  # type: ignore[no-untyped-call]
    # An upcoming invoice has no id yet.
    objects = [{"id": "none", **event["data"]["object"]} for event in sandbox.events]
    told = [problem for shown in objects for problem in stripe_shape.problems(shown)]
    assert sorted(set(wrong + told)) == [], "the stand-in answered or told what Stripe would not"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as one:
        yield one


async def bought(world: World) -> Any:
    """A member has paid on the hosted page with plain HTTP; gives the session."""
    v1 = world.v1
    product = await v1.products.create_async({"name": "Signals", "metadata": {"plan": "pro"}})
    price = await v1.prices.create_async(
        {"product": product.id, "unit_amount": 4900, "currency": "eur", "recurring": {"interval": "month"}}
    )
    session = await world.session(line_items=[{"price": price.id, "quantity": 1}])
    assert (session.status, session.payment_status, session.subscription) == ("open", "unpaid", None)
    page = await (await world.http.get(session.url)).text()
    assert "no real money" in page
    assert "49.00 EUR" in page
    answer = await world.http.post(session.url, data={"card": "4242424242424242"}, allow_redirects=False)
    assert answer.headers["Location"] == f"http://shop.test/thanks?session={session.id}"
    return await v1.checkout.sessions.retrieve_async(session.id, {"expand": ["subscription.latest_invoice"]})


async def test_whole_story_from_price_to_canceled_with_the_real_library(world: World) -> None:
    v1, paid = world.v1, await bought(world)
    assert (paid.status, paid.payment_status, paid.subscription.latest_invoice.status) == ("complete", "paid", "paid")
    sub = await v1.subscriptions.retrieve_async(paid.subscription.id, {"expand": ["items.data.price.product"]})
    assert (sub.status, sub.metadata["member"]) == ("active", "member-7")
    item = sub["items"].data[0]
    assert item.price.product.metadata["plan"] == "pro"
    assert 28 * DAY <= item.current_period_end - item.current_period_start <= 31 * DAY
    fact = world.history.of("stripe_paid", member="member-7", subscription=sub.id)[0]
    assert (fact["amount"], fact["period_end"]) == (4900, item.current_period_end)
    portal = await v1.billing_portal.sessions.create_async(
        {"customer": sub.customer, "return_url": "http://shop.test/"}
    )
    assert "Cancel plan" in await (await world.http.get(portal.url)).text()
    after = await world.http.post(portal.url, data={"action": "cancel", "subscription": sub.id})
    assert "Renew plan" in await after.text()
    assert (await v1.subscriptions.retrieve_async(sub.id)).cancel_at_period_end is True
    await world.sandbox.advance(32 * DAY)
    assert await world.status(sub.id) == "canceled"
    types = world.inbox.types()
    order = ["customer.subscription.created", "invoice.paid", "checkout.session.completed"]
    order += ["customer.subscription.updated", "customer.subscription.deleted"]
    assert [types.index(name) for name in order] == sorted(types.index(name) for name in order)
    assert world.inbox.last("customer.subscription.updated")["data"]["previous_attributes"]["cancel_at"] is None
    assert world.history.of("stripe_ended", member="member-7")[0]["at"] == item.current_period_end


async def test_portal_renew_takes_the_cancellation_back(world: World) -> None:
    sub = await world.subscriber()
    portal = await world.v1.billing_portal.sessions.create_async({"customer": sub.customer})
    await world.http.post(portal.url, data={"action": "cancel", "subscription": sub.id})
    await world.http.post(portal.url, data={"action": "renew", "subscription": sub.id})
    await world.sandbox.advance(32 * DAY)
    assert await world.status(sub.id) == "active"
    assert len(world.history.of("stripe_renewed", subscription=sub.id)) == 1


async def test_declined_card_leaves_the_session_open_and_charges_nothing(world: World) -> None:
    session = await world.session()
    page = await (await world.http.post(session.url, data={"card": "4000000000000002"})).text()
    assert "Your card was declined" in page
    kept = await world.v1.checkout.sessions.retrieve_async(session.id)
    assert (kept.status, kept.subscription) == ("open", None)
    assert not world.history.of("stripe_paid")


async def test_names_and_codes_on_the_page_are_escaped(world: World) -> None:
    session = await world.session(allow_promotion_codes=True)
    page = await (await world.http.post(session.url, data={"code": '"><script>x', "apply": "1"})).text()
    assert "<script>" not in page
    assert "Signals &lt;Pro&gt;" in page


async def test_promotion_code_typed_on_the_page_reduces_the_price(world: World) -> None:
    coupon = await world.v1.coupons.create_async({"percent_off": 50, "duration": "once"})
    promotion: Any = {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "HALF"}
    code = await world.v1.promotion_codes.create_async(promotion)
    session = await world.session(allow_promotion_codes=True)
    assert "14.50 EUR" in await (await world.http.post(session.url, data={"code": "half", "apply": "1"})).text()
    await world.http.post(session.url, data={"code": "half", "card": "4242424242424242"}, allow_redirects=False)
    assert world.history.of("stripe_paid")[0]["amount"] == 1450
    assert (await world.v1.promotion_codes.retrieve_async(code.id)).times_redeemed == 1
    await world.sandbox.advance(32 * DAY)
    assert world.history.of("stripe_renewed")[0]["amount"] == 2900


async def test_failing_renewal_goes_past_due_is_retried_and_ends(world: World) -> None:
    sub = await world.subscriber()
    world.sandbox.fail_next_renewal(sub.id)
    await world.sandbox.advance(32 * DAY)
    assert await world.status(sub.id) == "past_due"
    await world.sandbox.advance(16 * DAY)
    assert await world.status(sub.id) == "canceled"
    attempts = [row["attempt"] for row in world.history.of("stripe_payment_failed", subscription=sub.id)]
    assert attempts == [1, 2, 3, 4]
    assert world.inbox.types().count("invoice.payment_failed") == 4
    assert world.inbox.last("customer.subscription.deleted")["data"]["object"]["status"] == "canceled"


@pytest.mark.parametrize(("after", "status"), [("unpaid", "unpaid"), ("past_due", "past_due")])
async def test_account_setting_decides_what_follows_the_last_retry(world: World, after: str, status: str) -> None:
    world.sandbox.account.after_retries = after
    sub = await world.subscriber("fails_later")
    await world.sandbox.advance(50 * DAY)
    assert await world.status(sub.id) == status
    world.sandbox.pay_open_invoices(sub.id)
    assert await world.status(sub.id) == "active"


async def test_card_that_works_again_is_charged_at_the_next_retry(world: World) -> None:
    sub = await world.subscriber()
    world.sandbox.fail_next_renewal(sub.id, attempts=1)
    await world.sandbox.advance(32 * DAY)
    assert await world.status(sub.id) == "past_due"
    await world.sandbox.advance(4 * DAY)
    assert await world.status(sub.id) == "active"
    updated = [e["data"] for e in world.inbox.events if e["type"] == "customer.subscription.updated"]
    assert [data["previous_attributes"].get("status") for data in updated][-2:] == ["active", "past_due"]


def test_months_end_on_the_anchor_day_or_the_last_one() -> None:
    anchor = 1_769_817_600  # 31 January 2026
    ends = [stripe_periods.later(anchor, "month", count) for count in (1, 2, 3)]
    assert [time.strftime("%m-%d", time.gmtime(end)) for end in ends] == ["02-28", "03-31", "04-30"]


async def test_trial_costs_nothing_then_renews(world: World) -> None:
    sub = await world.subscriber(subscription_data={"trial_period_days": 7, "metadata": {"member": "member-7"}})
    assert sub.status == "trialing"
    session = await world.v1.checkout.sessions.list_async({"subscription": sub.id})
    assert session.data[0].payment_status == "no_payment_required"
    await world.sandbox.advance(8 * DAY)
    assert await world.status(sub.id) == "active"
    assert "customer.subscription.trial_will_end" in world.inbox.types()
    assert world.history.of("stripe_renewed")[0]["amount"] == 2900


async def test_open_session_expires_after_a_day(world: World) -> None:
    session = await world.session()
    await world.sandbox.advance(DAY + 1)
    kept = await world.v1.checkout.sessions.retrieve_async(session.id)
    assert (kept.status, kept.url) == ("expired", None)
    assert world.inbox.types() == ["checkout.session.expired"]
    assert (await world.http.get(session.url)).status == 410


@pytest.mark.parametrize(
    ("card", "outcome", "status"), [("sepa", "succeeded", "active"), ("sepa_fails", "failed", "past_due")]
)
async def test_s12_slow_debit_is_unpaid_until_it_is_settled(world: World, card: str, outcome: str, status: str) -> None:
    sub = await world.subscriber(card)
    completed = world.inbox.last("checkout.session.completed")["data"]["object"]
    assert (completed["payment_status"], completed["status"]) == ("unpaid", "complete")
    assert not world.history.of("stripe_paid")
    await world.sandbox.advance(3 * DAY)
    assert f"checkout.session.async_payment_{outcome}" in world.inbox.types()
    assert await world.status(sub.id) == status
    assert len(world.history.of("stripe_paid")) == (outcome == "succeeded")


async def test_s14_s15_old_versions_carry_the_old_shape(world: World) -> None:
    world.sandbox.api_version = "2025-02-24.acacia"
    sub = await world.subscriber()
    told = world.inbox.last("customer.subscription.created")
    assert told["api_version"] == "2025-02-24.acacia"
    assert told["data"]["object"]["current_period_end"] == sub["items"].data[0].current_period_end
    assert "current_period_end" not in told["data"]["object"]["items"]["data"][0]
    kept = await world.v1.events.retrieve_async(told["id"])
    assert kept.data.object["current_period_end"] == told["data"]["object"]["current_period_end"]
    invoice = world.inbox.last("invoice.paid")["data"]["object"]
    assert invoice["subscription"] == sub.id
    assert "parent" not in invoice
    world.sandbox.api_version = "2025-03-31.basil"
    world.sandbox.refund(sub.id)
    await world.sandbox.delivery.settled()
    assert "invoice" not in world.inbox.last("charge.refunded")["data"]["object"]


async def test_s15_second_item_has_its_own_period(world: World) -> None:
    sub = await world.subscriber()
    end = sub["items"].data[0].current_period_end + 5 * DAY
    world.sandbox.add_item(sub.id, world.sandbox.add_price(100), period_end=end)
    ends = [item.current_period_end for item in (await world.v1.subscriptions.retrieve_async(sub.id))["items"].data]
    assert ends == [end - 5 * DAY, end]
    await world.sandbox.advance(32 * DAY)
    ends = [item.current_period_end for item in (await world.v1.subscriptions.retrieve_async(sub.id))["items"].data]
    assert ends[0] > ends[1] == end


async def test_s05_rotated_secret_signs_twice(world: World) -> None:
    world.sandbox.roll_secret("whsec_new")
    for secret in ("whsec_new", SECRET):
        world.inbox.secret = secret
        await world.subscriber()
    assert all(header.count("v1=") == 2 for header in world.inbox.headers)
    assert world.inbox.types().count("checkout.session.completed") == 2


async def test_s19_refunds_and_disputes_are_told_with_their_charge(world: World) -> None:
    sub = await world.subscriber()
    for amount in (900, 1000):
        world.sandbox.refund(sub.id, amount)
    charge = (await world.v1.charges.list_async({"customer": sub.customer, "expand": ["data.refunds"]})).data[0]
    assert (charge.amount_refunded, charge.refunded, len(charge.refunds.data)) == (1900, False, 2)
    payments = await world.v1.invoice_payments.list_async({"invoice": sub.latest_invoice})
    assert payments.data[0].payment.payment_intent == charge.payment_intent
    with pytest.raises(vendor.InvalidRequestError, match="greater than unrefunded"):
        await world.v1.refunds.create_async({"charge": charge.id, "amount": 5000})
    await world.v1.refunds.create_async({"payment_intent": charge.payment_intent})
    world.sandbox.dispute(sub.id, "inquiry")
    world.sandbox.dispute(sub.id, "open")
    dispute = world.sandbox.dispute(sub.id, "won")
    assert (await world.v1.disputes.retrieve_async(dispute["id"])).status == "won"
    await world.sandbox.delivery.settled()
    told = [e["data"]["previous_attributes"] for e in world.inbox.events if e["type"] == "charge.refunded"]
    assert [data["amount_refunded"] for data in told] == [0, 900, 1900]
    disputes = [(e["type"], e["data"]["object"]["status"]) for e in world.inbox.events if "dispute" in e["type"]]
    assert disputes[0] == ("charge.dispute.created", "warning_needs_response")
    assert ("charge.dispute.closed", "won") in disputes


async def test_s17_any_status_can_be_set_and_pausing_collection_keeps_active(world: World) -> None:
    sub = await world.subscriber()
    world.sandbox.pause_collection(sub.id)
    await world.sandbox.advance(32 * DAY)
    assert await world.status(sub.id) == "active"
    assert "invoice.voided" in world.inbox.types()
    assert not world.history.of("stripe_renewed")
    world.sandbox.set_status(sub.id, "brand_new")
    assert await world.status(sub.id) == "brand_new"
    await world.v1.subscriptions.pause_async(sub.id)
    assert await world.status(sub.id) == "paused"
    await world.v1.subscriptions.resume_async(sub.id)
    assert await world.status(sub.id) == "active"


async def test_concurrent_payments_of_one_session_make_one_subscription(world: World) -> None:
    session = await world.session()
    answers = await asyncio.gather(
        *(world.http.post(session.url, data={"card": "4242424242424242"}, allow_redirects=False) for _ in range(20))
    )
    assert sorted(answer.status for answer in answers) == [303, *[410] * 19]
    assert len((await world.v1.subscriptions.list_async({})).data) == 1
