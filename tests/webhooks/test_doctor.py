"""`signalstack stripe doctor`: one line for each thing that must be right, and what to do where it is not."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pydantic
import pytest

from core import catalogue, errors, models, sold
from core.billing import partners
from tests.sandbox.stripe import Stripe
from tests.webhooks.conftest import World
from webhooks.payments import stripe_doctor, stripe_setup


def sells(stripe: Stripe) -> catalogue.Catalogue:
    """A plan whose price says what it costs, and taxes."""
    row = stripe.add_price(2900, "usd", "month", currency_options={"eur": 2600})
    said = {"id": row["id"], "period": "month", "amount": Decimal(29), "currencies": {"EUR": Decimal(26)}}
    plan = catalogue.Plan(key="pro", name="Pro", prices=(sold.Price(**said),))
    return catalogue.Catalogue(plans=(plan,), policy=catalogue.Policy(tax=True))


@pytest.fixture
async def world(worlds: Any) -> World:
    opened: World = await worlds(book=sells)
    await stripe_setup.setup(opened.stack.settings, opened.stack.catalogue, None, say=lambda _: None)
    return opened


async def looked(world: World) -> tuple[int, dict[str, str]]:
    """The exit code, and what each check said."""
    said: list[str] = []
    code = await stripe_doctor.examine(world.stack, say=said.append)
    return code, {line[7:].partition(": ")[0]: line for line in said}


async def test_everything_is_in_order(world: World) -> None:
    code, said = await looked(world)
    assert code == 0, said
    assert all(line.startswith("  ok   ") for line in said.values())
    assert "it is a test key" in said["key"]
    assert "1 can be paid" in said["prices"]
    assert said["webhooks"] == "  ok   webhooks: https://signals.example/webhooks/stripe"
    assert said["taxes"].endswith("worked out by Stripe")
    assert not any("whsec_" in line or "sk_test" in line for line in said.values())


def _price(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.stripe.account.get("price", world.stack.catalogue.plans[0].named_ids[0])
    return found


def _archive(world: World) -> None:
    _price(world)["active"] = False


def _dearer(world: World) -> None:
    _price(world)["unit_amount"] = 3900


def _live(world: World) -> None:
    _price(world)["livemode"] = True


def _yearly(world: World) -> None:
    _price(world)["recurring"]["interval"] = "year"


def _gone(world: World) -> None:
    del world.stripe.account.tables["price"][_price(world)["id"]]


def _endpoint_off(world: World) -> None:
    world.stripe.account.all("webhook_endpoint")[0]["status"] = "disabled"


def _endpoint_deaf(world: World) -> None:
    world.stripe.account.all("webhook_endpoint")[0]["enabled_events"].remove("invoice.paid")


def _endpoint_gone(world: World) -> None:
    world.stripe.account.tables["webhook_endpoint"].clear()


def _portal_gone(world: World) -> None:
    world.stripe.account.tables["billing_portal.configuration"].clear()


def _portal_other(world: World) -> None:
    for row in world.stripe.account.all("billing_portal.configuration"):
        row["features"]["subscription_cancel"]["enabled"] = False


def _untaxed(world: World) -> None:
    world.stripe.account.tax_active = False


def _other_key(world: World) -> None:
    world.stripe.api.api_key = "sk_test_another"


FAULTS = [
    (_archive, "prices", "is archived"),
    (_dearer, "prices", "costs 39.00 USD, the catalogue says 29 USD"),
    (_live, "prices", "is not a test price, but the key is a test key"),
    (_yearly, "prices", "is not for a month"),
    (_gone, "prices", "is not in this account"),
    (_endpoint_off, "webhooks", "the endpoint is switched off"),
    (_endpoint_deaf, "webhooks", "it does not tell invoice.paid"),
    (_endpoint_gone, "webhooks", "no endpoint for https://signals.example/webhooks/stripe"),
    (_portal_gone, "portal", "its configuration is missing"),
    (_portal_other, "portal", "subscription_cancel is not as it was set up"),
    (_untaxed, "taxes", "Stripe Tax is not ready in your account (head_office"),
    (_other_key, "key", "Stripe does not accept our key; see STRIPE_API_KEY."),
]


@pytest.mark.parametrize(("break_it", "name", "words"), FAULTS, ids=[row[0].__name__[1:] for row in FAULTS])
async def test_what_is_wrong_is_said_in_its_own_line(world: World, break_it: Any, name: str, words: str) -> None:
    break_it(world)
    code, said = await looked(world)
    assert code == 1
    assert said[name].startswith("  FAIL ")
    assert words in said[name]


async def test_price_without_an_id_is_still_to_be_made(worlds: Any) -> None:
    plan = catalogue.Plan(key="pro", name="Pro", prices=(sold.Price(amount=Decimal(29)),))
    world = await worlds(book=catalogue.Catalogue(plans=(plan,)))
    assert "pro has 1 without an id (run: signalstack stripe setup)" in (await looked(world))[1]["prices"]


@pytest.mark.parametrize(
    ("secret", "words"), [("", "STRIPE_WEBHOOK_SECRET is missing"), ("sk_test_wrong_one", "does not look like one")]
)
async def test_secret_that_is_none(world: World, secret: str, words: str) -> None:
    conf = world.stack.settings.model_copy(update={"stripe_webhook_secret": pydantic.SecretStr(secret)})
    object.__setattr__(world.stack, "settings", conf)
    assert words in (await looked(world))[1]["secret"]


async def test_s21_events_that_did_not_arrive_are_counted(world: World) -> None:
    world.stripe.delivery.mode = "drop"
    world.stripe.account.emit("price.updated", _price(world))
    await world.stripe.delivery.settled()
    code, said = await looked(world)
    assert (code, "did not arrive; does https://signals.example answer from outside?" in said["events"]) == (1, True)


async def test_clock_that_is_off_is_said(world: World) -> None:
    ahead = world.stack.clock
    object.__setattr__(world.stack, "clock", lambda: ahead() + timedelta(minutes=5))
    _, said = await looked(world)
    assert "this machine's clock is 300 s off Stripe's" in said["clock"]


async def test_subscription_of_nobody_and_discount_of_the_past_are_found(world: World) -> None:
    row = {"provider": "stripe", "external_id": "sub_x", "customer_id": "cus_x", "plan": "pro", "status": "active"}
    moments = {"created_at": world.now, "read_at": world.now}
    async with world.stack.db.transaction() as session:
        session.add(models.Subscription(**row, **moments, snapshot={}))
        await partners.add(session, "joe", "Joe", "GONE", by="test", now=world.now)
    code, said = await looked(world)
    assert code == 1
    assert "1 running subscriptions belong to nobody" in said["members"]
    assert "that of joe cannot be used any more" in said["discounts"]


async def test_stripe_away_is_a_line_and_no_trace(world: World) -> None:
    world.stripe.fault("503", count=None)
    code, said = await looked(world)
    assert code == 1
    assert "Stripe has a problem of its own (HTTP 503)." in said["key"]


async def test_without_a_key_there_is_nothing_to_look_at(worlds: Any) -> None:
    world = await worlds(stripe_api_key="", stripe_webhook_secret="")
    with pytest.raises(errors.RefusedError, match="set STRIPE_API_KEY"):
        await looked(world)
