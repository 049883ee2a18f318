"""Many subscriptions for the stand-in, made without a page and without an event: for proofs at size."""

from typing import Any

from tests.sandbox import stripe_billing as billing
from tests.sandbox import stripe_cards as cards
from tests.sandbox import stripe_periods as periods
from tests.sandbox import stripe_shapes
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import Obj


def add(acc: Account, price: Obj, customer: str | None, *, told: bool, started: int | None, **fields: Any) -> Obj:
    """A paid subscription with its customer, card, invoice, payment and charge stands in the account.

    `started`: the second in which its present period began (None: now). `told`: events say so as after a checkout.
    """
    was, acc.quiet = acc.quiet, not told
    try:
        sub = _made(acc, price, customer, acc.now() if started is None else started, fields)
    finally:
        acc.quiet = was
    return sub


def _made(acc: Account, price: Obj, customer: str | None, start: int, fields: Obj) -> Obj:
    currency = fields.pop("currency", price["currency"])
    buyer = acc.get("customer", customer) if customer else _buyer(acc, currency)
    method = cards.keep(acc, buyer["id"], fields.pop("card", cards.GOOD), fields.pop("expiry", cards.EXPIRY))
    sub = stripe_shapes.subscription(acc, buyer["id"], status="active", currency=currency, anchor=start)
    sub.update(default_payment_method=method["id"], metadata=dict(fields.pop("metadata", None) or {}))
    sub.update(created=start, start_date=start)
    end = periods.next_end(start, price["recurring"], start)
    sub["items"]["data"].append(stripe_shapes.item(acc, sub["id"], price, fields.pop("quantity", 1), start, end))
    acc.hidden[sub["id"]] = {"member": fields.pop("member", None), "session": None, "failing": 0}
    acc.add(sub)
    invoice = billing.add_invoice(acc, sub, "subscription_create", sub["items"]["data"])
    billing.finalize(acc, invoice)
    billing.settle_paid(acc, invoice)
    acc.emit("customer.subscription.created", sub)
    told = billing.facts(acc, sub)
    acc.history.add("stripe_paid", session=None, **told, amount=invoice["amount_paid"], invoice=invoice["id"])
    sub.update(fields)
    acc.watch(sub)
    return sub


def _buyer(acc: Account, currency: str) -> Obj:
    buyer = acc.add(stripe_shapes.customer(acc, email="member@example.com", currency=currency))
    acc.emit("customer.created", buyer)
    return buyer
