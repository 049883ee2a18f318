"""Proof: ten thousand subscriptions of which no event ever arrives are right after one pass, politely asked.

The first pass finds them all. Then things of every kind happen at Stripe's stand-in, all webhooks are lost, and the
second pass puts everything right; what is held against the product is what the stand-in has, and nothing else.
"""

import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from core import db
from core.billing import drift
from tests.proofs import till
from tests.sandbox.stripe_wire import Obj
from tests.webhooks.conftest import World
from webhooks import reconcile

_AT_MOST = 25  # requests in a second
_PROMISED, _BETWEEN = 900, 600  # seconds: within which access is right, and from one pass to the next


@dataclass(frozen=True, slots=True)
class Scale:
    """How many subscriptions there are, and to which share of them something happens that takes no access."""

    subscriptions: int = 10_000
    share: float = 0.1
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass took: seconds, requests, those of its fullest second, and how many members were wrong after it."""

    seconds: float
    requests: int
    busiest: int
    wrong_before: int
    wrong: int
    facts: Obj

    def __str__(self) -> str:
        rate = self.requests / max(self.seconds, 1)
        return (
            f"{self.wrong_before} members wrong, then {self.seconds:.0f} s, {self.requests} requests ({rate:.1f} a "
            f"second, {self.busiest} in the fullest); {self.wrong} differences left"
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """The pass that found everything, the one that found what had changed, and one when nothing had."""

    subscriptions: int
    changes: Counter[str]
    first: Pass
    second: Pass
    third: Pass

    @property
    def ok(self) -> bool:
        passes = ((self.first, _PROMISED), (self.second, _BETWEEN), (self.third, _BETWEEN))
        return all(not one.wrong and one.busiest <= _AT_MOST and one.seconds < most for one, most in passes)

    def __str__(self) -> str:
        changed = ", ".join(f"{number} {name}" for name, number in sorted(self.changes.items()))
        return (
            f"{'GOOD' if self.ok else 'BAD'}: {self.subscriptions} subscriptions, no webhook arrived\n"
            f"  first pass: {self.first}\n  {changed}\n  second pass: {self.second}\n  nothing new: {self.third}"
        )


async def prove(database_url: str, scale: Scale) -> Outcome:
    """What passes over so many subscriptions showed."""
    database = db.Database(database_url)
    async with till.opened(database) as world:
        world.stripe.webhook_url = None
        subs = await _crowd(world, scale.subscriptions)
        comparing = reconcile.Reconcile(world.here, world.here.providers[0])
        first = await _pass(world, comparing)
        changes = await _change(world, subs, scale)
        second = await _pass(world, comparing)
        third = await _pass(world, comparing)
        await comparing.stop()
    await database.close()
    return Outcome(scale.subscriptions, changes, first, second, third)


async def _crowd(world: World, number: int) -> list[str]:
    price = next(iter(world.stripe.account.tables["price"].values()))
    made, now = [], world.stripe.now()
    for position, member in enumerate(await till.people(world, number)):
        marks = {"signalstack_member": str(member), "signalstack_plan": "signals"}
        started = now - 86_400 * (position % 20)
        sub = world.stripe.add_subscription(price, metadata=marks, member=member, started=started)
        made.append(sub["id"])
    return made


async def _pass(world: World, comparing: reconcile.Reconcile) -> Pass:
    await world.stripe.advance(600)
    before, wrong = len(world.stripe.account.history.events), await _wrong(world)
    async with world.stack.db.reading() as session:
        last = await drift.last(session, "stripe")
    began = time.monotonic()
    await comparing.round(last)
    seconds = time.monotonic() - began
    rows = [row for row in world.stripe.account.history.events[before:] if row["event"] == "stripe_request"]
    async with world.stack.db.reading() as session:
        told = await drift.last(session, "stripe")
    assert told is not None
    return Pass(seconds, len(rows), till.busiest_second(rows), wrong, await _wrong(world), told.facts)


async def _change(world: World, subs: list[str], scale: Scale) -> Counter[str]:
    """Everything that can happen to subscriptions has happened to some; few enough lose access for no brake."""
    chance, stripe, done = random.Random(scale.seed), world.stripe, Counter[str]()
    chosen = chance.sample(subs, int(len(subs) * scale.share))
    ends = min(20, max(3, len(subs) // 20)) // 5
    acts: list[tuple[str, int, Any]] = [
        ("cancelled at once", ends, lambda sub: stripe.cancel(sub, at_period_end=False)),
        ("refunded", ends, stripe.refund),
        ("disputed", ends, lambda sub: stripe.dispute(sub, "open")),
        ("collection paused", ends, stripe.pause_collection),
        ("an unknown state", ends, lambda sub: stripe.set_status(sub, "brand_new")),
        ("cancelled at the end", len(chosen) // 4, stripe.cancel),
        ("refunded in part", len(chosen) // 8, lambda sub: stripe.refund(sub, 100)),
        ("asked about by a bank", len(chosen) // 8, lambda sub: stripe.dispute(sub, "inquiry")),
        ("more seats", len(chosen) // 8, lambda sub: _seats(world, sub)),
    ]
    for name, number, act in acts:
        for sub in [chosen.pop() for _ in range(min(number, len(chosen)))]:
            act(sub)
            done[name] += 1
    done["new"] = len(await _crowd(world, len(subs) // 50))
    return done


def _seats(world: World, sub: str) -> None:
    row = world.stripe.subscription(sub)
    with world.stripe.account.changing(row, "customer.subscription.updated"):
        row["items"]["data"][0]["quantity"] = 3


async def _wrong(world: World) -> int:
    return len(await till.have(world) ^ till.should_have(world))
