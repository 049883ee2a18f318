"""Changing a plan: the choices, what was shown is what happens, and nothing happens without a yes."""

import asyncio
import re
from typing import Any

import pytest

from core import catalogue, sold
from core.billing import links
from tests.sandbox import stripe_billing
from tests.sandbox.stripe import Stripe
from tests.webhooks import shop
from tests.webhooks.conftest import World

DAY = 86_400


def book(stripe: Stripe) -> catalogue.Catalogue:
    """Two plans without free days, one of them also for a year, and one for teams."""
    rows = {
        "basic": (shop.MONTH, shop.YEAR),
        "pro": ((5900, "month", 1), (59_000, "year", 1)),
        "team": ((1500, "month", 1),),
    }
    made = {key: shop.priced(stripe, key.capitalize(), *prices) for key, prices in rows.items()}
    seats = {"team": sold.Seats(least=2, most=10)}
    plans = [sold.Plan(key=key, name=key.capitalize(), prices=made[key], seats=seats.get(key)) for key in made]
    return catalogue.Catalogue(plans=tuple(plans))


@pytest.fixture
async def world(worlds: Any) -> World:
    opened: World = await worlds(book=book)
    return opened


def link(world: World, member_id: int, plan: str = "") -> str:
    return world.local(links.url(world.stack.settings, links.CHANGE, member_id, plan, now=world.now))


async def starts(
    world: World, plan: str = "basic", place: int = 0, *, since: float = 0, **said: str
) -> tuple[int, str, str]:
    """A member who has paid so many seconds ago: (member, subscription, address of the page)."""
    anna = await world.member()
    sub = await shop.pay(world, await shop.buy(world, anna, plan, price=shop.price_of(world, plan, place), **said))
    await world.stripe.advance(since)
    await world.settle()
    return anna, sub, link(world, anna, plan)


async def get(world: World, url: str) -> tuple[int, str]:
    async with world.http.get(url) as answer:
        return answer.status, _plain(await answer.text())


async def post(world: World, url: str, **form: str) -> tuple[int, str, str]:
    async with world.http.post(url, data=form, allow_redirects=False) as answer:
        place = answer.headers.get("Location", "")
        return answer.status, _plain(await answer.text()), world.url + place if place.startswith("/") else place


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


async def chosen(world: World, url: str, plan: str, place: int = 0, seats: str = "") -> tuple[str, str]:
    """Where the choice is shown, and what is shown."""
    status, text, shown = await post(world, url, price=shop.price_of(world, plan, place), seats=seats)
    assert status == 303, text
    status, said = await get(world, shown)
    assert status == 200
    return shown, said


def latest(world: World, sub: str) -> Any:
    return stripe_billing.invoices_of(world.stripe.account, sub)[-1]


async def test_page_shows_what_there_is_in_the_currency_that_is_paid(world: World) -> None:
    anna, _, url = await starts(world, currency="EUR")
    status, text = await get(world, url)
    assert status == 200
    assert "Basic 26.10 EUR / month" in text
    for price in ("26.10 EUR every month (as it is now)", "261.00 EUR every year", "53.10 EUR every month"):
        assert price in text
    assert "USD" not in text
    assert (await world.row(anna)).amount == 2610


async def test_upgrade_charges_to_the_cent_what_was_shown(world: World) -> None:
    anna, sub, url = await starts(world, since=10 * DAY + 12_345)
    before = len(stripe_billing.invoices_of(world.stripe.account, sub))
    shown, said = await chosen(world, url, "pro")
    (due,) = re.findall(r"Change and pay (\S+) USD", said)
    assert "Next charge: 59.00 USD on 15 Feb 2026" in said
    assert len(stripe_billing.invoices_of(world.stripe.account, sub)) == before

    status, _, place = await post(world, shown)

    assert status == 303
    invoice = latest(world, sub)
    assert (invoice["status"], f"{invoice['amount_paid'] / 100:.2f}") == ("paid", due)
    assert "Pro , paid until 15 Feb 2026" in (await get(world, place))[1]
    row = await world.row(anna)
    assert (row.plan, row.amount, row.quantity) == ("pro", 5900, 1)
    assert await world.plans_of(anna) == {"pro"}
    await world.settle()
    assert (await world.notices(anna))[1:] == ["plan_changed"]


async def test_downgrade_charges_nothing_and_the_next_invoice_is_the_one_that_was_shown(world: World) -> None:
    anna, sub, url = await starts(world, "pro", since=10 * DAY)
    before = latest(world, sub)["id"]
    shown, said = await chosen(world, url, "basic")
    assert "Nothing is charged now" in said
    ((amount, day),) = re.findall(r"The next charge is (\S+) USD on ([^,]+),", said)
    assert (await post(world, shown))[0] == 303
    assert latest(world, sub)["id"] == before
    assert await world.plans_of(anna) == {"basic"}

    await world.stripe.advance(22 * DAY)
    await world.settle()

    renewal = latest(world, sub)
    assert (day, f"{renewal['amount_paid'] / 100:.2f}") == ("15 Feb 2026", amount)
    assert renewal["amount_paid"] < 2900


