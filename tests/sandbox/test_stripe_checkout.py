"""What can be bought at the stand-in: one-time orders, trials, teams, other currencies, codes, kept cards."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe as vendor

from tests.sandbox.test_stripe import DAY, World, opened

GOOD = "4242424242424242"
GIFT = {
    "currency": "eur",
    "unit_amount": 8700,
    "product_data": {"name": "Signals: 3 months as a gift"},
}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as one:
        yield one


async def gift(world: World, **params: Any) -> Any:
    wanted = {
        "mode": "payment",
        "line_items": [{"price_data": GIFT, "quantity": 1}],
        "subscription_data": None,
        "payment_intent_data": {"metadata": {"gift": "17"}},
        **params,
    }
    return await world.session(**wanted)


async def test_gift_is_paid_once_and_names_itself_on_intent_and_charge(world: World) -> None:
    session = await gift(world, customer_creation="always")
    assert (session.mode, session.amount_total, session.payment_intent) == ("payment", 8700, None)
    page = await (await world.http.get(session.url)).text()
    assert "87.00 EUR" in page
    assert "once" in page
    await world.http.post(session.url, data={"card": GOOD, "email": "ben@test.test"}, allow_redirects=False)
    done = await world.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["payment_intent.latest_charge", "payment_intent.payment_method", "customer"]}
    )
    assert (done.status, done.payment_status, done.subscription) == ("complete", "paid", None)
    assert done.customer.email == "ben@test.test"
    assert done.payment_intent.metadata["gift"] == "17"
    assert done.payment_intent.latest_charge.metadata["gift"] == "17"
    assert done.payment_intent.payment_method.card.last4 == "4242"
    assert world.history.of("stripe_bought")[0]["amount"] == 8700
    assert not world.history.of("stripe_paid")


async def test_gift_of_a_guest_has_no_customer_and_can_be_given_back(world: World) -> None:
    session = await gift(world)
    world.sandbox.pay(session.id)
    done = await world.v1.checkout.sessions.retrieve_async(session.id)
    assert done.customer is None
    await world.v1.refunds.create_async({"payment_intent": done.payment_intent, "reason": "requested_by_customer"})
    charge = (await world.v1.charges.list_async({"payment_intent": done.payment_intent})).data[0]
    assert charge.refunded is True
    assert world.history.of("stripe_refunded")[0]["member"] == "member-7"


@pytest.mark.parametrize(("card", "outcome"), [("sepa", "succeeded"), ("sepa_fails", "failed")])
async def test_s12_gift_by_slow_debit_is_unpaid_until_settled(world: World, card: str, outcome: str) -> None:
    session = await gift(world)
    world.sandbox.pay(session.id, card)
    assert (await world.v1.checkout.sessions.retrieve_async(session.id)).payment_status == "unpaid"
    await world.sandbox.advance(3 * DAY)
    assert f"checkout.session.async_payment_{outcome}" in world.inbox.types()
    done = await world.v1.checkout.sessions.retrieve_async(session.id)
    assert done.payment_status == ("paid" if outcome == "succeeded" else "unpaid")


async def test_modes_do_not_mix(world: World) -> None:
    refused: list[dict[str, Any]] = [
        {"mode": "payment", "subscription_data": None},
        {"payment_intent_data": {"description": "x"}},
        {"line_items": [{"price_data": GIFT, "quantity": 1}]},
        {"customer_creation": "always"},
        {"customer_update": {"address": "auto"}},
    ]
    for params in refused:
        with pytest.raises(vendor.InvalidRequestError):
            await world.session(**params)


async def test_trial_without_a_card_ends_as_it_was_agreed(world: World) -> None:
    ends = {"end_behavior": {"missing_payment_method": "cancel"}}
    session = await world.session(
        payment_method_collection="if_required",
        subscription_data={"trial_period_days": 7, "trial_settings": ends, "metadata": {"member": "member-7"}},
    )
    sub = world.sandbox.pay(session.id, None)
    assert sub is not None
    assert (sub["status"], sub["default_payment_method"]) == ("trialing", None)
    await world.sandbox.advance(7 * DAY + 1)
    assert await world.status(sub["id"]) == "canceled"
    assert not world.history.of("stripe_renewed")


async def test_team_buys_as_many_seats_as_it_chooses(world: World) -> None:
    line = {
        "price": world.price["id"],
        "quantity": 3,
        "adjustable_quantity": {"enabled": True, "minimum": 2, "maximum": 9},
    }
    session = await world.session(line_items=[line])
    page = await (await world.http.get(session.url)).text()
    assert "87.00 EUR" in page
    assert "name=quantity" in page
    assert "58.00 EUR" in await (await world.http.post(session.url, data={"quantity": "2", "change": "1"})).text()
    await world.http.post(session.url, data={"quantity": "4", "card": GOOD}, allow_redirects=False)
    sub = (await world.v1.subscriptions.list_async({})).data[0]
    assert sub["items"].data[0].quantity == 4
    sold = (await world.v1.checkout.sessions.line_items.list_async(session.id)).data[0]
    assert (sold.quantity, sold.amount_total, sold.adjustable_quantity.maximum) == (4, 4 * 2900, 9)
    assert world.history.of("stripe_paid")[0]["amount"] == 4 * 2900


async def test_price_is_paid_in_the_asked_currency(world: World) -> None:
    price = await world.v1.prices.create_async(
        {
            "currency": "eur",
            "unit_amount": 2900,
            "product": world.price["product"],
            "recurring": {"interval": "month"},
            "currency_options": {"usd": {"unit_amount": 3100}},
        }
    )
    lines = [{"price": price.id, "quantity": 1}]
    session = await world.session(line_items=lines, currency="usd")
    assert (session.currency, session.amount_total) == ("usd", 3100)
    sub = world.sandbox.pay(session.id)
    assert sub is not None
    assert sub["currency"] == "usd"
    invoice = await world.v1.invoices.retrieve_async(sub["latest_invoice"])
    assert (invoice.currency, invoice.total, invoice.lines.data[0].amount) == ("usd", 3100, 3100)
    shown = await world.v1.prices.retrieve_async(price.id, {"expand": ["currency_options"]})
    assert shown.currency_options["usd"].unit_amount == 3100
    with pytest.raises(vendor.InvalidRequestError, match="not available in the currency"):
        await world.session(line_items=lines, currency="gbp")
    with pytest.raises(vendor.InvalidRequestError, match="combine currencies"):
        await world.session(line_items=lines, customer=sub["customer"], currency="eur")


async def test_preset_promotion_code_reduces_the_order(world: World) -> None:
    code = world.sandbox.add_promotion_code("FRIEND", percent_off=20.0, duration="forever")
    session = await world.session(discounts=[{"promotion_code": code["id"]}])
    assert session.amount_total == 2320
    with pytest.raises(vendor.InvalidRequestError, match="allow_promotion_codes, discounts"):
        await world.session(discounts=[{"promotion_code": code["id"]}], allow_promotion_codes=True)
    world.sandbox.pay(session.id)
    await world.sandbox.advance(32 * DAY)
    assert world.history.of("stripe_renewed")[0]["amount"] == 2320


async def test_code_for_newcomers_is_refused_to_a_member_who_had_a_trial(world: World) -> None:
    coupon = await world.v1.coupons.create_async({"percent_off": 20, "duration": "once"})
    wanted = {
        "promotion": {"type": "coupon", "coupon": coupon.id},
        "code": "NEW",
        "restrictions": {"first_time_transaction": True},
    }
    code = await world.v1.promotion_codes.create_async(wanted)
    first = await world.session(discounts=[{"promotion_code": code.id}], subscription_data={"trial_period_days": 7})
    sub = world.sandbox.pay(first.id)
    assert sub is not None
    with pytest.raises(vendor.InvalidRequestError, match="invalid"):
        await world.session(customer=sub["customer"], discounts=[{"promotion_code": code.id}])


async def test_coupon_takes_off_its_amount_in_each_of_its_currencies(world: World) -> None:
    price = world.sandbox.add_price(2900, currency_options={"usd": 3100})
    coupon = await world.v1.coupons.create_async(
        {
            "amount_off": 500,
            "currency": "eur",
            "duration": "once",
            "currency_options": {"usd": {"amount_off": 600}},
        }
    )
    for currency, total in (("eur", 2400), ("usd", 2500)):
        lines = [{"price": price["id"], "quantity": 1}]
        session = await world.session(line_items=lines, currency=currency, discounts=[{"coupon": coupon.id}])
        assert session.amount_total == total


async def test_tax_is_on_top_where_the_operator_switched_it_on(world: World) -> None:
    world.sandbox.account.tax_percent = 19
    session = await world.session(automatic_tax={"enabled": True}, tax_id_collection={"enabled": True})
    assert (session.automatic_tax.enabled, session.amount_total, session.total_details.amount_tax) == (True, 3451, 551)
    sub = world.sandbox.pay(session.id)
    assert sub is not None
    invoice = await world.v1.invoices.retrieve_async(sub["latest_invoice"])
    assert (invoice.total, invoice.total_excluding_tax, invoice.total_taxes[0].amount) == (3451, 2900, 551)
    buyer = sub["customer"]
    with pytest.raises(vendor.InvalidRequestError, match="valid address"):
        await world.session(customer=buyer, automatic_tax={"enabled": True})
    with pytest.raises(vendor.InvalidRequestError, match="business name"):
        await world.session(customer=buyer, tax_id_collection={"enabled": True})
    update = {"address": "auto", "name": "auto"}
    await world.session(
        customer=buyer, automatic_tax={"enabled": True}, tax_id_collection={"enabled": True}, customer_update=update
    )
    world.sandbox.account.tax_active = False
    with pytest.raises(vendor.InvalidRequestError, match="Stripe Tax"):
        await world.session(automatic_tax={"enabled": True})


async def test_open_session_can_be_closed_by_the_shop_and_a_paid_one_not(world: World) -> None:
    session = await world.session()
    closed = await world.v1.checkout.sessions.expire_async(session.id)
    assert (closed.status, closed.url) == ("expired", None)
    await world.sandbox.delivery.settled()
    assert world.inbox.types() == ["checkout.session.expired"]
    paid = await world.session()
    world.sandbox.pay(paid.id)
    with pytest.raises(vendor.InvalidRequestError, match="can be expired"):
        await world.v1.checkout.sessions.expire_async(paid.id)


async def test_the_same_card_has_the_same_fingerprint_for_everybody(world: World) -> None:
    prints = []
    for card, expiry in [(GOOD, (1, 2027)), (GOOD, (1, 2027)), ("5555555555554444", (3, 2031))]:
        session = await world.session()
        sub = world.sandbox.pay(session.id, card, expiry=expiry)
        assert sub is not None
        found = await world.v1.subscriptions.retrieve_async(sub["id"], {"expand": ["default_payment_method"]})
        shown = found.default_payment_method.card
        prints.append((shown.fingerprint, shown.brand, shown.last4, shown.exp_month, shown.exp_year))
    assert prints[0] == prints[1]
    assert prints[0][1:] == ("visa", "4242", 1, 2027)
    assert prints[2][1:] == ("mastercard", "4444", 3, 2031)
    assert prints[2][0] != prints[0][0]


async def test_card_is_kept_without_a_charge(world: World) -> None:
    buyer = await world.v1.customers.create_async({"email": "anna@test.test"})
    session = await world.session(
        mode="setup", line_items=None, subscription_data=None, currency="eur", customer=buyer.id
    )
    made = world.sandbox.pay(session.id, expiry=(5, 2029))
    assert made is not None
    intent = await world.v1.setup_intents.retrieve_async(made["id"], {"expand": ["payment_method"]})
    assert (intent.status, intent.payment_method.card.exp_year) == ("succeeded", 2029)
    held = await world.v1.customers.payment_methods.list_async(buyer.id)
    assert [row.id for row in held.data] == [intent.payment_method.id]
