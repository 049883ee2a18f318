"""The machine of the proof of entitlement: everything that can happen to a subscription, and to the news of it.

A Hypothesis state machine plays histories: members buy, fail, cancel, pause, dispute, change; events come late, twice,
in another order or never; the provider is away or stumbles; clocks go on and, a little, back. After every step no
member has more than the account said at any moment since the product last surely read it, and none has less.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.proofs import entitlement_acts as acts
from tests.proofs import entitlement_model as model
from tests.proofs import entitlement_stage as staging
from tests.proofs.entitlement_scenes import SCENES, prepared
from tests.sandbox.stripe_wire import ApiError, Obj

MINUTE, HOUR, DAY = 60, 3600, 86_400
CARDS = {"Anna": "4242424242424242", "Ben": "5555555555554444"}
NEWS = st.sampled_from(["kept", "told", "lost", "kept", "told", "twice", "torn"])
ROAD = st.sampled_from(
    ["told", "twice", "torn", "away", "back", "500", "429", "drop", "stored, then drop", "sweep"],
)
PICK = st.integers(0, 2)
PRICE = st.sampled_from(sorted(staging.PRICES))
NAMES = st.sampled_from(["Anna", "Ben"])


@dataclass
class Figures:
    """What was played."""

    sequences: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    reconciles: int = 0
    requests: int = 0

    def __iadd__(self, other: "Figures") -> "Figures":
        self.sequences += other.sequences
        self.steps += other.steps
        self.events += other.events
        self.reconciles += other.reconciles
        self.requests += other.requests
        return self

    def __str__(self) -> str:
        events = ", ".join(f"{number:,} {what}" for what, number in sorted(self.events.items()))
        return (
            f"{self.sequences:,} sequences, {self.steps.total():,} steps ({len(self.steps)} kinds), events: {events}; "
            f"{self.reconciles:,} reconciles, {self.requests:,} requests to the provider"
        )


class Entitlement(RuleBasedStateMachine):
    """Anna and Ben, what they buy, and the road by which the product hears of it."""

    stage: ClassVar[staging.Stage]
    figures: ClassVar[Figures]

    @initialize(scene=st.sampled_from(sorted(SCENES)), version=st.sampled_from(staging.VERSIONS), seen=st.booleans())
    def begins(self, scene: str, version: str, seen: bool) -> None:
        """`seen`: Stripe knows which events it could not deliver; otherwise it believes that all have arrived."""
        self.version, self.seen = version, seen
        self.queue: list[Obj] = []
        self.unheard = 0
        self.asked = self.stage.inside.asked
        self.stage.begin_from(prepared(self.stage, scene))
        self.stage.stripe.account.emitted = self._emitted
        self.belief = model.Belief(self.stage.stripe.account, self.stage.choices)
        self.belief.settled()
        self.figures.sequences += 1

    def _emitted(self, event: Obj) -> None:
        if staging.wanted(event):
            event["pending_webhooks"] = 1
            self.queue.append(event)

    # --- what every step shares

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.stage.do(work)

    def subs(self) -> list[Obj]:
        """Every subscription there ever was, the newest first."""
        return self.stage.stripe.account.all("subscription") if hasattr(self, "belief") else []

    def step(self, kind: str, news: str, act: Callable[[], object]) -> None:
        """The act happened at the provider, if it is possible there, and the product heard of it as `news` says."""
        with contextlib.suppress(ApiError):
            act()
        self.figures.steps[kind] += 1
        self.do(self._hears(news))

    async def _hears(self, news: str) -> None:
        if news == "lost":
            self._lose(self.queue)
            self.queue.clear()
        if news == "kept" or not self.queue:
            return
        told, self.queue[:] = list(self.queue), []
        if news == "torn":
            self._lose(told[: len(told) // 2])
            told = told[len(told) // 2 :][::-1]
        if news == "twice":
            self._count("duplicated", len(told))
            told = [*told[::-1], *told]
        await self._arrives(told)

    def _lose(self, events: list[Obj]) -> None:
        """These never arrive; a provider who does not even know that will not name them as undelivered."""
        self._count("dropped", len(events))
        self.unheard += len(events)
        for event in events:
            event["pending_webhooks"] = int(self.seen)

    async def _arrives(self, told: list[Obj]) -> None:
        """The events have arrived and were worked off, and so was what the product itself set going, some rounds."""
        for _ in range(3):
            self._count("delivered", len(told))
            await self.stage.deliver(told, self.version)
            await self._works(self.stage.work())
            told, self.queue[:] = list(self.queue), []
            if not told:
                return
        self.queue[:] = told

    async def _works(self, work: Coroutine[Any, Any, Any]) -> None:
        self.belief.looked()
        await work
        self.belief.looked()
        if await self._certain():
            self.belief.settled()

    async def _certain(self) -> bool:
        """Whether the product has heard everything, and has done everything about it."""
        stage = self.stage
        quiet = not (self.queue or self.unheard or stage.inside.away or stage.stripe.api.faults)
        return quiet and await stage.undone() == (0, 0, 0)

    def _count(self, what: str, number: int) -> None:
        self.figures.events[what] += number

    # --- what members do, and banks, and the operator

    @rule(name=NAMES, price=PRICE, how=st.sampled_from(staging.WAYS), news=NEWS)
    def buys(self, name: str, price: str, how: str, news: str) -> None:
        self.step(f"buys: {how}", news, lambda: self._buy(name, price, how))

    def _buy(self, name: str, price: str, how: str) -> None:
        """On the page that the product opened, or `elsewhere`: on one that it knows nothing of."""
        who, stripe = self.stage.members[name], self.stage.stripe
        first = all(model.owner(sub) != who for sub in stripe.account.all("subscription"))
        if how == "elsewhere":
            page = staging.other_page(stripe.account, who, price)
        else:
            page = self.do(self.stage.page(who, price, 7 if how == "trial" and first else 0))
        if page:
            stripe.pay(page, CARDS[name] if how in {"card", "trial", "elsewhere"} else how)

    @precondition(lambda self: self.subs())
    @rule(act=st.sampled_from(sorted(acts.ON_SUBSCRIPTIONS)), pick=PICK, news=NEWS)
    def happens(self, act: str, pick: int, news: str) -> None:
        subs = self.subs()
        sub = subs[pick % len(subs)]
        self.step(act, news, lambda: acts.ON_SUBSCRIPTIONS[act](self.stage.stripe, sub))

    @precondition(lambda self: self.subs())
    @rule(act=st.sampled_from(sorted(acts.ON_PAYMENTS)), pick=PICK, payment=PICK, news=NEWS)
    def is_wanted_back(self, act: str, pick: int, payment: int, news: str) -> None:
        """A payment of one of the subscriptions: `payment` 0 is its latest."""
        subs = self.subs()
        paid = list(model.payments(self.stage.stripe.account, subs[pick % len(subs)]))
        if paid:
            charge = paid[-1 - payment % len(paid)]
            self.step(act, news, lambda: acts.ON_PAYMENTS[act](self.stage.stripe, charge))

    @precondition(lambda self: self.subs())
    @rule(pick=PICK, price=PRICE, quantity=st.sampled_from([1, 1, 3]), news=NEWS)
    def changes(self, pick: int, price: str, quantity: int, news: str) -> None:
        subs = self.subs()
        sub = subs[pick % len(subs)]
        self.step("changes plan", news, lambda: acts.change(self.stage.stripe, sub, price, quantity))

    # --- clocks, the provider, and the road

    @rule(seconds=st.sampled_from([-100, -5, 5 * MINUTE, 70 * MINUTE, 13 * HOUR, 4 * DAY, 31 * DAY]), news=NEWS)
    def time_passes(self, seconds: int, news: str) -> None:
        """For both clocks; only ours is set back now and then."""
        if seconds < 0:
            self.step("our clock is set back", "kept", lambda: self.stage.steps_back(-seconds))
        else:
            self.step("time passes", news, lambda: self.stage.passes(seconds))

    @rule(what=ROAD)
    def road(self, what: str) -> None:
        """Late news comes, in some order, or is looked for; the provider goes away, comes back, or stumbles."""
        if what in {"told", "twice", "torn"}:
            self._count("delayed", len(self.queue))
            self.step("late news", what, int)
            return
        if what == "sweep":
            self.figures.steps["sweeps"] += 1
            self.do(self._works(self.stage.sweeps()))
            return
        self.figures.steps[f"provider: {what}"] += 1
        if what in {"away", "back"}:
            self.stage.inside.away = what == "away"
        else:
            self.stage.stripe.fault(what.rsplit(maxsplit=1)[-1], count=2, after_store=what.startswith("stored"))

    @precondition(lambda self: hasattr(self, "belief") and (self.unheard or self.stage.inside.away))
    @rule(news=st.sampled_from(["lost", "kept"]))
    def reconciles(self, news: str) -> None:
        """The promise: within 15 minutes, whatever was lost, access is what the account says."""
        self.figures.reconciles += 1
        self.stage.inside.away = False
        self.stage.stripe.api.faults.clear()
        self.stage.passes(850)
        late, self.queue[:] = list(self.queue), []
        if news == "lost":
            self._lose(late)
            late.clear()
        self.unheard = 0
        self.do(self._works(self.stage.compares()))
        self.do(self._calms_down())
        self.belief.settled()
        self._exact()
        self._never_two()
        self.queue[:] = [*late, *self.queue]

    async def _calms_down(self) -> None:
        """What the product has set going, and what had to wait for some seconds, is done; twice 20 seconds at most."""
        for _ in range(2):
            if not self.queue and await self._certain():
                return
            self.stage.passes(20)
            await self._hears("told")
            await self._works(self.stage.work())

    # --- what must hold

    @invariant()
    def nobody_has_more_or_less(self) -> None:
        if not hasattr(self, "belief"):
            return
        now = self.stage.now.timestamp()
        for name, plans in self.do(self.stage.plans()).items():
            must, may = self.belief.bounds(self.stage.members[name], now)
            assert plans <= may, f"{name} has {plans - may}, which nothing said since the last look pays for"
            assert plans >= must, f"{name} lacks {must - plans}, which was paid for all the time"

    def _exact(self) -> None:
        now = self.stage.now.timestamp()
        for name, plans in self.do(self.stage.plans()).items():
            _, true = self.belief.bounds(self.stage.members[name], now)
            assert plans == true, f"{name} has {plans} after a reconcile, and {true} is paid for"
        given_up = self.do(self.stage.undone())[1]
        assert not given_up, f"{given_up} events were given up"

    def _never_two(self) -> None:
        acc, choices = self.stage.stripe.account, self.stage.choices
        assert not model.half_returned(acc), "of a second subscription only a part was given back"
        for who in self.stage.members.values():
            for plan in set(choices.plans.values()):
                live = model.live(acc, who, plan, choices)
                if len(live) > 1:
                    assert choices.second == "tell" or not model.plainly_doubled(acc, live, choices), (
                        "two are still charged"
                    )
                    assert self.do(self.stage.alarmed(f"second_subscription:{who}:{plan}")), "nobody is told of two"

    def teardown(self) -> None:
        """Who has not heard everything reconciles; who has was held to the exact truth with the last step."""
        if hasattr(self, "belief"):
            try:
                if not self.do(self._certain()):
                    self.reconciles("lost")
            finally:
                self.figures.requests += self.stage.inside.asked - self.asked
