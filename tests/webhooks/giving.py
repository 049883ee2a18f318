"""A world in which seats and gifts are sold, and what people do there."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import select

from core import catalogue, db, grants, members, models, sold
from core.billing import checkouts, gifts, invitations, links
from tests.sandbox.stripe import Stripe
from tests.webhooks.conftest import World, open_world
from webhooks import checkout

WATCHES = (catalogue.Watch(symbol="BTC/USDT"),)
TEAM, GIFTED = "team", "signals"


def book(stripe: Stripe) -> catalogue.Catalogue:
    """A plan that can be given, in two periods and two currencies, and a plan with seats."""
    month = stripe.add_price(2900, "usd", "month", name="Signals", currency_options={"eur": 2700})
    year = stripe.add_price(29000, "usd", "year", product=month["product"])
    seat = stripe.add_price(1500, "usd", "month", name="Team")
    one = (sold.Price(id=month["id"]), sold.Price(id=year["id"], period="year"))
    gifted = sold.Plan(key=GIFTED, name="Signals", prices=one, gift=True)
    team = sold.Plan(key=TEAM, name="Team", prices=(sold.Price(id=seat["id"]),), seats=sold.Seats(least=2, most=20))
    return catalogue.Catalogue(watches=WATCHES, plans=(gifted, team))


@asynccontextmanager
async def opened(database: db.Database, make_stack: Any, now: datetime, **settings: Any) -> AsyncIterator[World]:
    async with open_world(database, make_stack, now, book=book, **settings) as world:
        yield world


async def team(world: World, member_id: int, seats: int = 3) -> str:
    """The id of the subscription with so many seats that the member pays now."""
    plan = world.stack.catalogue.by_key[TEAM]
    choice = checkouts.Choice(plan, plan.price_ids[0], quantity=seats)
    url = await checkout.pay_page(world.here, world.here.providers[0], member_id, choice)
    sub = world.stripe.pay(url.rsplit("/", 1)[-1])
    assert sub is not None
    await world.settle()
    return str(sub["id"])


def page(world: World, purpose: str, member_id: int, plan: str = "") -> str:
    """The address of the member's page of this purpose."""
    return world.local(links.url(world.stack.settings, purpose, member_id, plan, now=world.now))


async def get(world: World, url: str) -> tuple[int, str]:
    async with world.http.get(url) as answer:
        return answer.status, await answer.text()


async def post(world: World, url: str, **form: Any) -> tuple[int, str, str]:
    """The status, the text, and where the browser is led."""
    async with world.http.post(url, data=form, allow_redirects=False) as answer:
        return answer.status, await answer.text(), answer.headers.get("Location", "")


async def gift(world: World, member_id: int, *, price: int = 0, currency: str = "USD") -> str:
    """The id of the session on which the member may pay for a gift, chosen on the page."""
    wanted = f"{GIFTED} {world.stack.catalogue.by_key[GIFTED].price_ids[price]} {currency}"
    status, text, place = await post(world, page(world, links.GIFT, member_id), gift=wanted)
    assert status == 303, text
    return place.rsplit("/", 1)[-1]


async def bought(world: World, member_id: int, card: str = "4242424242424242", **given: Any) -> str:
    """The session on which a gift was paid."""
    session = await gift(world, member_id, **given)
    assert world.stripe.pay(session, card) is not None
    await world.settle()
    return session


async def code(world: World, member_id: int) -> str:
    """A code for the member's only gift that nobody has taken."""
    made = invitations.code()
    async with world.stack.db.transaction() as session:
        (mine,) = await gifts.unused(session, member_id)
        await gifts.invite(session, member_id, mine.id, made, now=world.now)
    return made


async def redeem(world: World, name: str, said: str, *, sure: bool = False) -> models.Grant | None:
    """What this person on Telegram has by the code."""
    async with world.stack.db.transaction() as session:
        who = await members.arrive(session, "telegram", name, address=name, name=name, username=name, now=world.now)
        _, made = await grants.redeem(session, who, said, world.stack.catalogue, sure=sure, now=world.now)
        return made


async def all_grants(world: World) -> Sequence[models.Grant]:
    async with world.stack.db.reading() as session:
        return (await session.scalars(select(models.Grant).order_by(models.Grant.id))).all()


async def facts(world: World, member_id: int) -> list[dict[str, Any]]:
    """The facts of all notices to the member, oldest first."""
    query = select(models.Delivery).where(models.Delivery.member_id == member_id, models.Delivery.kind == "notice")
    async with world.stack.db.reading() as session:
        rows = (await session.scalars(query.order_by(models.Delivery.id))).all()
    return [row.payload or {} for row in rows]
