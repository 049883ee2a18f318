"""`signalstack stripe setup`: everything stands in the account once, however often it is asked for."""

from typing import Any

import pytest

from core import catalogue, errors
from tests.webhooks.conftest import World
from webhooks import prices
from webhooks.payments import stripe, stripe_setup, stripe_shelf, stripe_wire

PLANS = (
    catalogue.Plan(key="basic", name="Basic", description="Bitcoin only."),
    catalogue.Plan(key="pro", name="Pro"),
)
RATE = stripe_shelf.Rate(2900, "EUR")


async def run(world: World, book: catalogue.Catalogue, rate: stripe_shelf.Rate | None = RATE) -> tuple[Any, list[str]]:
    said: list[str] = []
    return await stripe_setup.setup(world.stack.settings, book, rate, say=said.append), said


async def test_products_prices_portal_and_endpoint_are_made_once(world: World) -> None:
    book = catalogue.Catalogue(plans=PLANS)
    made, said = await run(world, book)
    kinds = ("product", "price", "billing_portal.configuration", "webhook_endpoint")
    before = [len(world.stripe.account.all(kind)) for kind in kinds]
    (endpoint,) = world.stripe.account.all("webhook_endpoint")
    assert endpoint["url"] == "https://signals.example/webhooks/stripe"
    assert endpoint["api_version"] == stripe_wire.API_VERSION
    assert any("STRIPE_WEBHOOK_SECRET=whsec_" in line for line in said)
    again, said = await run(world, book)
    assert again == made
    assert [len(world.stripe.account.all(kind)) for kind in kinds] == before
    assert not any("whsec_" in line for line in said)
    found, _ = await run(world, book, None)
    assert found == made


async def test_made_prices_can_be_sold_and_name_their_plan(world: World) -> None:
    made, _ = await run(world, catalogue.Catalogue(plans=PLANS))
    price = world.stripe.account.get("price", made["basic"])
    assert (price["unit_amount"], price["currency"], price["metadata"]) == (2900, "eur", {"signalstack_plan": "basic"})
    sold = catalogue.Catalogue(plans=(PLANS[0].model_copy(update={"price_id": made["basic"]}),))
    provider = stripe.open_provider(world.stack.settings, sold)
    (told,) = await provider.prices()
    assert (told.amount, told.currency, told.interval, told.interval_count) == (2900, "eur", "month", 1)
    await provider.close()


async def test_plan_that_names_its_price_keeps_it_and_an_unknown_one_is_said(world: World) -> None:
    made, said = await run(world, world.stack.catalogue, None)
    assert made == {"signals": world.stack.settings.stripe_price_id}
    assert said[0].endswith("is there.")
    wrong = catalogue.Catalogue(plans=(catalogue.Plan(key="pro", name="Pro", price_id="price_no"),))
    with pytest.raises(errors.RefusedError, match="which Stripe does not know"):
        await run(world, wrong)


async def test_plan_without_price_needs_an_amount(world: World) -> None:
    with pytest.raises(errors.RefusedError, match="say what it costs"):
        await run(world, catalogue.Catalogue(plans=PLANS[:1]), None)


async def test_other_amount_makes_another_price_of_the_same_product(world: World) -> None:
    book = catalogue.Catalogue(plans=PLANS[:1])
    first, _ = await run(world, book)
    second, _ = await run(world, book, stripe_shelf.Rate(4900, "eur"))
    assert first != second
    products = {world.stripe.account.get("price", made["basic"])["product"] for made in (first, second)}
    assert len(products) == 1


async def test_endpoint_that_hears_too_little_hears_everything_afterwards(world: World) -> None:
    await run(world, world.stack.catalogue)
    (endpoint,) = world.stripe.account.all("webhook_endpoint")
    endpoint["enabled_events"] = ["invoice.paid", "customer.created"]
    endpoint["api_version"] = "2025-02-24.acacia"
    _, said = await run(world, world.stack.catalogue)
    assert set(stripe_setup.EVENTS) | {"customer.created"} == set(endpoint["enabled_events"])
    assert any("speaks API version 2025-02-24.acacia" in line for line in said)


async def test_many_objects_of_others_do_not_hide_ours(world: World) -> None:
    book = catalogue.Catalogue(plans=PLANS[:1])
    made, _ = await run(world, book)
    for number in range(120):
        world.stripe.add_product(f"Other {number}")
    assert (await run(world, book))[0] == made


async def test_portal_sessions_use_the_configuration_that_setup_made(world: World) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    await run(world, world.stack.catalogue)
    (ours,) = [
        row
        for row in world.stripe.account.all("billing_portal.configuration")
        if row["metadata"].get("signalstack_portal")
    ]
    provider = world.here.providers[0]
    assert provider is not None
    customer = (await world.row(anna)).customer_id
    for _ in range(2):
        await provider.portal(customer, "https://signals.example/")
    assert {row["configuration"] for row in world.stripe.account.all("billing_portal.session")} == {ours["id"]}


async def test_price_that_is_not_one_amount_each_period_is_not_offered(world: World) -> None:
    provider = world.here.providers[0]
    assert provider is not None
    price = next(iter(world.stripe.account.tables["price"].values()))
    price["unit_amount"] = None
    await prices.refresh(world.here, provider)
    assert f"price_missing:{price['id']}" in await world.alarms()


async def test_wrong_key_is_one_readable_sentence(world: World) -> None:
    world.stripe.api.api_key = "sk_test_another"
    with pytest.raises(errors.RefusedError, match="STRIPE_API_KEY"):
        await run(world, world.stack.catalogue)
