"""Proof: a storm of events, some lost, some doubled, all out of order, and one reconcile later everything is right.

Members subscribe, cancel, are refunded, dispute and pause at Stripe's stand-in, whose events are kept back. They are
then sent to the site as signed requests, shuffled with those of the waves before.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from core import db, models
from tests.proofs import till
from tests.sandbox import stripe_events
from tests.sandbox.stripe_wire import Obj
from tests.webhooks.conftest import World
from webhooks import errands, events, reconcile

_TOGETHER = 20
_WAVE_SECONDS = 1200  # longer than the brake looks back


@dataclass(frozen=True, slots=True)
class Scale:
    """How many events there are at least, in so many waves; of them a part is lost, and a part comes twice."""

    events: int = 10_000
    waves: int = 12
    lost: float = 0.1
    doubled: float = 0.3
    ends: int = 7
    """In each wave so many lose their access, or so few that the brake sees no mass in them."""
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was sent, and how many members had other access than they paid for, before and after the reconcile."""

    told: int
    sent: int
    lost: int
    doubled: int
    members: int
    acts: Counter[str]
    before: int
    after: int
    stuck: int
    doubles: int
    seconds: float
    reconcile: float

    @property
    def ok(self) -> bool:
        return not (self.after or self.stuck or self.doubles)

    def __str__(self) -> str:
        acts = ", ".join(f"{name} {number}" for name, number in sorted(self.acts.items()))
        return (
            f"{'GOOD' if self.ok else 'BAD'}: {self.told} events of {self.members} members ({acts}); {self.lost} lost, "
            f"{self.doubled} twice, {self.sent} requests in {self.seconds:.0f} s ({self.sent / self.seconds:.0f} a "
            f"second with all that follows); wrong before the reconcile {self.before}, after it {self.after} "
            f"({self.reconcile:.1f} s); {self.stuck} events stuck, {self.doubles} stored twice"
        )


