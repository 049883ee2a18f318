"""However often a plan is changed within its period, the stand-in asks for the time of each plan and no more."""

from fractions import Fraction
from typing import Any
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox import stripe_routes
from tests.sandbox.history import History
from tests.sandbox.stripe import Stripe
from tests.sandbox.stripe_wire import Obj, pairs

BEGAN = 1_772_366_400
PRICES = (900, 2900, 4999, 12000)
steps = st.lists(
    st.tuples(st.integers(0, 40 * 3600), st.sampled_from(range(len(PRICES))), st.integers(1, 7), st.booleans()),
    max_size=12,
)


def _ask(sandbox: Stripe, path: str, form: dict[str, Any]) -> Obj:
    return stripe_routes.answer(sandbox.account, "POST", path, pairs(urlencode(form)))


def _later(sandbox: Stripe, seconds: int) -> None:
    for _ in sandbox.account.advancing(seconds):
        pass


def _inside(name: str) -> str:
    head, bracket, rest = name.partition("[")
    return f"subscription_details[{head}]{bracket}{rest}"


def _change(sandbox: Stripe, sub: Obj, price: Obj, quantity: int, behavior: str) -> tuple[Obj, Obj | None]:
    """What the preview showed, and the invoice that the update made, if any."""
    item, latest = sub["items"]["data"][0], sub["latest_invoice"]
    wanted = {
        "items[0][id]": item["id"],
        "items[0][price]": price["id"],
        "items[0][quantity]": quantity,
        "proration_behavior": behavior,
    }
    inside = {_inside(name): value for name, value in wanted.items()}
    shown = _ask(sandbox, "/v1/invoices/create_preview", {"subscription": sub["id"], **inside})
    _ask(sandbox, f"/v1/subscriptions/{sub['id']}", wanted)
    made = sub["latest_invoice"] if sub["latest_invoice"] != latest else None
    return shown, sandbox.account.get("invoice", made) if made else None


@settings(max_examples=60, deadline=None)
@given(steps)
def test_each_plan_costs_its_time_to_the_cent(changes: list[tuple[int, int, int, bool]]) -> None:
    sandbox = Stripe(History(), now=lambda: float(BEGAN))
    prices = [sandbox.add_price(amount) for amount in PRICES]
    sub = sandbox.add_subscription(prices[1])
    item = sub["items"]["data"][0]
    period = item["current_period_end"] - item["current_period_start"]
    owed, since, cost = Fraction(0), BEGAN, PRICES[1]
    for seconds, which, quantity, waits in changes:
        _later(sandbox, seconds)
        now = sandbox.now()
        owed, since = owed + Fraction(cost * (now - since), period), now
        behavior = "create_prorations" if waits else "always_invoice"
        shown, made = _change(sandbox, sub, prices[which], quantity, behavior)
        cost = PRICES[which] * quantity
        if made:
            assert (made["total"], made["amount_due"]) == (shown["total"], shown["amount_due"])
            assert [line["amount"] for line in made["lines"]["data"]] == [r["amount"] for r in shown["lines"]["data"]]
    owed += Fraction(cost * (BEGAN + period - since), period)
    _later(sandbox, BEGAN + period - sandbox.now() + 7200)
    invoices = sandbox.account.having("invoice", "customer", sub["customer"])
    asked = sum(row["total"] for row in invoices) - cost
    assert abs(asked - owed) <= len(changes)
    credit = sandbox.account.get("customer", sub["customer"])["balance"]
    assert sum(row["amount_paid"] for row in invoices) + credit == sum(row["total"] for row in invoices)
