"""Random lives of subscriptions in Stars: updates lost and told twice, and after a pass access is what was paid."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select

from core import db, errors, inbox, models
from core.billing import passed
from tests.sandbox import telegram_call
from tests.webhooks import stars
from tests.webhooks.stars import ANN, PERIOD, Shop
from webhooks import events, reconcile, sweep

DAY, GRACE = timedelta(days=1), timedelta(days=3)
STEPS = 14


class Life:
    """One member's doings, and what Telegram's own books say of them."""

    def __init__(self, shop: Shop, member: int, seed: int) -> None:
        self.shop, self.member = shop, member
        self.dice = random.Random(seed)
        self.comparing = reconcile.Reconcile(shop.world.here, shop.provider, part="webhooks.reconcile.stars", pause=0)
        self.sweeping = sweep.Sweep(shop.world.here, shop.provider)

    @property
    def ends(self) -> list[datetime]:
        """Until when each subscription is paid whose latest payment was not given back."""
        found = self.shop.telegram.stars.subscriptions.values()
        return [datetime.fromtimestamp(one.until, UTC) for one in found if not one.payments[-1].refunded]

    async def step(self) -> str:
        there = self.shop.telegram.stars
        there.settle()
        live = [one for one in there.subscriptions.values() if not one.over]
        match self.dice.choice(["pay", "pay", "cancel", "resume", "refund", "wait", "wait", "poor", "rich"]):
            case "pay":
                return await self.pay()
            case "cancel" if live:
                there.cancel(live[-1].charge)
            case "resume" if live and not live[-1].by_bot:
                there.resume(live[-1].charge)
            case "refund" if live and not live[-1].payments[-1].refunded:
                given = {"user_id": ANN, "telegram_payment_charge_id": live[-1].payments[-1].charge}
                there.refund(telegram_call.Call("refundStarPayment", given))
            case "poor":
                there.balance[ANN] = 0
            case "rich":
                there.balance.pop(ANN, None)
            case _:
                await self.shop.world.stripe.advance(self.dice.uniform(0.1, 40) * 86_400)
        return "done"

    async def pay(self) -> str:
        invoices = [*self.shop.telegram.stars.invoices]
        if invoices and self.dice.random() < 0.5:
            return await self.shop.telegram.stars.pay(ANN, self.dice.choice(invoices))
        try:
            link = await self.shop.invoice(self.member)
        except errors.RefusedError as error:  # the one before was paid, and that is not known yet
            return str(error)
        return await self.shop.telegram.stars.pay(ANN, link)

    async def hear(self) -> None:
        """What was told has been worked off, some of it lost before, some of it told again; then a pass was made."""
        world = self.shop.world
        self.shop.telegram.stars.settle()
        async with asyncio.timeout(10):
            while self.shop.telegram.updates.pending:  # noqa: ASYNC110 - the stand-in keeps no event for that
                await asyncio.sleep(0.005)
        async with world.stack.db.transaction() as session:
            waiting = select(models.Inbox).where(models.Inbox.source == passed.PAID, models.Inbox.state == "pending")
            for row in (await session.scalars(waiting)).all():
                if self.dice.random() < 0.3:
                    await session.execute(delete(models.Inbox).where(models.Inbox.id == row.id))
                elif self.dice.random() < 0.3:
                    again = (f"{row.event_id}x", row.kind, row.body or b"")
                    await inbox.put(session, passed.PAID, *again, now=world.now)
        while await events.work_off(world.here, self.shop.provider):
            pass
        await world.stripe.advance(660)
        await self.comparing.step()
        await self.sweeping.round()
        await self.shop.run_errands()


@pytest.mark.parametrize("seed", range(4))
async def test_access_is_what_was_paid_whatever_was_heard(
    sqlite_database: db.Database, make_stack: Any, now: datetime, seed: int
) -> None:
    async with stars.opened(sqlite_database, make_stack, now) as shop:
        life = Life(shop, await shop.member(), seed)
        done = []
        for _ in range(STEPS):
            done.append(await life.step())
            await life.hear()
            has = bool(await shop.world.plans_of(life.member))
            latest = max(life.ends, default=now - PERIOD)
            if shop.world.now < latest:
                assert has, done
            if shop.world.now >= latest + GRACE:
                assert not has, done
            running = [one for one in shop.telegram.stars.subscriptions.values() if not (one.over or one.canceled)]
            assert len([one for one in running if not one.payments[-1].refunded]) <= 1, done
