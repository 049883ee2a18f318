"""Invoices of the stand-in: made, discounted, finalized, paid or refused, retried."""

from typing import Any

from tests.sandbox import stripe_cards as cards
from tests.sandbox import stripe_discounts as discounts
from tests.sandbox import stripe_invoices as invoices
from tests.sandbox import stripe_money
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import ApiError, Obj

DAY = 86_400


def invoices_of(acc: Account, sub_id: str) -> list[Obj]:
    """All invoices of the subscription, oldest first."""
    return [acc.get("invoice", one) for one in acc.secret(sub_id).get("invoices", [])]


def period_end(sub: Obj) -> int:
    """The end of the last paid-for period: the latest over the items."""
    return max(int(item["current_period_end"]) for item in sub["items"]["data"])


def facts(acc: Account, sub: Obj) -> Obj:
    """What every line of the history says about a subscription."""
    first = sub["items"]["data"][0]
    return {
        "subscription": sub["id"],
        "customer": sub["customer"],
        "member": acc.secret(sub["id"]).get("member"),
        "price": first["price"]["id"],
        "period_end": period_end(sub),
    }


def add_invoice(acc: Account, sub: Obj, reason: str, items: list[Obj]) -> Obj:
    """A draft invoice for these items, and for what was pending, stands in the account."""
    return bill(acc, sub, reason, [invoices.renewal(acc, sub, item) for item in items])


def bill(acc: Account, sub: Obj, reason: str, lines: list[invoices.Line]) -> Obj:
    """A draft invoice of these lines, and of what was pending, stands in the account; it is the subscription's latest.

    The subscription's discounts for one invoice are used up.
    """
    hidden = acc.secret(sub["id"])
    lines = [*hidden.pop("pending", []), *lines]
    invoice = invoices.invoice(acc, sub, reason, lines)
    for line, shown in zip(lines, invoice["lines"]["data"], strict=True):
        where = (invoice["id"], (shown["id"],))
        if not line.proration:
            remember(acc, line.item, discounts.net(acc, sub, line.amount), line.start, line.end, where)
        elif line.basis:
            remember(acc, line.item, *line.basis, where)
    discounts.use_up(acc, sub)
    acc.secret(invoice["id"])["finalize_at"] = acc.now() + acc.draft_seconds
    acc.add(invoice)
    hidden.setdefault("invoices", []).append(invoice["id"])
    sub["latest_invoice"] = invoice["id"]
    acc.emit("invoice.created", invoice)
    return invoice


def remember(acc: Account, item: Obj, net: int, start: int, end: int, where: Any = None) -> None:
    """What was asked for the item's current period is known, so that the unused rest can be given back exactly."""
    acc.secret(item["id"])["billed"] = (net, start, end, where)


def finalize(acc: Account, invoice: Obj) -> None:
    """The invoice is open and has its default payment, or is paid at once when nothing is due."""
    buyer = acc.get("customer", invoice["customer"])
    with acc.changing(invoice, "invoice.finalized"):
        invoices.set_due(invoice, buyer["balance"])
        invoice["ending_balance"] = invoices.balance_after(invoice)
        invoice["status"] = "open"
        invoice["effective_at"] = invoice["status_transitions"]["finalized_at"] = acc.now()
        invoice["number"] = f"{buyer['invoice_prefix']}-{buyer['next_invoice_sequence']:04d}"
        invoice["hosted_invoice_url"] = f"{acc.base_url}/invoice/{invoice['id']}"
    with acc.changing(buyer, "customer.updated"):
        buyer["balance"] = invoice["ending_balance"]
        buyer["currency"] = buyer["currency"] or invoice["currency"]
    buyer["next_invoice_sequence"] += 1
    if invoice["amount_due"] > 0:
        intent = acc.add(stripe_money.payment_intent(acc, invoice, payment_method=_method(acc, invoice)))
        payment = acc.add(invoices.invoice_payment(acc, invoice, intent))
        acc.secret(invoice["id"])["payment"] = payment["id"]
        acc.secret(intent["id"])["invoice"] = invoice["id"]
        acc.emit("payment_intent.created", intent)


def payment_of(acc: Account, invoice_id: str) -> Obj | None:
    """The default payment of the invoice, if it has one."""
    return acc.tables.get("invoice_payment", {}).get(acc.secret(invoice_id).get("payment", ""))


def intent_of(acc: Account, invoice: Obj) -> Obj:
    payment = payment_of(acc, invoice["id"])
    if payment is None:
        raise ApiError(400, "This invoice has no payment.", code="invoice_no_payment")
    return acc.get("payment_intent", payment["payment"]["payment_intent"])


