"""Choosing on the checkout page: periods, currencies, seats; and that one choice at a time can be paid."""

import asyncio
import re
from typing import Any

import pytest

from core.billing import plans
from core.privacy import removal
from tests.webhooks import shop
from tests.webhooks.conftest import World


@pytest.fixture
async def world(worlds: Any) -> World:
    opened: World = await worlds(book=shop.full)
    return opened


def unbroken(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


async def test_page_shows_every_period_with_what_it_saves_in_honest_arithmetic(world: World) -> None:
    anna = await world.member()
    text = await shop.page(world, anna)
    said = unbroken(text)
    assert "29.00 USD every month" in said
    assert "80.00 USD every 3 months 7.00 USD less (8 %) than 3 payments of 29.00 USD" in said
    assert "290.00 USD every year 58.00 USD less (16 %) than 12 payments of 29.00 USD" in said
    assert re.search(rf'value="{shop.price_of(world, "pro")}" checked', text)
    assert await shop.rows(world) == []


async def test_prices_are_shown_and_paid_in_the_chosen_currency(world: World) -> None:
    anna = await world.member()
    text = await shop.page(world, anna, query="?currency=eur")
    assert "26.10 EUR every month" in unbroken(text)
    assert "USD every" not in unbroken(text)
    assert 'aria-current="true">EUR<' in text
    session = await shop.buy(world, anna, price=shop.price_of(world, "pro", 2), currency="EUR")
    assert (session["currency"], session["amount_total"]) == ("eur", 0)  # the week for free
    (row,) = await shop.rows(world)
    assert (row.price_id, row.currency) == (shop.price_of(world, "pro", 2), "EUR")


async def test_choice_in_the_address_is_chosen_on_the_page(world: World) -> None:
    anna, year = await world.member(), shop.price_of(world, "team", 1)
    text = await shop.page(world, anna, "team", f"?price={year}&currency=EUR&seats=7")
    assert re.search(rf'value="{year}" checked', text)
    assert re.search(r'name="seats"[^>]*value="7"', text)
    assert "261.00 EUR every year" in unbroken(text)


async def test_team_buys_its_seats_at_once(world: World) -> None:
    anna = await world.member()
    assert "You pay, for each seat" in unbroken(await shop.page(world, anna, "team"))
    sub = await shop.pay(world, await shop.buy(world, anna, "team", seats="4"))
    row = await world.row(anna)
    assert (row.external_id, row.quantity, row.amount) == (sub, 4, 2900)
    assert await world.plans_of(anna) == {"team"}


@pytest.mark.parametrize(
    ("plan", "said", "words"),
    [
        ("team", {"seats": "11"}, "Please choose between 2 and 10 seats."),
        ("team", {"seats": "1"}, "Please choose between 2 and 10 seats."),
        ("team", {"seats": "-3"}, "Please choose between 2 and 10 seats."),
        ("team", {"seats": "three"}, "Please choose between 2 and 10 seats."),
        ("team", {"seats": "9" * 50}, "Please choose between 2 and 10 seats."),
        ("pro", {"price": "price_of_somebody"}, "This price is not offered any more."),
        ("pro", {"currency": "GBP"}, "This price is not offered any more."),
        ("pro", {"code": "no such code"}, "We do not know this code"),
    ],
)
async def test_bad_input_brings_the_page_again_with_one_sentence(
    world: World, plan: str, said: dict[str, str], words: str
) -> None:
    anna = await world.member()
    status, text, _ = await shop.post(world, anna, plan, **said)
    assert status == 400
    assert re.search(rf'role="alert">{words}', text)
    assert 'type="submit"' in text
    assert await shop.rows(world) == []


async def test_price_of_another_plan_cannot_be_had_for_this_one(world: World) -> None:
    anna = await world.member()
    status, _, _ = await shop.post(world, anna, "team", price=shop.price_of(world, "pro"))
    assert status == 400


async def test_s13_another_choice_closes_the_first_page_before_it_opens_a_second(world: World) -> None:
    anna = await world.member()
    first = await shop.buy(world, anna)
    again = await shop.buy(world, anna)
    assert again["id"] == first["id"]
    second = await shop.buy(world, anna, price=shop.price_of(world, "pro", 2))
    assert (first["status"], second["status"]) == ("expired", "open")
    assert [row.state for row in await shop.rows(world)] == ["expired", "open"]
    await world.settle()
    assert [row.state for row in await shop.rows(world)] == ["expired", "open"]


async def test_s13_first_page_that_was_paid_meanwhile_is_not_followed_by_a_second(world: World) -> None:
    anna = await world.member()
    first = await shop.buy(world, anna)
    world.stripe.delivery.mode = "hold"
    world.stripe.pay(first["id"])
    status, text, _ = await shop.post(world, anna, price=shop.price_of(world, "pro", 2))
    assert status == 409
    assert "Your payment for this plan is on its way." in text
    assert len(world.stripe.account.all("checkout.session")) == 1


async def test_s13_first_page_whose_answer_was_lost_is_closed_too(world: World) -> None:
    anna = await world.member()
    world.stripe.fault("drop", "POST", "/v1/checkout/sessions", count=2, after_store=True)
    assert (await shop.post(world, anna))[0] == 503
    second = await shop.buy(world, anna, price=shop.price_of(world, "pro", 2))
    states = {row["id"]: row["status"] for row in world.stripe.account.all("checkout.session")}
    assert [state for key, state in states.items() if key != second["id"]] == ["expired"]
    assert states[second["id"]] == "open"


async def test_s13_page_that_was_paid_in_its_last_minute_is_not_followed_by_a_second(world: World) -> None:
    anna = await world.member()
    first = await shop.buy(world, anna)
    world.stripe.delivery.mode = "drop"
    world.stripe.pay(first["id"])
    await world.stripe.advance(30 * 3600)  # nobody told us, and nobody asked
    status, text, _ = await shop.post(world, anna)
    assert (status, "is on its way" in text) == (409, True)
    assert len(world.stripe.account.all("subscription")) == 1


async def test_page_that_stripe_will_not_close_is_said_without_words_from_inside(world: World) -> None:
    anna = await world.member()
    await shop.buy(world, anna)
    world.stripe.api.api_key = "sk_test_another"
    status, text, _ = await shop.post(world, anna, price=shop.price_of(world, "pro", 2))
    assert (status, "STRIPE" in text) == (503, False)


async def test_s13_stripe_away_opens_no_second_page(world: World) -> None:
    anna = await world.member()
    first = await shop.buy(world, anna)
    world.stripe.fault("503", "POST", f"/v1/checkout/sessions/{first['id']}/expire", count=None)
    assert (await shop.post(world, anna, price=shop.price_of(world, "pro", 2)))[0] == 503
    assert [row["status"] for row in world.stripe.account.all("checkout.session")] == ["open"]


async def test_s13_many_choices_at_once_leave_one_page_that_can_be_paid(worlds: Any) -> None:
    world = await worlds(book=shop.full)
    anna = await world.member()
    wanted = [shop.price_of(world, "pro", place) for place in (0, 1, 2)] * 2
    answers = await asyncio.gather(*(shop.post(world, anna, price=price) for price in wanted))
    assert {status for status, _, _ in answers} <= {303, 503}
    await shop.buy(world, anna, price=wanted[1])
    await world.settle()
    payable = [row for row in world.stripe.account.all("checkout.session") if row["status"] == "open"]
    assert len(payable) == 1
    assert [row.state for row in await shop.rows(world)].count("open") == 1


async def test_x10_page_of_who_was_deleted_is_closed_at_stripe_too(world: World) -> None:
    anna = await world.member()
    session = await shop.buy(world, anna)
    async with world.stack.db.transaction() as opened:
        await removal.remove(opened, anna, now=world.now)
    await world.settle()
    assert session["status"] == "expired"


async def test_s16_nothing_is_asked_that_a_checkout_has_not_before_it_is_paid(world: World) -> None:
    anna = await world.member()
    session = await shop.buy(world, anna)
    assert session["subscription"] is None
    assert session["payment_method_types"] == ["card"]  # Stripe's own choice: we name none


async def test_plans_page_says_every_way_shortly(world: World) -> None:
    async with world.http.get(f"{world.url}/plans") as answer:
        said = unbroken(await answer.text())
    assert "29.00 USD every month" in said
    assert "or 80.00 USD every 3 months or 290.00 USD every year; also in EUR" in said
    assert "7 days free" in said
    assert "29.00 USD every month, per seat" in said
    assert "For teams, 2 to 10 seats" in said


async def test_thanks_says_what_was_bought_and_nobodys_name(world: World) -> None:
    anna = await world.member("Anna Secret")
    session = await shop.buy(world, anna, "team", seats="3")
    async with world.http.get(f"{world.url}/thanks?session_id={session['id']}") as answer:
        text = await answer.text()
    said = unbroken(text)
    assert "Your plan Team Seats 3" in said
    assert "/seats" in said
    assert "Anna" not in text
    trial = await shop.buy(world, anna)
    async with world.http.get(f"{world.url}/thanks?session_id={trial['id']}") as answer:
        assert "Your plan Pro Free 7 days" in unbroken(await answer.text())
    for address in ("cs_forged", "x" * 5000, "%00", ""):
        async with world.http.get(f"{world.url}/thanks?session_id={address}") as answer:
            assert answer.status in {200, 400}
            assert "Your plan" not in await answer.text()


async def test_summary_of_an_offer_fits_on_one_line(world: World) -> None:
    async with world.stack.db.reading() as session:
        pro, team = await plans.offers(session, world.stack.catalogue)
    assert plans.summary(pro) == "29.00 USD / month or 80.00 USD / 3 months or 290.00 USD / year; also EUR"
    assert plans.summary(team) == "29.00 USD / month or 290.00 USD / year per seat; also EUR"
