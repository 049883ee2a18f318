"""The life of a subscription in the stand-in: trial, renewal, refused payments, pause, cancellation, end."""

import math
from typing import Any

from tests.sandbox import stripe_billing as billing
from tests.sandbox import stripe_periods as periods
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import Obj

DAY = billing.DAY
OVER = {"canceled", "incomplete_expired"}
UPDATED = "customer.subscription.updated"


# --- what falls due


def subscription_due(acc: Account, sub: Obj) -> int | None:
    """When this subscription next does something by itself."""
    if sub["status"] in OVER or sub["status"] == "paused":
        return None
    hidden = acc.secret(sub["id"])
    times = [item["current_period_end"] for item in sub["items"]["data"]]
    times += [sub["cancel_at"], (sub["pause_collection"] or {}).get("resumes_at"), hidden.get("trial_notice_at")]
    times.append(_notice_at(acc, sub))
    return min(int(time) for time in times if time is not None)


def _notice_at(acc: Account, sub: Obj) -> int | None:
    """When `invoice.upcoming` is told, where the operator has switched it on; once for each period."""
    end = min(int(item["current_period_end"]) for item in sub["items"]["data"])
    told = acc.secret(sub["id"]).get("upcoming_told") == end
    if not acc.upcoming_days or told or sub["cancel_at"] or sub["status"] != "active":
        return None
    return end - acc.upcoming_days * DAY


def _tell_upcoming(acc: Account, sub: Obj) -> None:
    if (_notice_at(acc, sub) or math.inf) > acc.now():
        return
    acc.secret(sub["id"])["upcoming_told"] = min(int(item["current_period_end"]) for item in sub["items"]["data"])
    invoice = acc.upcoming(sub)
    del invoice["id"]
    acc.emit("invoice.upcoming", invoice)


def subscription_step(acc: Account, sub: Obj) -> None:
    """Everything due now has happened to the subscription."""
    hidden, now = acc.secret(sub["id"]), acc.now()
    if (hidden.get("trial_notice_at") or math.inf) <= now:
        hidden["trial_notice_at"] = None
        acc.emit("customer.subscription.trial_will_end", sub)
    _tell_upcoming(acc, sub)
    if ((sub["pause_collection"] or {}).get("resumes_at") or math.inf) <= now:
        with acc.changing(sub, UPDATED):
            sub["pause_collection"] = None
    if (sub["cancel_at"] or math.inf) <= now:
        end(acc, sub, sub["cancellation_details"]["reason"] or "cancellation_requested")
    elif any(item["current_period_end"] <= now for item in sub["items"]["data"]):
        _renew(acc, sub)


def invoice_due(acc: Account, invoice: Obj) -> int | None:
    """When this invoice is next finalized or tried again."""
    if invoice["status"] == "draft":
        draft_until: int | None = acc.secret(invoice["id"]).get("finalize_at")
        return draft_until
    return invoice["next_payment_attempt"] if invoice["status"] == "open" else None


def invoice_step(acc: Account, invoice: Obj) -> None:
    """The draft has been finalized, or the open invoice tried again."""
    sub = acc.get("subscription", invoice["parent"]["subscription_details"]["subscription"])
    paused = (sub["pause_collection"] or {}).get("behavior")
    if invoice["status"] == "draft":
        acc.secret(invoice["id"])["finalize_at"] = None
        if paused == "keep_as_draft" or sub["status"] in OVER | {"unpaid"}:
            return
        billing.finalize(acc, invoice)
    if paused:
        billing.set_aside(acc, invoice, "void" if paused == "void" else "uncollectible")
        return
    collect(acc, sub, invoice)


def _renew(acc: Account, sub: Obj) -> None:
    if sub["status"] == "trialing" and not billing.has_card(acc, sub):
        wanted = sub["trial_settings"]["end_behavior"]["missing_payment_method"]
        if wanted == "cancel":
            end(acc, sub, "cancellation_requested")
            return
        if wanted == "pause":
            pause(acc, sub, paused=True)
            return
    due = [item for item in sub["items"]["data"] if item["current_period_end"] <= acc.now()]
    trial_over = sub["status"] == "trialing"
    with acc.changing(sub, UPDATED):
        if trial_over:
            sub.update(status="active", billing_cycle_anchor=sub["trial_end"])
        for item in due:
            start = item["current_period_end"]
            item["current_period_start"] = start
            anchor = acc.secret(item["id"]).get("anchor") or sub["billing_cycle_anchor"]
            item["current_period_end"] = periods.next_end(anchor, item["price"]["recurring"], start)
        billing.add_invoice(acc, sub, "subscription_cycle", due)


# --- payments


