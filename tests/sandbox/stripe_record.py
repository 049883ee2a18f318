"""One event of each kind that matters, in the shape of several API versions, kept as files for tests.

`python -m tests.sandbox.stripe_record` writes them anew under tests/data/stripe_events; the same every time.
"""

import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from tests.sandbox import stripe_routes
from tests.sandbox.history import History
from tests.sandbox.stripe import Stripe
from tests.sandbox.stripe_versions import RECORDED
from tests.sandbox.stripe_wire import Obj, pairs

FOLDER = Path(__file__).parents[1] / "data" / "stripe_events"
BEGAN = 1_772_366_400  # 1 March 2026
DAY = 86_400
KINDS = (
    "checkout.session.completed",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.expired",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.trial_will_end",
    "invoice.paid",
    "invoice.payment_failed",
    "payment_intent.succeeded",
    "charge.refunded",
    "charge.dispute.created",
    "charge.dispute.closed",
    "promotion_code.created",
)


def recorded() -> Iterator[tuple[Path, str]]:
    """Each file under FOLDER, and its text."""
    sandbox = _quiet_shop()
    _live(sandbox)
    # The last of its kind has the most to tell: an update with previous values, an invoice with prorations.
    last = {event["type"]: event for event in sandbox.events}
    for version in RECORDED:
        for kind in KINDS:
            event = json.loads(sandbox.delivery.payload(last[kind], version))
            yield FOLDER / version / f"{kind}.json", json.dumps(event, indent=1, sort_keys=True) + "\n"


def write() -> None:
    """Every recorded event stands in its file."""
    for path, text in recorded():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _quiet_shop() -> Stripe:
    """An account whose clock and ids are the same in every run."""
    count = itertools.count()
    sandbox = Stripe(History(), now=lambda: float(BEGAN))
    sandbox.account.random_hex = lambda size: hashlib.sha256(str(next(count)).encode()).hexdigest()[: 2 * size]
    sandbox.base_url = "https://stripe.example"
    return sandbox


def _live(sandbox: Stripe) -> None:
    """Everything that the recorded kinds tell of has happened, to four members."""
    price, higher = sandbox.add_price(2900, name="Signals"), sandbox.add_price(4900, name="Signals Pro")
    code = sandbox.account.add(_told_code(sandbox))
    renewing = _bought(sandbox, price, "anna", **{"discounts[0][promotion_code]": code["id"]})
    _bought(sandbox, price, "ben", **{"subscription_data[trial_period_days]": "7"})
    _slow(sandbox, price, "sepa")
    _slow(sandbox, price, "sepa_fails")
    _open(sandbox, price, "eve")
    _pass(sandbox, 10 * DAY)
    item = renewing["items"]["data"][0]["id"]
    change = {"items[0][id]": item, "items[0][price]": higher["id"], "proration_behavior": "always_invoice"}
    _ask(sandbox, f"/v1/subscriptions/{renewing['id']}", change)
    sandbox.refund(renewing["id"], 500)
    sandbox.dispute(renewing["id"])
    sandbox.dispute(renewing["id"], "lost")
    sandbox.fail_next_renewal(renewing["id"])
    _pass(sandbox, 40 * DAY)


def _told_code(sandbox: Stripe) -> Obj:
    code = sandbox.add_promotion_code("FRIEND", percent_off=10.0, duration="forever")
    sandbox.account.emit("promotion_code.created", code)
    return code


def _ask(sandbox: Stripe, path: str, form: dict[str, str]) -> Obj:
    return stripe_routes.answer(sandbox.account, "POST", path, pairs(urlencode(form)))


def _open(sandbox: Stripe, price: Obj, member: str, **more: str) -> str:
    form = {
        "mode": "subscription",
        "line_items[0][price]": price["id"],
        "line_items[0][quantity]": "1",
        "client_reference_id": member,
        "metadata[signalstack_member]": member,
        "subscription_data[metadata][signalstack_member]": member,
        "success_url": "https://signals.example/thanks",
        **more,
    }
    return str(_ask(sandbox, "/v1/checkout/sessions", form)["id"])


def _bought(sandbox: Stripe, price: Obj, member: str, **more: str) -> Obj:
    sub = sandbox.pay(_open(sandbox, price, member, **more), email=f"{member}@example.com")
    assert sub is not None
    return sub


def _slow(sandbox: Stripe, price: Obj, how: str) -> None:
    sandbox.pay(_open(sandbox, price, how), how, email=f"{how}@example.com")


def _pass(sandbox: Stripe, seconds: int) -> None:
    for _ in sandbox.account.advancing(seconds):
        pass


if __name__ == "__main__":
    write()
