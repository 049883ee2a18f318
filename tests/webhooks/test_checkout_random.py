"""Whatever a member clicks, in however many tabs and with whatever faults: one page at most can be paid."""

import asyncio
import random
from typing import Any

import pytest

from tests.webhooks import shop
from tests.webhooks.conftest import World

STEPS = 25
KINDS = ("500", "503", "429", "drop")


class Member:
    """Somebody who cannot decide, and every page of Stripe that they were ever shown."""

    def __init__(self, world: World, member_id: int, dice: random.Random) -> None:
        self.world, self.id, self.dice = world, member_id, dice
        self.shown: set[str] = set()

    def wish(self) -> dict[str, str]:
        plan = self.dice.choice(("pro", "team"))
        price = shop.price_of(self.world, plan, self.dice.randrange(2))
        wish = {"plan": plan, "price": price, "currency": self.dice.choice(("USD", "EUR"))}
        return wish | ({"seats": str(self.dice.randrange(2, 5))} if plan == "team" else {})

    async def click(self, tabs: int) -> None:
        wishes = [self.wish() for _ in range(tabs)]
        for status, _, place in await asyncio.gather(*(shop.post(self.world, self.id, **wish) for wish in wishes)):
            assert status in {200, 303, 409, 429, 503}  # who clicks so often is asked to wait
            if status == 303:
                self.shown.add(place.rsplit("/", 1)[-1])

    def fail(self) -> None:
        path = self.dice.choice(("/v1/checkout/sessions", "/v1/checkout/sessions/.*/expire"))
        stored = self.dice.random() < 0.5
        self.world.stripe.fault(
            self.dice.choice(KINDS), "POST", path, count=self.dice.choice((1, 2)), after_store=stored
        )

    def payable(self) -> list[dict[str, Any]]:
        return [row for row in self.world.stripe.account.all("checkout.session")
                if row["id"] in self.shown and row["status"] == "open"]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
async def test_s13_of_one_plan_never_two_pages_can_be_paid(worlds: Any, seed: int) -> None:
    world, dice = await worlds(book=shop.full), random.Random(seed)
    anna = Member(world, await world.member(), dice)
    for _ in range(STEPS):
        match dice.choices(("click", "fail", "pay", "wait", "hear"), weights=(6, 2, 1, 1, 1))[0]:
            case "click":
                await anna.click(dice.choice((1, 1, 2, 3)))
            case "fail":
                anna.fail()
            case "pay" if anna.payable():
                world.stripe.pay(dice.choice(anna.payable())["id"])
            case "wait":
                await world.stripe.advance(dice.choice((60, 3600, 30 * 3600)))
            case "hear":
                await world.settle()
        plans = [row["metadata"]["signalstack_plan"] for row in anna.payable()]
        assert len(plans) == len(set(plans)), (seed, plans)
    await world.settle()
    running = [row for row in world.stripe.account.all("subscription") if row["status"] in {"active", "trialing"}]
    assert len(running) == len({row["metadata"]["signalstack_plan"] for row in running}) <= 2