def collect(acc: Account, sub: Obj, invoice: Obj) -> bool:
    """The card was asked for the invoice's amount; the subscription's status follows. Tells whether it was paid."""
    hidden = acc.secret(sub["id"])
    if invoice["amount_due"] > 0 and not billing.can_pay(acc, sub):
        hidden["failing"] = max(0, hidden.get("failing", 0) - 1)
        billing.settle_failed(acc, invoice)
        _after_refusal(acc, sub, invoice)
        return False
    received(acc, sub, invoice)
    return True


def received(acc: Account, sub: Obj, invoice: Obj) -> None:
    """The invoice's money is there; the subscription's status follows, and the history tells."""
    hidden = acc.secret(sub["id"])
    billing.settle_paid(acc, invoice)
    with acc.changing(sub, UPDATED):
        if sub["status"] in {"past_due", "unpaid", "incomplete"}:
            sub["status"] = "active"
    told = {**billing.facts(acc, sub), "amount": invoice["amount_paid"], "invoice": invoice["id"]}
    if invoice["billing_reason"] == "subscription_create":
        acc.history.add("stripe_paid", **told, session=hidden.get("session"))
    else:
        acc.history.add("stripe_renewed", **told)


def _after_refusal(acc: Account, sub: Obj, invoice: Obj) -> None:
    final = invoice["next_payment_attempt"] is None
    status = {"cancel": "canceled", "unpaid": "unpaid"}.get(acc.after_retries, "past_due") if final else "past_due"
    told = billing.facts(acc, sub)
    acc.history.add(
        "stripe_payment_failed", **told, invoice=invoice["id"], attempt=invoice["attempt_count"], status=status
    )
    if status == "canceled":
        end(acc, sub, "payment_failed")
        return
    with acc.changing(sub, UPDATED):
        sub["status"] = status


# --- the member's and the operator's will


def cancel(acc: Account, sub: Obj, *, at_period_end: bool, as_cancel_at: bool = False) -> None:
    """The subscription ends at its period end, or has ended now."""
    if not at_period_end:
        end(acc, sub, "cancellation_requested")
        return
    plan_end(acc, sub, billing.period_end(sub), flag=not as_cancel_at)


def plan_end(acc: Account, sub: Obj, at: int | None, *, flag: bool, details: Obj | None = None) -> None:
    """The subscription will end at this time (None: goes on); `flag` says it as cancel_at_period_end."""
    with acc.changing(sub, UPDATED):
        sub["cancel_at"] = at
        sub["cancel_at_period_end"] = flag and at is not None
        sub["canceled_at"] = None if at is None else sub["canceled_at"] or acc.now()
        reason = None if at is None else "cancellation_requested"
        sub["cancellation_details"].update(details or {}, reason=reason)
    if at is not None:
        told = billing.facts(acc, sub)
        acc.history.add("stripe_cancel_planned", subscription=sub["id"], member=told["member"], at=at)


def end(acc: Account, sub: Obj, reason: str, details: Obj | None = None) -> None:
    """The subscription is over for good; its open invoices are left as they are, drafts are never sent."""
    if sub["status"] in OVER:
        return
    with acc.changing(sub, "customer.subscription.deleted"):
        sub.update(status="canceled", ended_at=acc.now(), canceled_at=sub["canceled_at"] or acc.now())
        sub["cancellation_details"].update(details or {}, reason=reason)
        sub["pause_collection"] = None
    for invoice in billing.invoices_of(acc, sub["id"]):
        invoice["next_payment_attempt"] = None
    history_end(acc, sub)


def history_end(acc: Account, sub: Obj) -> None:
    told = billing.facts(acc, sub)
    told.pop("period_end")
    acc.history.add("stripe_ended", **{**told, "at": sub["ended_at"]})


def pause(acc: Account, sub: Obj, *, paused: bool) -> None:
    """The subscription stands still in the status `paused`, or goes on with a new period from now."""
    details = {"subscription": {"type": "pause_requested"}, "transitioned_at": acc.now(), "type": "subscription"}
    event = "customer.subscription.paused" if paused else "customer.subscription.resumed"
    with acc.changing(sub, event):
        sub["status"] = "paused" if paused else "active"
        sub["status_details"] = {"paused": details} if paused else None
        if not paused:
            restart_period(acc, sub)


def restart_period(acc: Account, sub: Obj) -> None:
    """A new period begins now for every item; what the old one cost is another matter."""
    sub["billing_cycle_anchor"] = acc.now()
    for item in sub["items"]["data"]:
        item["current_period_start"] = acc.now()
        item["current_period_end"] = periods.next_end(acc.now(), item["price"]["recurring"], acc.now())


def set_fields(acc: Account, sub: Obj, **fields: Any) -> None:
    """These fields have these values, and one `updated` event says so."""
    with acc.changing(sub, UPDATED):
        sub.update(fields)
