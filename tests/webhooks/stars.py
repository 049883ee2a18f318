"""A world in which members may pay in Telegram Stars: Telegram's stand-in, and our bot that listens to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.platforms.telegram import listening, platform
from core import catalogue, db, members, sold
from core.billing import checkouts, passed
from tests.sandbox import history, server, telegram
from tests.sandbox.stripe import Stripe
from tests.webhooks.conftest import World, open_world
from webhooks import checkout, errands, events, loops, payments, questions

ANN, BOB = 7001, 7002
PRICE = 500
PERIOD = timedelta(days=30)
QUICK = listening.Timing(poll=1, margin=1, first=0.01, longest=0.05)


def book(stripe: Stripe) -> catalogue.Catalogue:
    """A plan that can be paid by card or in Stars, and one in Stars alone."""
    price = stripe.add_price(2900, "usd", "month", name="Signals")
    signals = sold.Plan(key="signals", name="Signals", price_id=price["id"], stars=PRICE, gift=True, trial_days=7)
    return catalogue.Catalogue(
        watches=(catalogue.Watch(symbol="BTC/USDT"),), plans=(signals, sold.Plan(key="more", name="More", stars=900))
    )


@dataclass
class Shop:
    """The world, Telegram in it, and the provider under test."""

    world: World
    telegram: telegram.Telegram
    provider: payments.Provider

    async def member(self, user: int = ANN, name: str = "Ann") -> int:
        """The person has written to the bot once."""
        self.telegram.person(user, name, started=True)
        async with self.world.stack.db.transaction() as session:
            who = await members.arrive(
                session, "telegram", str(user), address=str(user), name=name, username=None, now=self.world.now
            )
            return who.member_id

    async def invoice(self, member_id: int, plan: str = "signals", *, gift: bool = False) -> str:
        """Where the member pays for the plan in Stars."""
        wanted = self.world.stack.catalogue.by_key[plan]
        choice = checkouts.Choice(wanted, wanted.stars_id, gift=gift)
        return await checkout.pay_page(self.world.here, self.provider, member_id, choice)

    async def subscribe(self, member_id: int, user: int = ANN, plan: str = "signals") -> str:
        """The name of the subscription that the member now pays."""
        before = set(self.telegram.stars.subscriptions)
        assert await self.telegram.stars.pay(user, await self.invoice(member_id, plan)) == "paid"
        await self.settle()
        [charge] = set(self.telegram.stars.subscriptions) - before
        return charge

    async def settle(self) -> None:
        """The bot has heard everything, and what concerns payments was worked off."""
        self.telegram.stars.settle()
        async with asyncio.timeout(10):
            while self.telegram.updates.pending:  # noqa: ASYNC110 - the stand-in keeps no event for that
                await asyncio.sleep(0.005)
        while await events.work_off(self.world.here, self.provider):
            pass

    async def run_errands(self) -> None:
        """Everything that Telegram must still do for us is done."""
        while await errands.work_off(self.world.here, self.provider):
            pass
        await self.settle()

    async def advance(self, span: timedelta) -> None:
        """So much time has passed, for everybody, and what followed from it was worked off."""
        await self.world.stripe.advance(span.total_seconds())
        await self.settle()


@asynccontextmanager
async def opened(database: db.Database, make_stack: Any, now: datetime, **settings: Any) -> AsyncIterator[Shop]:
    """A shop that is open: the bot polls, and questions are answered as they come."""
    world: World | None = None
    there = telegram.Telegram(
        history.History(),
        limits=telegram.Limits.off(),
        now=lambda: world.stripe.now() if world else now.timestamp(),
    )
    async with server.serving(there.app) as address:
        values = {"telegram_bot_token": telegram.TOKEN, "telegram_api_url": address, **settings}
        async with open_world(database, make_stack, now, book=book, **values) as world:
            provider = world.here.provider("stars")
            assert provider is not None
            shop = Shop(world, there, provider)
            async with _working(shop):
                yield shop


@asynccontextmanager
async def _working(shop: Shop) -> AsyncIterator[None]:
    world, stop = shop.world, asyncio.Event()
    bot = platform.Telegram(world.stack, timing=QUICK)
    await bot.start()
    asking = loops.Loop(
        world.here,
        stop,
        "questions",
        lambda: questions.work_off(world.here, shop.provider),
        every=1,
        topic=f"inbox:{passed.ASKED}",
    )
    tasks = [asyncio.create_task(bot.listen()), asyncio.create_task(asking.run())]
    try:
        yield
    finally:
        stop.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await bot.stop()
