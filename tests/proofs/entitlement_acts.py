"""What can happen to a subscription at the provider in the proof of entitlement, each under one name.

What the API, the portal and the dashboard would refuse raises ApiError and changes nothing.
"""

from collections.abc import Callable

from tests.sandbox import stripe_claims, stripe_routes
from tests.sandbox.stripe import Stripe
from tests.sandbox.stripe_wire import ApiError, Obj

DAY = 86_400
OVER = {"canceled", "incomplete_expired"}
Act = Callable[[Stripe, Obj], object]


def _call(stripe: Stripe, method: str, sub: Obj, wanted: dict[str, str]) -> None:
    """What the portal or the dashboard does, under the API's own rules."""
    stripe_routes.answer(stripe.account, method, f"/v1/subscriptions/{sub['id']}", list(wanted.items()))


def change(stripe: Stripe, sub: Obj, price: str, quantity: int) -> None:
    """The member pays this price for so many people from now on."""
    item = {"id": sub["items"]["data"][0]["id"], "price": price, "quantity": str(quantity)}
    _call(stripe, "POST", sub, {f"items[0][{name}]": value for name, value in item.items()})


def _going_on(act: Act) -> Act:
    """The act, for a subscription that is not over."""

    def careful(stripe: Stripe, sub: Obj) -> None:
        if sub["status"] in OVER:
            raise ApiError(400, "It is over.")
        act(stripe, sub)

    return careful


def _called(word: str) -> Act:
    return _going_on(lambda stripe, sub: stripe.set_status(sub["id"], word))


def _resume(stripe: Stripe, sub: Obj) -> None:
    if sub["status"] == "paused":
        stripe.resume(sub["id"])


ON_SUBSCRIPTIONS: dict[str, Act] = {
    "cancels now": lambda stripe, sub: _call(stripe, "DELETE", sub, {}),
    "cancels at the end": lambda stripe, sub: _call(stripe, "POST", sub, {"cancel_at_period_end": "true"}),
    "cancels in 9 days": lambda stripe, sub: _call(stripe, "POST", sub, {"cancel_at": str(stripe.now() + 9 * DAY)}),
    "cancels no more": lambda stripe, sub: _call(stripe, "POST", sub, {"cancel_at_period_end": "false"}),
    "card fails": lambda stripe, sub: stripe.fail_next_renewal(sub["id"]),
    "card fails twice": lambda stripe, sub: stripe.fail_next_renewal(sub["id"], 2),
    "card works": lambda stripe, sub: stripe.card_works(sub["id"]),
    "pays what is open": _going_on(lambda stripe, sub: stripe.pay_open_invoices(sub["id"])),
    "collection pauses": _going_on(lambda stripe, sub: stripe.pause_collection(sub["id"])),
    "collection goes on": _going_on(lambda stripe, sub: stripe.pause_collection(sub["id"], None)),
    "pauses": _going_on(lambda stripe, sub: stripe.pause(sub["id"])),
    "resumes": _going_on(_resume),
    "status brand_new": _called("brand_new"),
    "status unpaid": _called("unpaid"),
    "status incomplete_expired": _called("incomplete_expired"),
    "status active": _called("active"),
}

ON_PAYMENTS: dict[str, Act] = {
    "refund, whole": lambda stripe, charge: stripe.refund(charge["id"]),
    "refund, part": lambda stripe, charge: stripe.refund(charge["id"], 500),
    "dispute: open": lambda stripe, charge: stripe_claims.dispute(stripe.account, charge["id"], "open"),
    "dispute: inquiry": lambda stripe, charge: stripe_claims.dispute(stripe.account, charge["id"], "inquiry"),
    "dispute: won": lambda stripe, charge: stripe_claims.dispute(stripe.account, charge["id"], "won"),
    "dispute: lost": lambda stripe, charge: stripe_claims.dispute(stripe.account, charge["id"], "lost"),
    "inquiry closed": lambda stripe, charge: stripe_claims.dispute(stripe.account, charge["id"], "warning_closed"),
}
