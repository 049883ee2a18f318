"""A world for the web role: the site on a real socket, Stripe's stand-in on another, one clock for both."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import select

from core import db, members, models, rights, stack
from core.billing import links, subscriptions
from tests.sandbox.history import History
from tests.sandbox.server import serving
from tests.sandbox.stripe import Stripe
from webhooks import errands, events, listener, prices, server, site

SECRET = "whsec_canary_0123456789abcdef"
API_KEY = "sk_test_canary0123456789"


@dataclass
class World:
    """Everything a test touches: `stripe` is the stand-in, `here` the site that the product serves at `url`."""

    stack: stack.Stack
    stripe: Stripe
    here: site.Site
    url: str
    http: aiohttp.ClientSession
    app: web.Application

    @property
    def now(self) -> datetime:
        return self.stack.clock()

    async def member(self, name: str = "Anna") -> int:
        async with self.stack.db.transaction() as session:
            who = await members.arrive(
                session, "telegram", name, address=name, name=name, username=name.lower(), now=self.now
            )
            return who.member_id

    async def settle(self) -> None:
        """Every event has arrived and was worked off, and so was every errand, with what follows from it."""
        provider = self.here.providers[0]
        await self.stripe.delivery.settled()
        while await events.work_off(self.here, provider) or await errands.work_off(self.here, provider):
            await self.stripe.delivery.settled()

    async def checkout(self, member_id: int, plan: str = "signals") -> str:
        """The id of the session to which the checkout page's button leads."""
        link = self.local(links.checkout_url(self.stack.settings, member_id, plan, now=self.now))
        async with self.http.post(link, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()
            return urlsplit(answer.headers["Location"]).path.rsplit("/", 1)[-1]

    async def subscribe(self, member_id: int, card: str = "4242424242424242") -> str:
        """The id of the subscription that the member now pays."""
        sub = self.stripe.pay(await self.checkout(member_id), card)
        assert sub is not None
        await self.settle()
        return str(sub["id"])

    def local(self, url: str) -> str:
        """A link of ours at the address of this world's site."""
        return url.replace(self.stack.settings.public_url, self.url)

    async def plans_of(self, member_id: int) -> set[str]:
        async with self.stack.db.reading() as session:
            return await rights.plans_of(session, member_id, now=self.now)

    async def row(self, member_id: int) -> models.Subscription:
        async with self.stack.db.reading() as session:
            return (await subscriptions.of_member(session, member_id))[0]

    async def notices(self, member_id: int) -> list[str]:
        """The names of all notices to the member, oldest first."""
        query = select(models.Delivery).where(models.Delivery.member_id == member_id, models.Delivery.kind == "notice")
        async with self.stack.db.reading() as session:
            rows = await session.scalars(query.order_by(models.Delivery.id))
            return [(row.payload or {})["name"] for row in rows]

    async def alarms(self) -> set[str]:
        async with self.stack.db.reading() as session:
            return set(await session.scalars(select(models.Alarm.key).where(models.Alarm.cleared_at.is_(None))))

    async def inbox(self) -> list[models.Inbox]:
        async with self.stack.db.reading() as session:
            return list(await session.scalars(select(models.Inbox).order_by(models.Inbox.id)))


Worlds = Callable[..., Awaitable[World]]


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[str]:
    """The application answers behind the product's own socket until the block ends; yields its URL."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    assert runner.server is not None
    port = listener.Listener(runner.server)
    try:
        yield f"http://127.0.0.1:{await port.open('127.0.0.1', 0)}"
    finally:
        port.close()
        await runner.cleanup()


@asynccontextmanager
async def open_world(
    database: db.Database, make_stack: Any, start: datetime, *, book: Any = None, **settings: Any
) -> AsyncIterator[World]:
    """A world on this database whose clock, Stripe's included, begins at `start` and moves with `stripe.advance`.

    `book` is a catalogue, or makes one from the prices that it adds to the `Stripe` that it is given.
    """
    stripe = Stripe(History(), api_key=API_KEY, webhook_secret=SECRET, now=start.timestamp)
    price = stripe.add_price(2900, "usd", "month", name="Signals")
    async with AsyncExitStack() as opened:
        stripe.base_url = await opened.enter_async_context(serving(stripe.app))
        values = {
            "stripe_api_url": stripe.base_url,
            "stripe_api_key": API_KEY,
            "stripe_webhook_secret": SECRET,
            "stripe_price_id": price["id"],
            "public_url": "https://signals.example",
            **settings,
        }
        book = book(stripe) if callable(book) else book
        made = await make_stack(
            database,
            book=book,
            clock=lambda: datetime.fromtimestamp(stripe.now(), UTC),
            **values,
        )
        app = server.build(made)
        url = await opened.enter_async_context(listening(app))
        stripe.webhook_url = f"{url}/webhooks/stripe"
        http = await opened.enter_async_context(aiohttp.ClientSession())
        here = app[site.KEY]
        for provider in here.providers:
            await prices.refresh(here, provider)
        yield World(made, stripe, here, url, http, app)


@pytest.fixture
async def world(sqlite_database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[World]:
    """A world on SQLite."""
    async with open_world(sqlite_database, make_stack, now) as opened:
        yield opened


@pytest.fixture
async def both(database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[World]:
    """A world on SQLite, and once more on PostgreSQL."""
    async with open_world(database, make_stack, now) as opened:
        yield opened


@pytest.fixture
async def worlds(sqlite_database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Worlds]:
    """Opens worlds on SQLite with settings of the test's own: `await worlds(telegram_mode="webhook")`."""
    async with AsyncExitStack() as opened:

        async def open_one(**settings: Any) -> World:
            return await opened.enter_async_context(open_world(sqlite_database, make_stack, now, **settings))

        yield open_one
