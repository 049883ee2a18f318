"""`signalstack stripe setup` with prices in the catalogue: every period and currency, made once and found again."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from core import catalogue, errors, sold
from tests.webhooks.conftest import World
from webhooks.payments import stripe, stripe_setup, stripe_wire

MONTH = sold.Price(
    period="month", amount=Decimal("29.00"), currency="USD", currencies={"EUR": Decimal(26), "JPY": 4000}
)
YEAR = sold.Price(period="year", amount=Decimal(290), currency="USD")
QUARTER = sold.Price(period="quarter", amount=Decimal("79.5"), currency="EUR")
PRO = catalogue.Plan(key="pro", name="Pro", prices=(MONTH, QUARTER, YEAR))


def book(*plans: catalogue.Plan, **more: Any) -> catalogue.Catalogue:
    return catalogue.Catalogue(plans=plans or (PRO,), **more)


async def run(world: World, *plans: catalogue.Plan, **given: Any) -> tuple[dict[str, str], list[str]]:
    said: list[str] = []
    made = await stripe_setup.setup(world.stack.settings, book(*plans), None, say=said.append, **given)
    return made, said


def counts(world: World) -> dict[str, int]:
    kinds = ("product", "price", "billing_portal.configuration", "webhook_endpoint")
    return {kind: len(world.stripe.account.all(kind)) for kind in kinds}


async def test_each_price_of_the_catalogue_is_made_once_in_all_its_currencies(world: World) -> None:
    made, said = await run(world)
    before = counts(world)
    rows = [world.stripe.account.get("price", made[label]) for label in made if label.startswith("id of")]
    told = [(row["unit_amount"], row["currency"], row["recurring"]["interval"], row["recurring"]["interval_count"])
            for row in rows]  # fmt: skip
    assert told == [(2900, "usd", "month", 1), (7950, "eur", "month", 3), (29_000, "usd", "year", 1)]
    assert len({row["product"] for row in rows}) == 1
    provider = stripe.open_provider(world.stack.settings, book(_with_ids(made)))
    paid = {(price.amount, price.currency) for price in await provider.prices()}
    await provider.close()
    assert {(2600, "eur"), (4000, "jpy"), (29_000, "usd")} <= paid
    assert f'  id of the monthly price in USD of the plan pro: "{rows[0]["id"]}"' in said
    again, said = await run(world)
    assert (again, counts(world)) == (made, before)
    assert "Everything stands; nothing was changed." in said


def _with_ids(made: dict[str, str]) -> catalogue.Plan:
    labels = {"month": "monthly price in USD", "quarter": "quarterly price in EUR", "year": "yearly price in USD"}
    return PRO.model_copy(update={"prices": tuple(
        price.model_copy(update={"id": made[f"id of the {labels[price.period]} of the plan pro"]})
        for price in PRO.prices
    )})  # fmt: skip


async def test_a_price_whose_id_is_written_down_is_left_as_it_is(world: World) -> None:
    made, _ = await run(world)
    before = counts(world)
    _, said = await run(world, _with_ids(made))
    assert counts(world) == before
    assert sum(line.endswith("is there.") and "its price" in line for line in said) == 3


async def test_another_currency_is_added_to_the_same_price(world: World) -> None:
    made, _ = await run(world)
    richer = MONTH.model_copy(update={"currencies": {**MONTH.currencies, "GBP": Decimal(24)}})
    again, said = await run(world, PRO.model_copy(update={"prices": (richer, QUARTER, YEAR)}))
    assert again == made
    assert any("can be paid in GBP too" in line for line in said)


async def test_what_is_refused_is_not_done_and_the_plan_is_shown_first(world: World) -> None:
    before, shown = counts(world), []

    def refuse(plan: Sequence[str]) -> bool:
        shown.extend(plan)
        return False

    made, said = await run(world, agree=refuse)
    assert (made, counts(world)) == ({}, before)
    assert shown[0] == "Plan pro: make its product."
    assert "Plan pro: make the price 29.00 USD / month (also 26.00 EUR, 4,000 JPY)." in shown
    assert "Plan pro: make the price 79.50 EUR / 3 months." in shown
    assert any("make the endpoint https://signals.example/webhooks/stripe" in line for line in shown)
    assert not any("whsec_" in line for line in said)


async def test_amount_that_no_coin_can_pay_is_said(world: World) -> None:
    odd = sold.Price(amount=Decimal("29.5"), currency="JPY")
    with pytest.raises(errors.RefusedError, match=r"29\.5 JPY has too many digits"):
        await run(world, PRO.model_copy(update={"prices": (odd,)}))


async def test_plan_for_stars_alone_needs_nothing_here(world: World) -> None:
    before = counts(world)
    _, said = await run(world, catalogue.Plan(key="stars", name="Stars", stars=500))
    assert "Plan stars: it is sold for Stars alone." in said
    assert counts(world)["price"] == before["price"]


async def test_portal_that_lets_plans_be_changed_is_set_right(world: World) -> None:
    await run(world)
    (ours,) = [row for row in world.stripe.account.all("billing_portal.configuration")
               if row["metadata"].get("signalstack_portal")]  # fmt: skip
    ours["features"]["subscription_cancel"]["mode"] = "immediately"
    _, said = await run(world)
    assert "Billing portal: set subscription_cancel right." in said
    assert ours["features"]["subscription_cancel"]["mode"] == "at_period_end"


async def test_endpoint_that_was_switched_off_is_on_again(world: World) -> None:
    await run(world)
    (endpoint,) = world.stripe.account.all("webhook_endpoint")
    endpoint["status"] = "disabled"
    _, said = await run(world)
    assert endpoint["status"] == "enabled"
    assert len(world.stripe.account.all("webhook_endpoint")) == 1
    assert any("is on and tells us every event we need" in line for line in said)


async def test_events_that_are_asked_for_are_those_that_the_library_knows() -> None:
    assert len(set(stripe_setup.EVENTS)) == len(stripe_setup.EVENTS)
    import stripe as library
    from stripe.params import WebhookEndpointCreateParams

    assert library.api_version == stripe_wire.API_VERSION
    known = str(WebhookEndpointCreateParams.__annotations__["enabled_events"])
    assert [event for event in stripe_setup.EVENTS if event not in known] == []
