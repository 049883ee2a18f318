"""Plans and prices in words, and links that prove whom they are for."""

import re
from datetime import datetime, timedelta

import pytest

from core import catalogue, db, errors, models, settings, sold
from core.billing import links, plans

PRO = catalogue.Plan(key="pro", name="Pro", price_id="price_1")
FREE = catalogue.Plan(key="free", name="Free")
BOOK = catalogue.Catalogue(plans=(PRO, FREE))
CONF = settings.Settings(_env_file=None, secret_key="a-secret-only-for-tests", public_url="https://signals.example")  # type: ignore[arg-type,call-arg]
OTHER = settings.Settings(_env_file=None, secret_key="another-secret-for-tests")  # type: ignore[arg-type,call-arg]


@pytest.mark.parametrize(
    ("amount", "currency", "interval", "count", "words"),
    [
        (2900, "usd", "month", 1, "29.00 USD / month"),
        (123456, "eur", "year", 1, "1,234.56 EUR / year"),
        (3000, "jpy", "month", 3, "3,000 JPY / 3 months"),
        (12345, "kwd", "week", 2, "12.345 KWD / 2 weeks"),
        (0, "usd", "day", 1, "0.00 USD / day"),
        (5, "USD", "month", 1, "0.05 USD / month"),
    ],
)
def test_price_in_words(amount: int, currency: str, interval: str, count: int, words: str) -> None:
    price = models.PlanPrice(plan="pro", amount=amount, currency=currency, interval=interval, interval_count=count)
    assert plans.words(price) == words


async def keep(database: db.Database, now: datetime, amount: int = 2900, price_id: str = "price_1") -> None:
    async with database.transaction() as session:
        await plans.keep(session, "stripe", [plans.Priced("pro", price_id, amount, "usd", "month", 1)], now=now)


async def test_offers_are_the_plans_of_the_catalogue_with_their_current_price(
    database: db.Database, now: datetime
) -> None:
    await keep(database, now, 1900)
    await keep(database, now)
    async with database.reading() as session:
        found = await plans.offers(session, BOOK)
        assert [(offer.plan.key, plans.words(offer.price) if offer.price else "") for offer in found] == [
            ("pro", "29.00 USD / month"),
            ("free", ""),
        ]
        one = await plans.offer(session, BOOK, "pro")
        assert one is not None
        assert one.price is not None
        free = await plans.offer(session, BOOK, "free")
        assert free is not None
        assert free.price is None
        assert await plans.offer(session, BOOK, "gone") is None


async def test_prices_of_several_providers_stand_as_in_the_catalogue(database: db.Database, now: datetime) -> None:
    prices = (sold.Price(id="price_2", period="year"),)
    book = catalogue.Catalogue(plans=(PRO.model_copy(update={"prices": prices, "stars": 500}),))
    async with database.transaction() as session:
        await plans.keep(session, "stars", [plans.Priced("pro", "stars:pro:500", 500, "XTR", "day", 30)], now=now)
        rows = [(29000, "price_2", "year"), (2900, "price_1", "month")]
        made = [plans.Priced("pro", price_id, amount, "usd", interval, 1) for amount, price_id, interval in rows]
        await plans.keep(session, "stripe", made, now=now)
    async with database.reading() as session:
        (offer,) = await plans.offers(session, book)
        assert [price.price_id for price in offer.prices] == ["price_1", "price_2", "stars:pro:500"]
        assert await plans.offer(session, book, "pro") == offer


async def test_price_of_an_earlier_price_id_is_not_shown(database: db.Database, now: datetime) -> None:
    await keep(database, now, price_id="price_old")
    async with database.reading() as session:
        assert (await plans.offers(session, BOOK))[0].price is None


async def test_forgotten_price_is_not_offered(database: db.Database, now: datetime) -> None:
    await keep(database, now)
    async with database.transaction() as session:
        await plans.keep(session, "stripe", [], now=now)
        assert (await plans.offers(session, BOOK))[0].price is None


def test_links_say_for_whom_and_for_what(now: datetime) -> None:
    url = links.checkout_url(CONF, 42, "pro", now=now)
    assert url.startswith("https://signals.example/checkout/")
    assert links.read(CONF, links.CHECKOUT, url.rsplit("/", 1)[-1], now=now) == links.Ticket(42, "pro")
    url = links.portal_url(CONF, 42, now=now)
    assert links.read(CONF, links.PORTAL, url.rsplit("/", 1)[-1], now=now) == links.Ticket(42, "")
    fresh = links.portal_url(CONF, 42).rsplit("/", 1)[-1]
    assert links.read(CONF, links.PORTAL, fresh).member_id == 42


@pytest.mark.parametrize(("purpose", "hours"), [(links.CHECKOUT, 24), (links.PORTAL, 1)])
def test_links_end(purpose: str, hours: int, now: datetime) -> None:
    make = {
        links.CHECKOUT: lambda: links.checkout_url(CONF, 1, "pro", now=now),
        links.PORTAL: lambda: links.portal_url(CONF, 1, now=now),
    }
    token = make[purpose]().rsplit("/", 1)[-1]
    assert links.read(CONF, purpose, token, now=now + timedelta(hours=hours)).member_id == 1
    with pytest.raises(errors.RefusedError, match="too old"):
        links.read(CONF, purpose, token, now=now + timedelta(hours=hours, seconds=2))


def test_x02_forged_links_and_links_for_another_purpose_are_refused(now: datetime) -> None:
    token = links.portal_url(CONF, 1, now=now).rsplit("/", 1)[-1]
    foreign = links.portal_url(OTHER, 1, now=now).rsplit("/", 1)[-1]
    for forged in ("", "x", token[:-1], "a" + token, foreign, "ü"):
        with pytest.raises(errors.RefusedError, match="not valid"):
            links.read(CONF, links.PORTAL, forged, now=now)
    with pytest.raises(errors.RefusedError, match="/subscribe"):
        links.read(CONF, links.CHECKOUT, token, now=now)


def test_telegram_secret_is_steady_and_of_the_allowed_letters() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", links.telegram_secret(CONF))
    assert links.telegram_secret(CONF) == links.telegram_secret(CONF)
    assert links.telegram_secret(CONF) != links.telegram_secret(OTHER)
