"""Invoices of the stand-in: made, discounted, finalized, paid or refused, retried."""

from tests.sandbox import stripe_discounts as discounts
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
    """A draft invoice for these items stands in the account; the subscription names it as its latest."""
    invoice = stripe_money.invoice(acc, sub, acc.get("customer", sub["customer"]), reason, items)
    for discount_id in list(sub["discounts"]):
        _discount(acc, sub, invoice, discount_id)
    acc.secret(invoice["id"])["finalize_at"] = acc.now() + acc.draft_seconds
    acc.add(invoice)
    acc.secret(sub["id"]).setdefault("invoices", []).append(invoice["id"])
    sub["latest_invoice"] = invoice["id"]
    acc.emit("invoice.created", invoice)
    return invoice


def _discount(acc: Account, sub: Obj, invoice: Obj, discount_id: str) -> None:
    discount = acc.get("discount", discount_id)
    if discount["end"] is not None and discount["end"] <= acc.now():
        sub["discounts"].remove(discount_id)
        return
    off = discounts.reduction(acc, discount["source"]["coupon"], invoice["total"])
    invoice["discounts"].append(discount_id)
    invoice["total_discount_amounts"].append({"amount": off, "discount": discount_id})
    for name in ("amount_due", "amount_remaining", "total", "total_excluding_tax"):
        invoice[name] -= off
    if acc.get("coupon", discount["source"]["coupon"])["duration"] == "once":
        sub["discounts"].remove(discount_id)


def finalize(acc: Account, invoice: Obj) -> None:
    """The invoice is open and has its default payment, or is paid at once when nothing is due."""
    buyer = acc.get("customer", invoice["customer"])
    with acc.changing(invoice, "invoice.finalized"):
        invoice["status"] = "open"
        invoice["effective_at"] = invoice["status_transitions"]["finalized_at"] = acc.now()
        invoice["number"] = f"{buyer['invoice_prefix']}-{buyer['next_invoice_sequence']:04d}"
        invoice["hosted_invoice_url"] = f"{acc.base_url}/invoice/{invoice['id']}"
    buyer["next_invoice_sequence"] += 1
    if invoice["amount_due"] > 0:
        intent = acc.add(stripe_money.payment_intent(acc, invoice))
        payment = acc.add(stripe_money.invoice_payment(acc, invoice, intent))
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


def settle_paid(acc: Account, invoice: Obj, last4: str = "4242") -> None:
    """The invoice is paid and the money received; all events of it are told."""
    if invoice["amount_due"] > 0:
        intent = intent_of(acc, invoice)
        charge = _charge(acc, intent, last4, paid=True)
        with acc.changing(intent, "payment_intent.succeeded"):
            intent.update(status="succeeded", amount_received=intent["amount"], latest_charge=charge["id"])
            intent["processing"] = intent["next_action"] = None
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


def settle_failed(acc: Account, invoice: Obj, last4: str = "0341") -> None:
    """One more attempt on the invoice was refused; the next one, if any is left, is planned."""
    intent = intent_of(acc, invoice)
    charge = _charge(acc, intent, last4, paid=False)
    error = {"code": "card_declined", "message": "Your card was declined.", "type": "card_error"}
    with acc.changing(intent, "payment_intent.payment_failed"):
        intent.update(status="requires_payment_method", last_payment_error=error, latest_charge=charge["id"])
        intent["processing"] = None
    tries = invoice["attempt_count"]
    later = acc.now() + acc.retry_days[tries] * DAY if tries < len(acc.retry_days) else None
    with acc.changing(invoice, "invoice.payment_failed"):
        invoice.update(attempt_count=tries + 1, attempted=True, next_payment_attempt=later)


def _charge(acc: Account, intent: Obj, last4: str, *, paid: bool) -> Obj:
    charge = acc.add(stripe_money.charge(acc, intent, last4, paid))
    acc.emit("charge.succeeded" if paid else "charge.failed", charge)
    return charge


def set_aside(acc: Account, invoice: Obj, status: str) -> None:
    """The invoice is `void` or `uncollectible`: nobody will be asked to pay it."""
    told = {"void": ("invoice.voided", "voided_at")}
    event, stamp = told.get(status, ("invoice.marked_uncollectible", "marked_uncollectible_at"))
    with acc.changing(invoice, event):
        invoice.update(status=status, next_payment_attempt=None, auto_advance=False)
        invoice["status_transitions"][stamp] = acc.now()
