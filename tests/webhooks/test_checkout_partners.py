"""Invitation codes and discounts on the checkout page, and taxes where the operator has them worked out."""

from typing import Any

import pytest

from core import catalogue, models
from core.billing import partners
from tests.sandbox.stripe import Stripe
from tests.webhooks import shop
from tests.webhooks.conftest import World
from tests.webhooks.test_checkout import unbroken


@pytest.fixture
async def world(worlds: Any) -> World:
    opened: World = await worlds(book=shop.full)
    return opened


async def joe(world: World, promotion: str = "") -> models.Partner:
    async with world.stack.db.transaction() as session:
        return await partners.add(session, "joe", "Joe's podcast", promotion, by="test", now=world.now)


async def test_code_on_the_page_counts_for_its_partner_and_is_not_asked_for_again(world: World) -> None:
    partner, anna = await joe(world), await world.member()
    assert "I have an invitation code" in await shop.page(world, anna)
    await shop.pay(world, await shop.buy(world, anna, "team", code=" JOE "))
    (row,) = await shop.rows(world)
    assert row.partner_id == partner.id
    async with world.stack.db.reading() as session:
        (numbers,) = await partners.numbers(session)
    assert (numbers.came, numbers.trial, numbers.paying) == (1, 0, 1)
    text = await shop.page(world, anna)
    assert "Invited by Joe&#39;s podcast" in unbroken(text)
    assert "I have an invitation code" not in text


@pytest.mark.parametrize("by_id", [True, False])
async def test_partners_discount_is_on_the_page_of_stripe(world: World, by_id: bool) -> None:
    code = world.stripe.add_promotion_code("SPRING20", percent_off=20, duration="once")
    await joe(world, code["id"] if by_id else "SPRING20")
    anna = await world.member()
    session = await shop.buy(world, anna, "team", code="joe")
    assert session["amount_total"] == 2 * 2900 * 8 // 10
    assert not session["allow_promotion_codes"]
    assert "the discount that comes with your invitation is taken off there" in unbroken(await shop.page(world, anna))


@pytest.mark.parametrize("said", ["GONE50", "promo_gone"])
async def test_discount_that_stripe_does_not_know_costs_nobody_the_purchase(world: World, said: str) -> None:
    await joe(world, said)
    session = await shop.buy(world, await world.member(), "team", code="joe")
    assert (session["amount_total"], session["allow_promotion_codes"]) == (2 * 2900, True)


async def test_server_error_costs_nobody_the_discount(world: World) -> None:
    world.stripe.add_promotion_code("SPRING20", percent_off=20, duration="once")
    await joe(world, "SPRING20")
    world.stripe.fault("500", "POST", "/v1/checkout/sessions", count=2, after_store=True)
    session = await shop.buy(world, await world.member(), "team", code="joe")
    assert session["amount_total"] == 2 * 2900 * 8 // 10


async def test_first_partner_stays_and_a_retired_one_gives_no_discount(world: World) -> None:
    world.stripe.add_promotion_code("SPRING20", percent_off=20, duration="once")
    partner, anna = await joe(world, "SPRING20"), await world.member()
    await shop.buy(world, anna, "team", code="joe")
    async with world.stack.db.transaction() as session:
        await partners.add(session, "ann", "Ann", by="test", now=world.now)
        await partners.end(session, "joe", now=world.now)
    second = await shop.buy(world, anna, "team", code="ann")
    assert second["amount_total"] == 2 * 2900
    async with world.stack.db.reading() as session:
        brought = await partners.of_member(session, anna)
    assert brought is not None
    assert brought.id == partner.id
    status, text, _ = await shop.post(world, await world.member("Eve"), "team", code="joe")
    assert (status, "We do not know this code" in text) == (400, True)


def taxed(stripe: Stripe) -> catalogue.Catalogue:
    book = shop.full(stripe)
    return book.model_copy(update={"policy": catalogue.Policy(tax=True)})


async def test_taxes_are_worked_out_by_stripe_where_the_operator_says_so(worlds: Any) -> None:
    world = await worlds(book=taxed)
    world.stripe.account.tax_active = True
    anna = await world.member()
    first = await shop.buy(world, anna, "team")
    assert first["automatic_tax"]["enabled"] is True
    assert first["tax_id_collection"]["enabled"] is True
    assert first["billing_address_collection"] == "required"
    sub = await shop.pay(world, first)
    world.stripe.cancel(sub, at_period_end=False)
    await world.settle()
    again = await shop.buy(world, anna, "team")
    assert (again["customer"], again["automatic_tax"]["enabled"]) == (first["customer"], True)


async def test_taxes_that_the_account_does_not_have_are_an_alarm(worlds: Any) -> None:
    world = await worlds(book=taxed)
    world.stripe.account.tax_active = False
    status, _, _ = await shop.post(world, await world.member(), "team")
    assert status == 503
    assert "checkout_refused" in await world.alarms()


async def test_without_taxes_nothing_about_them_is_asked(world: World) -> None:
    session = await shop.buy(world, await world.member(), "team")
    assert session["automatic_tax"]["enabled"] is False
    assert session["billing_address_collection"] is None
