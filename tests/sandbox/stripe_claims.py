"""Money that goes back: refunds and disputes of the stand-in."""

from tests.sandbox import stripe_billing as billing
from tests.sandbox import stripe_money
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import ApiError, Obj, missing

CLOSED = {"won", "lost", "warning_closed"}


def charge_of(acc: Account, ref: str) -> Obj:
    """The last successful charge behind a charge, payment intent, invoice, session or subscription id."""
    if ref.startswith("ch_"):
        return acc.get("charge", ref, "charge")
    if ref.startswith("sub_"):
        ref = _last_paid(acc, ref)
    if ref.startswith("cs_"):
        session = acc.get("checkout.session", ref)
        ref = session["invoice"] or session["payment_intent"] or ref
    if ref.startswith("in_"):
        ref = billing.intent_of(acc, acc.get("invoice", ref))["id"]
    for charge in acc.having("charge", "payment_intent", ref):
        if charge["paid"]:
            return charge
    raise missing("charge", ref)


def _last_paid(acc: Account, sub_id: str) -> str:
    for invoice in reversed(billing.invoices_of(acc, sub_id)):
        if invoice["amount_paid"] > 0:
            return str(invoice["id"])
    raise missing("paid invoice", sub_id)


def owner(acc: Account, charge: Obj) -> Obj:
    """Whose money it was: subscription, customer and member, as the history names them."""
    hidden = acc.secret(charge["payment_intent"])
    invoice = acc.find(hidden.get("invoice", ""))
    sub = invoice and invoice["parent"]["subscription_details"]["subscription"]
    member = acc.secret(sub).get("member") if sub else hidden.get("member")
    return {"charge": charge["id"], "subscription": sub, "customer": charge["customer"], "member": member}


def refund(acc: Account, ref: str, amount: int | None = None, reason: str | None = None) -> Obj:
    """This much (None: all that is left) of the charge went back, and the charge says so."""
    charge = charge_of(acc, ref)
    left = charge["amount"] - charge["amount_refunded"]
    if charge["refunded"]:
        raise ApiError(400, f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if amount is not None and not 0 < amount <= left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise ApiError(400, message, param="amount")
    given = acc.add(stripe_money.refund(acc, charge, amount or left, reason))
    acc.emit("refund.created", given)
    with acc.changing(charge, "charge.refunded"):
        charge["amount_refunded"] += given["amount"]
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    acc.history.add("stripe_refunded", **owner(acc, charge), amount=given["amount"], full=charge["refunded"])
    return given


def fail_refund(acc: Account, refund_id: str) -> Obj:
    """The bank could not give the money back: the refund has failed, and the charge says so."""
    given = acc.get("refund", refund_id)
    with acc.changing(given, "refund.updated"):
        given.update(status="failed", failure_reason="expired_or_canceled_card")
    acc.emit("refund.failed", given)
    with acc.changing(acc.get("charge", given["charge"]), "charge.updated") as charge:
        charge["amount_refunded"] -= given["amount"]
        charge["refunded"] = False
    return given


def dispute(acc: Account, ref: str, outcome: str = "open") -> Obj:
    """The charge's dispute stands at this outcome: open, inquiry, won, lost or warning_closed.

    A dispute is opened first if the charge has none that is still open.
    """
    charge = charge_of(acc, ref)
    current = next((d for d in acc.having("dispute", "charge", charge["id"]) if d["status"] not in CLOSED), None)
    if current is None:
        current = _open(acc, charge, inquiry=outcome in {"inquiry", "warning_closed"})
    elif outcome == "open" and current["status"].startswith("warning_"):
        _escalate(acc, charge, current)
    if outcome in CLOSED:
        _close(acc, current, outcome)
    return current


def _open(acc: Account, charge: Obj, *, inquiry: bool) -> Obj:
    opened = acc.add(stripe_money.dispute(acc, charge, inquiry))
    with acc.changing(charge, "charge.updated"):
        charge["disputed"] = True
    acc.emit("charge.dispute.created", opened)
    if not inquiry:
        acc.emit("charge.dispute.funds_withdrawn", opened)
    acc.history.add("stripe_disputed", **owner(acc, charge), dispute=opened["id"], status=opened["status"])
    return opened


def _escalate(acc: Account, charge: Obj, current: Obj) -> None:
    with acc.changing(current, "charge.dispute.updated"):
        current.update(status="needs_response", is_charge_refundable=False)
        current["payment_method_details"]["card"]["case_type"] = "chargeback"
    acc.emit("charge.dispute.funds_withdrawn", current)
    acc.history.add("stripe_disputed", **owner(acc, charge), dispute=current["id"], status=current["status"])


def _close(acc: Account, current: Obj, outcome: str) -> None:
    with acc.changing(current, "charge.dispute.updated"):
        current["status"] = "under_review" if outcome != "warning_closed" else "warning_under_review"
    with acc.changing(current, "charge.dispute.closed"):
        current["status"] = outcome
    if outcome == "won":
        acc.emit("charge.dispute.funds_reinstated", current)
    told = owner(acc, acc.get("charge", current["charge"]))
    acc.history.add("stripe_dispute_closed", **told, dispute=current["id"], status=outcome)