@dataclass
class _Run:
    world: World
    scale: Scale
    chance: random.Random
    subs: list[str] = field(default_factory=list)
    late: list[Obj] = field(default_factory=list)
    acts: Counter[str] = field(default_factory=Counter)
    told: int = 0
    sent: int = 0
    lost: int = 0
    doubled: int = 0

    async def wave(self) -> None:
        """Things happened at Stripe, and what is told of them arrived in disorder."""
        share = self.scale.events // self.scale.waves
        while len(self.world.stripe.delivery.held) < share * 0.6:
            await self._subscribe(10)
        for number in range(min(self.scale.ends, len(self.subs) // 30)):
            self._act(self._ends()[number % 4])
        while len(self.world.stripe.delivery.held) < share:
            self._act(self.chance.choice(self._harmless()))
        await self._send()
        await self.work_off()

    async def _subscribe(self, number: int) -> None:
        price = next(iter(self.world.stripe.account.tables["price"].values()))
        for member in await till.people(self.world, number):
            marks = {"signalstack_member": str(member), "signalstack_plan": "signals"}
            made = self.world.stripe.add_subscription(price, told=True, metadata=marks, member=member)
            self.subs.append(made["id"])
        self.acts["subscribed"] += number

    def _ends(self) -> list[Callable[[str], Any]]:
        stripe = self.world.stripe
        return [
            lambda sub: stripe.cancel(sub, at_period_end=False),
            stripe.refund,
            lambda sub: stripe.dispute(sub, "open"),
            stripe.pause_collection,
        ]

    def _harmless(self) -> list[Callable[[str], Any]]:
        stripe = self.world.stripe
        return [
            stripe.cancel,
            stripe.keep,
            lambda sub: stripe.refund(sub, 100),
            lambda sub: stripe.dispute(sub, "inquiry"),
            lambda sub: stripe.pause_collection(sub, None),
        ]

    def _act(self, act: Callable[[str], Any]) -> None:
        sub = self.chance.choice(self.subs)
        if self.world.stripe.subscription(sub)["status"] != "active":
            return
        before = len(self.world.stripe.delivery.held)
        try:
            act(sub)
        except Exception as error:  # noqa: BLE001 - refunded twice and the like, which Stripe refuses
            self.acts[f"refused: {type(error).__name__}"] += 1
            return
        self.acts["changed"] += len(self.world.stripe.delivery.held) > before

    async def _send(self) -> None:
        held, self.world.stripe.delivery.held = self.world.stripe.delivery.held, []
        self.told += len(held)
        kept = [event for event in held if self.chance.random() >= self.scale.lost]
        self.lost += len(held) - len(kept)
        again = [event for event in kept if self.chance.random() < self.scale.doubled]
        self.doubled += len(again)
        batch = [*kept, *again, *self.late]
        self.chance.shuffle(batch)
        part = len(batch) // 10  # some arrive only with the next wave
        self.late, batch = batch[:part], batch[part:]
        await self._post(batch)

    async def _post(self, batch: list[Obj]) -> None:
        gate = asyncio.Semaphore(_TOGETHER)

        async def one(event: Obj) -> None:
            async with gate:
                # As Stripe does: what was more than the site takes in a minute comes again.
                while wait := await self._told(event):  # noqa: ASYNC110 - the answer says for how long
                    await asyncio.sleep(wait)
            self.sent += 1

        await asyncio.gather(*(one(event) for event in batch))

    async def _told(self, event: Obj) -> int:
        """Seconds after which the event is to come again, because these are too many; 0 when it has arrived."""
        stripe = self.world.stripe
        payload, at = stripe.delivery.payload(event, stripe.api_version), int(time.time())
        headers = {"Stripe-Signature": stripe_events.signature(payload, at, stripe.secrets)}
        address = f"{self.world.url}/webhooks/stripe"
        async with self.world.http.post(address, data=payload.encode(), headers=headers) as said:
            assert said.status in {200, 429}, await said.text()
            return int(said.headers["Retry-After"]) if said.status == 429 else 0

    async def work_off(self) -> None:
        """Everything that has arrived was worked off."""
        provider = self.world.here.providers[0]
        while await events.work_off(self.world.here, provider) or await errands.work_off(self.world.here, provider):
            pass

    async def rest(self) -> None:
        """The last stragglers have arrived."""
        late, self.late = self.late, []
        await self._post(late)
        await self.work_off()


async def prove(database_url: str, scale: Scale) -> Outcome:
    """What a storm of this scale showed."""
    database = db.Database(database_url)
    async with till.opened(database) as world:
        world.stripe.delivery.mode = "hold"
        run, began = _Run(world, scale, random.Random(scale.seed)), time.monotonic()
        for _ in range(scale.waves):
            await run.wave()
            await world.stripe.advance(_WAVE_SECONDS)
        await run.rest()
        seconds, before = time.monotonic() - began, await _wrong(world)
        began = time.monotonic()
        await reconcile.Reconcile(world.here, world.here.providers[0], pause=0).round()
        await run.work_off()
        stuck, doubles = await _stuck(world), await _doubles(world)
        counted = (run.told, run.sent, run.lost, run.doubled, len(run.subs), run.acts)
        outcome = Outcome(*counted, before, await _wrong(world), stuck, doubles, seconds, time.monotonic() - began)
    await database.close()
    return outcome


async def _wrong(world: World) -> int:
    return len(await till.have(world) ^ till.should_have(world))


async def _stuck(world: World) -> int:
    async with world.stack.db.reading() as session:
        rows = await session.scalars(select(models.Inbox.state).where(models.Inbox.state != "done"))
        return len(rows.all())


async def _doubles(world: World) -> int:
    """Subscriptions and events that stand twice in the product's tables."""
    async with world.stack.db.reading() as session:
        found = 0
        for column in (models.Subscription.external_id, models.Inbox.event_id):
            several = select(column).group_by(column).having(func.count() > 1)
            found += len((await session.scalars(several)).all())
        return found
