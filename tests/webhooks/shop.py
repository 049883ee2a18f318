"""A shop with everything that can be chosen: periods, currencies, seats, days for free."""

from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select

from core import catalogue, models, sold
from core.billing import links
from tests.sandbox.stripe import Stripe
from tests.webhooks.conftest import World

MONTH, YEAR, QUARTER = (2900, "month", 1), (29_000, "year", 1), (8000, "month", 3)


def priced(stripe: Stripe, name: str, *rows: tuple[int, str, int]) -> tuple[sold.Price, ...]:
    """Prices of one product in dollars, each also in euros at nine tenths."""
    product = stripe.add_product(name)["id"]
    made = [
        stripe.add_price(
            amount,
            "usd",
            interval,
            product=product,
            interval_count=count,
            currency_options={"eur": amount * 9 // 10},
        )
        for amount, interval, count in rows
    ]
    return tuple(sold.Price(id=row["id"]) for row in made)


def full(stripe: Stripe) -> catalogue.Catalogue:
    """A plan with three periods and a week for free, and one for teams."""
    pro = catalogue.Plan(key="pro", name="Pro", trial_days=7, prices=priced(stripe, "Pro", MONTH, QUARTER, YEAR))
    team = catalogue.Plan(
        key="team", name="Team", seats=sold.Seats(least=2, most=10), prices=priced(stripe, "Team", MONTH, YEAR)
    )
    return catalogue.Catalogue(plans=(pro, team))


def link(world: World, member_id: int, plan: str = "pro") -> str:
    return world.local(links.checkout_url(world.stack.settings, member_id, plan, now=world.now))


async def page(world: World, member_id: int, plan: str = "pro", query: str = "") -> str:
    """The checkout page as this member sees it."""
    async with world.http.get(link(world, member_id, plan) + query) as answer:
        assert answer.status == 200
        return await answer.text()


async def post(world: World, member_id: int, plan: str = "pro", **said: str) -> tuple[int, str, str]:
    """What comes of the button: status, text, and where the browser goes."""
    async with world.http.post(link(world, member_id, plan), data=said, allow_redirects=False) as answer:
        return answer.status, await answer.text(), answer.headers.get("Location", "")


async def buy(world: World, member_id: int, plan: str = "pro", **said: str) -> dict[str, Any]:
    """The open session of Stripe to which the button leads."""
    status, text, place = await post(world, member_id, plan, **said)
    assert status == 303, text
    found: dict[str, Any] = world.stripe.account.get("checkout.session", urlsplit(place).path.rsplit("/", 1)[-1])
    return found


async def pay(world: World, session: dict[str, Any], card: str = "4242424242424242") -> str:
    """The id of the subscription that this session became."""
    sub = world.stripe.pay(session["id"], card)
    assert sub is not None
    await world.settle()
    return str(sub["id"])


def price_of(world: World, plan: str, place: int = 0) -> str:
    return world.stack.catalogue.by_key[plan].price_ids[place]


async def rows(world: World) -> list[models.Checkout]:
    async with world.stack.db.reading() as session:
        return list(await session.scalars(select(models.Checkout).order_by(models.Checkout.id)))