async def test_longer_period_is_charged_at_once_with_the_rest_credited(world: World) -> None:
    anna, sub, url = await starts(world, since=10 * DAY)
    shown, said = await chosen(world, url, "basic", 1)
    assert "Unused time" in said
    (due,) = re.findall(r"Change and pay (\S+) USD", said)
    assert (await post(world, shown))[0] == 303
    assert f"{latest(world, sub)['amount_paid'] / 100:.2f}" == due
    row = await world.row(anna)
    assert (row.interval, row.snapshot["period_end"][:10]) == ("year", "2027-01-25")


async def test_shorter_period_leaves_credit_that_is_said_before(world: World) -> None:
    anna, sub, url = await starts(world, "basic", 1, since=10 * DAY)
    shown, said = await chosen(world, url, "basic")
    ((left,),) = [re.findall(r"(\S+) USD stay as credit", said)]
    assert "0.00 USD now" in said
    assert "on 25 Feb 2026, before discounts" in said  # and not at the end of the year that is left
    assert (await post(world, shown))[0] == 303
    customer = world.stripe.account.get("customer", world.stripe.subscription(sub)["customer"])
    assert f"{-customer['balance'] / 100:.2f}" == left
    assert (await world.row(anna)).interval == "month"


async def test_refused_card_changes_nothing_and_the_way_to_the_portal_is_shown(world: World) -> None:
    anna, sub, url = await starts(world, since=DAY)
    shown, _ = await chosen(world, url, "pro")
    world.stripe.fail_next_renewal(sub)
    status, text, _ = await post(world, shown)
    assert status == 402
    assert "Your card was refused" in text
    assert "Nothing was changed and nothing was charged" in text
    await world.settle()
    assert (await world.row(anna)).plan == "basic"
    world.stripe.card_works(sub)
    await world.stripe.advance(60)
    shown, _ = await chosen(world, url, "pro")
    assert (await post(world, shown))[0] == 303
    assert (await world.row(anna)).plan == "pro"


async def test_two_clicks_are_one_change(world: World) -> None:
    _, sub, url = await starts(world, since=DAY)
    shown, _ = await chosen(world, url, "pro")
    before = len(stripe_billing.invoices_of(world.stripe.account, sub))
    found = await asyncio.gather(*(post(world, shown) for _ in range(3)))
    assert {status for status, *_ in found} <= {303, 503}
    assert (await post(world, shown))[0] == 303
    assert len(stripe_billing.invoices_of(world.stripe.account, sub)) == before + 1


async def test_lost_answer_is_said_so_and_the_second_try_does_not_pay_twice(world: World) -> None:
    _, sub, url = await starts(world, since=DAY)
    shown, _ = await chosen(world, url, "pro")
    before = len(stripe_billing.invoices_of(world.stripe.account, sub))
    world.stripe.fault("drop", "POST", r"/v1/subscriptions/.*", count=2, after_store=True)
    status, text, _ = await post(world, shown)
    assert status == 503
    assert "we do not know yet" in text
    assert (await post(world, shown))[0] == 303
    assert len(stripe_billing.invoices_of(world.stripe.account, sub)) == before + 1


async def test_what_was_shown_is_good_for_ten_minutes_and_for_its_member_alone(world: World) -> None:
    anna, _, url = await starts(world)
    shown, _ = await chosen(world, url, "pro")
    eve = await world.member("Eve")
    word = shown.rsplit("/", 1)[-1]
    assert (await post(world, f"{link(world, eve)}/{word}"))[0] == 403
    assert (await post(world, f"{url}/{word[:-2]}xx"))[0] == 403
    await world.stripe.advance(601)
    status, text, _ = await post(world, shown)
    assert status == 403
    assert "too old" in text
    assert (await world.row(anna)).plan == "basic"


async def test_amounts_that_moved_are_shown_again_and_not_charged(world: World) -> None:
    anna, sub, url = await starts(world, since=DAY)
    shown, _ = await chosen(world, url, "pro")
    customer = world.stripe.account.get("customer", world.stripe.subscription(sub)["customer"])
    customer["balance"] = -500  # the operator gives five dollars meanwhile
    status, _, place = await post(world, shown)
    assert status == 303
    status, text = await get(world, place)
    assert "The amounts are other ones than a moment ago" in text
    assert (await world.row(anna)).plan == "basic"
    assert (await post(world, place))[0] == 303
    assert (await world.row(anna)).plan == "pro"


