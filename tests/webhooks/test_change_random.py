"""Whatever is changed, whenever, and however often: what was shown is charged, to the cent."""

import random
import re
from decimal import Decimal
from typing import Any

import pytest

from tests.sandbox import stripe_billing
from tests.webhooks import shop
from tests.webhooks.conftest import World
from tests.webhooks.test_change import DAY, book, chosen, link, post, starts

CHOICES = (("basic", 0), ("basic", 1), ("pro", 0), ("pro", 1), ("team", 0))
STEPS = 6


def paid(world: World, sub: str) -> int:
    """What was really charged for the subscription so far, in cents."""
    return sum(one["amount_paid"] for one in stripe_billing.invoices_of(world.stripe.account, sub))


def said(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text)
    return int(Decimal(found[1].replace(",", "")) * 100) if found else None


@pytest.mark.parametrize("seed", range(3))
async def test_what_was_shown_is_charged_to_the_cent(worlds: Any, seed: int) -> None:
    chance, world = random.Random(seed), await worlds(book=book)
    currency = chance.choice(("USD", "EUR"))
    anna, sub, _ = await starts(world, currency=currency)
    for _ in range(STEPS):
        await world.stripe.advance(chance.randrange(60, 40 * DAY))
        await world.settle()
        row, seats = await world.row(anna), str(chance.randint(2, 10))
        now = (row.snapshot["price_id"], row.quantity)
        wanted = [
            (plan, place)
            for plan, place in CHOICES
            if (shop.price_of(world, plan, place), int(seats) if plan == "team" else 1) != now
        ]
        plan, place = chance.choice(wanted)
        before = paid(world, sub)
        shown, text = await chosen(world, link(world, anna, row.plan), plan, place, seats)
        due = said(rf"Change and pay (\S+) {currency}", text) or 0
        assert (await post(world, shown))[0] == 303
        assert paid(world, sub) - before == due, text
        later = said(rf"The next charge is (\S+) {currency}", text)
        if later is not None:
            end = stripe_billing.period_end(world.stripe.subscription(sub))
            await world.stripe.advance(end + 7200 - world.stripe.now())
            await world.settle()
            assert paid(world, sub) - before == later, text
        changed = await world.row(anna)
        assert (changed.plan, changed.snapshot["price_id"]) == (plan, shop.price_of(world, plan, place))
        assert await world.plans_of(anna) == {plan}