def _method(acc: Account, invoice: Obj) -> str | None:
    return card_of(acc, acc.get("subscription", invoice["parent"]["subscription_details"]["subscription"]))


def has_card(acc: Account, sub: Obj) -> bool:
    """There is something to charge."""
    return card_of(acc, sub) is not None


def card_of(acc: Account, sub: Obj) -> str | None:
    """The payment method that is charged for the subscription: its own, or its customer's."""
    method: str | None = sub["default_payment_method"]
    return method or acc.get("customer", sub["customer"])["invoice_settings"]["default_payment_method"]


def use_card(acc: Account, sub: Obj, method_id: str | None) -> None:
    """From now on the subscription is charged to this card, which works or not. Call inside `changing`."""
    sub["default_payment_method"] = method_id
    acc.secret(sub["id"])["failing"] = 0 if method_id is None or cards.works(acc, method_id) else 10**9


def can_pay(acc: Account, sub: Obj) -> bool:
    """The subscription's next charge would be paid."""
    method = card_of(acc, sub)
    return method is not None and not cards.asks(acc, method) and not acc.secret(sub["id"]).get("failing", 0)


def receive(acc: Account, intent: Obj) -> Obj:
    """The intent's money was received; gives the charge."""
    charge = _charge(acc, intent, paid=True)
    with acc.changing(intent, "payment_intent.succeeded"):
        intent.update(status="succeeded", amount_received=intent["amount"], latest_charge=charge["id"])
        intent["processing"] = intent["next_action"] = None
    return charge


def refuse(acc: Account, intent: Obj) -> None:
    """The intent was tried and the bank said no."""
    charge = _charge(acc, intent, paid=False)
    error = {"code": "card_declined", "message": "Your card was declined.", "type": "card_error"}
    with acc.changing(intent, "payment_intent.payment_failed"):
        intent.update(status="requires_payment_method", last_payment_error=error, latest_charge=charge["id"])
        intent["processing"] = None


def settle_paid(acc: Account, invoice: Obj) -> None:
    """The invoice is paid and the money received; all events of it are told."""
    if invoice["amount_due"] > 0:
        intent = intent_of(acc, invoice)
        intent["payment_method"] = _method(acc, invoice)
        receive(acc, intent)
        payment = payment_of(acc, invoice["id"])
        assert payment is not None
        with acc.changing(payment, "invoice_payment.paid"):
            payment.update(status="paid", amount_paid=payment["amount_requested"])
            payment["status_transitions"]["paid_at"] = acc.now()
    with acc.changing(invoice, "invoice.paid"):
        invoice.update(status="paid", amount_paid=invoice["amount_due"], amount_remaining=0, attempted=True)
        invoice.update(attempt_count=invoice["attempt_count"] + 1, next_payment_attempt=None, auto_advance=False)
        invoice["status_transitions"]["paid_at"] = acc.now()
    acc.emit("invoice.payment_succeeded", invoice)


def ask(acc: Account, invoice: Obj) -> None:
    """The bank wants its customer to confirm the payment, and the invoice says so."""
    with acc.changing(intent_of(acc, invoice), "payment_intent.requires_action") as intent:
        intent.update(status="requires_action", next_action={"type": "use_stripe_sdk", "use_stripe_sdk": {}})
    acc.emit("invoice.payment_action_required", invoice)


def settle_failed(acc: Account, invoice: Obj) -> None:
    """One more attempt on the invoice brought nothing; the next one, if any is left, is planned."""
    if cards.asks(acc, _method(acc, invoice)):
        ask(acc, invoice)
    else:
        refuse(acc, intent_of(acc, invoice))
    tries = invoice["attempt_count"]
    later = acc.now() + acc.retry_days[tries] * DAY if tries < len(acc.retry_days) else None
    with acc.changing(invoice, "invoice.payment_failed"):
        invoice.update(attempt_count=tries + 1, attempted=True, next_payment_attempt=later)


def _charge(acc: Account, intent: Obj, *, paid: bool) -> Obj:
    card = cards.charged(acc, intent["payment_method"])
    charge = acc.add(stripe_money.charge(acc, intent, card, paid))
    acc.emit("charge.succeeded" if paid else "charge.failed", charge)
    return charge


def set_aside(acc: Account, invoice: Obj, status: str) -> None:
    """The invoice is `void` or `uncollectible`: nobody will be asked to pay it."""
    told = {"void": ("invoice.voided", "voided_at")}
    event, stamp = told.get(status, ("invoice.marked_uncollectible", "marked_uncollectible_at"))
    with acc.changing(invoice, event):
        invoice.update(status=status, next_payment_attempt=None, auto_advance=False)
        invoice["status_transitions"][stamp] = acc.now()