async def test_change_made_elsewhere_meanwhile_is_noticed(world: World) -> None:
    anna, sub, url = await starts(world)
    shown, _ = await chosen(world, url, "pro")
    item = world.stripe.subscription(sub)["items"]["data"][0]
    await world.here.provider("stripe")._v1.subscriptions.update_async(  # type: ignore[union-attr]
        sub, {"items": [{"id": item["id"], "price": shop.price_of(world, "basic", 1)}]}
    )
    await world.settle()
    status, text, _ = await post(world, shown)
    assert status == 409
    assert "changed meanwhile" in text
    row = await world.row(anna)
    assert (row.plan, row.interval) == ("basic", "year")


async def test_change_in_the_dashboard_gives_the_same_access(world: World) -> None:
    anna, sub, _ = await starts(world)
    item = world.stripe.subscription(sub)["items"]["data"][0]
    await world.here.provider("stripe")._v1.subscriptions.update_async(  # type: ignore[union-attr]
        sub, {"items": [{"id": item["id"], "price": shop.price_of(world, "pro")}]}
    )
    await world.settle()
    assert await world.plans_of(anna) == {"pro"}
    assert (await world.row(anna)).amount == 5900
    assert (await world.notices(anna))[1:] == ["plan_changed"]
    await world.stripe.advance(35 * DAY)
    await world.settle()
    assert (await world.notices(anna))[1:] == ["plan_changed"]


async def test_seats_are_added_and_those_that_end_are_named_before(world: World) -> None:
    anna, _, url = await starts(world, "team", since=DAY, seats="3")
    shown, said = await chosen(world, url, "team", seats="5")
    assert "× 5 seats" in said
    assert (await post(world, shown))[0] == 303
    assert (await world.row(anna)).quantity == 5
    status, text, _ = await post(world, url, price=shop.price_of(world, "team"), seats="11")
    assert (status, "between 2 and 10 seats" in text) == (422, True)


@pytest.mark.parametrize("wrong", [{}, {"price": "price_x"}, {"price": "same"}])
async def test_wrong_input_is_one_clear_sentence_on_the_page(world: World, wrong: dict[str, str]) -> None:
    _, _, url = await starts(world)
    form = {"price": shop.price_of(world, "basic")} if wrong.get("price") == "same" else wrong
    status, text, _ = await post(world, url, **form)
    assert status == 422
    assert "Please choose" in text


async def test_page_says_why_nothing_can_be_changed(world: World) -> None:
    anna, sub, url = await starts(world)
    world.stripe.cancel(sub)
    await world.settle()
    status, text = await get(world, url)
    assert (status, "You have cancelled this subscription" in text) == (200, True)
    assert (await post(world, url, price=shop.price_of(world, "pro")))[0] == 200
    bob = await world.member("Bob")
    assert (await get(world, link(world, bob)))[0] == 404
    assert (await get(world, link(world, anna)[:-3] + "xxx"))[0] == 403
    await world.stripe.advance(3601)
    assert (await get(world, url))[0] == 403


async def test_provider_that_is_away_changes_nothing(world: World) -> None:
    anna, _, url = await starts(world)
    world.stripe.fault("500", "POST", r"/v1/invoices/create_preview", count=None)
    status, text, _ = await post(world, url, price=shop.price_of(world, "pro"))
    assert (status, "Nothing was changed" in text) == (503, True)
    assert (await world.row(anna)).plan == "basic"


async def test_what_the_provider_refuses_is_said_in_our_words(world: World) -> None:
    anna, sub, url = await starts(world)
    world.stripe.account.tables["price"].pop(shop.price_of(world, "pro"))
    status, text, _ = await post(world, url, price=shop.price_of(world, "pro"))
    assert status == 422
    assert "Our payment provider cannot make this change now" in text
    assert "refuses" not in text
    world.stripe.set_status(sub, "past_due")
    status, text, _ = await post(world, url, price=shop.price_of(world, "basic", 1))
    assert "The last payment is still open" in text
    assert (await world.row(anna)).plan == "basic"


async def test_in_free_days_nothing_is_charged_and_the_new_price_counts_afterwards(worlds: Any) -> None:
    world: World = await worlds(book=shop.full)
    anna, sub, url = await starts(world, "pro")
    assert "Free until 22 Jan 2026" in (await get(world, url))[1]
    shown, said = await chosen(world, url, "pro", 2)
    assert "Your free days go on" in said
    assert "Then 290.00 USD is charged, on 22 Jan 2026" in said
    assert (await post(world, shown))[0] == 303
    assert latest(world, sub)["amount_paid"] == 0
    assert (await world.row(anna)).status == "trialing"
    await world.stripe.advance(8 * DAY)
    await world.settle()
    assert latest(world, sub)["amount_paid"] == 29_000


async def test_a_provider_without_changes_says_so(world: World) -> None:
    anna, _, url = await starts(world)
    object.__setattr__(world.here, "providers", ())
    status, text = await get(world, url)
    assert (status, "This subscription cannot be changed" in text) == (200, True)
    assert await world.plans_of(anna) == {"basic"}
