"""Where the proofs about payments play: the site in this process, Stripe's stand-in, and the truth about who paid."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select

from core import db, models, rights, stack
from tests import conftest
from tests.sandbox import stripe_billing as billing
from tests.sandbox.stripe_wire import Obj
from tests.webhooks.conftest import World, open_world

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRACE = 3 * 86_400
_BACK = {"open": "needs_response", "lost": "lost"}


@contextlib.asynccontextmanager
async def opened(database: db.Database) -> AsyncIterator[World]:
    """A world on this database, whose clock begins in the spring of 2026 and moves with `stripe.advance`."""
    async with contextlib.AsyncExitStack() as exits:

        async def make(held: db.Database, *, book: Any = None, clock: Any, **settings: Any) -> stack.Stack:
            conf = conftest.make_settings(held, redis_url="", **settings)
            made = stack.opened(conf, book or conftest.make_catalogue(conf), now=clock)
            return replace(await exits.enter_async_context(made), db=held)

        async with open_world(database, make, START) as world:
            yield world


async def people(world: World, number: int) -> list[int]:
    """So many new members, by their numbers."""
    found: list[int] = []
    async with world.stack.db.transaction() as session:
        for start in range(0, number, 1000):
            rows = [{"created_at": world.now, "muted": False} for _ in range(min(1000, number - start))]
            found += await session.scalars(insert(models.Member).returning(models.Member.id), rows)
    return found


async def have(world: World) -> set[int]:
    """The members who have access now, as the product says."""
    mine = select(models.Member.id).where(rights.holds(models.Member.id.expression, ["signals"], world.now))
    async with world.stack.db.reading() as session:
        return set(await session.scalars(mine))


def should_have(world: World) -> set[int]:
    """The members who should have access now, as the stand-in of Stripe says and nobody else."""
    account = world.stripe.account
    charges = {row["payment_intent"]: row for row in account.all("charge") if row["paid"]}
    disputed = {row["payment_intent"] for row in account.all("dispute") if row["status"] in _BACK.values()}
    found = set()
    for sub in account.all("subscription"):
        paid = _payments(world, sub["id"])
        taken_back = bool(paid) and charges[paid[0]]["refunded"]
        if _runs(sub, world.stripe.now()) and not taken_back and disputed.isdisjoint(paid):
            found.add(int(sub["metadata"]["signalstack_member"]))
    return found


def _runs(sub: Obj, now: int) -> bool:
    item = sub["items"]["data"][0]
    ends = (sub["cancel_at"] or item["current_period_end"] + GRACE) > now
    if sub["status"] == "past_due":
        return bool(ends) and item["current_period_start"] + GRACE > now
    return sub["status"] in {"active", "trialing"} and sub["pause_collection"] is None and bool(ends)


def _payments(world: World, subscription: str) -> list[str]:
    """The payments of a subscription, newest first."""
    account = world.stripe.account
    paid = [row for row in billing.invoices_of(account, subscription) if row["status"] == "paid" and row["amount_paid"]]
    return [billing.intent_of(account, invoice)["id"] for invoice in reversed(paid)]


def busiest_second(rows: Sequence[Obj]) -> int:
    """How many of these requests lay in the fullest second."""
    return max(Counter(int(row["at"]) for row in rows).values(), default=0)
