"""The routes that sell and move money: checkout, subscriptions, invoices, refunds, disputes."""

from tests.sandbox import stripe_billing as billing
from tests.sandbox import stripe_change as change
from tests.sandbox import stripe_checkout as checkout
from tests.sandbox import stripe_claims as claims
from tests.sandbox import stripe_lifecycle as lifecycle
from tests.sandbox import stripe_paying as paying
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_routes import route
from tests.sandbox.stripe_wire import ApiError, Obj, merge_metadata, missing, truth, whole


@route("POST /v1/checkout/sessions")
def _open(acc: Account, params: Obj, _: str) -> Obj:
    return checkout.open_session(acc, params)


@route("POST /v1/checkout/sessions/{id}")
def _change_session(acc: Account, params: Obj, object_id: str) -> Obj:
    session = acc.get("checkout.session", object_id)
    merge_metadata(session, params)
    return session


@route("POST /v1/checkout/sessions/{id}/expire")
def _expire(acc: Account, params: Obj, object_id: str) -> Obj:
    session = acc.get("checkout.session", object_id)
    paying.expire(acc, session)
    return session


@route("POST /v1/subscriptions/{id}")
def _change_subscription(acc: Account, params: Obj, object_id: str) -> Obj:
    sub = acc.get("subscription", object_id)
    if sub["status"] in lifecycle.OVER and set(params) - {"metadata", "cancellation_details", "expand"}:
        raise ApiError(400, "A canceled subscription can only update its cancellation_details and metadata.")
    planned = change.plan(acc, sub, params) if _TURNING & set(params) else None
    if planned:
        change.check_payment(acc, sub, planned, params)
    details = params.get("cancellation_details") or {}
    if "cancel_at_period_end" in params:
        ends = truth(params, "cancel_at_period_end")
        lifecycle.plan_end(acc, sub, billing.period_end(sub) if ends else None, flag=ends, details=details)
    elif "cancel_at" in params:
        lifecycle.plan_end(acc, sub, _cancel_at(sub, params), flag=False, details=details)
    with acc.changing(sub, lifecycle.UPDATED):
        _set_fields(acc, sub, params)
        invoice = change.put(acc, sub, planned) if planned else None
    change.settle(acc, sub, invoice)
    return sub


_TURNING = {"items", "trial_end", "billing_cycle_anchor"}


def _set_fields(acc: Account, sub: Obj, params: Obj) -> None:
    merge_metadata(sub, params)
    if "description" in params:
        sub["description"] = params["description"] or None
    if "default_payment_method" in params:
        method = params["default_payment_method"] or None
        if method:
            acc.get("payment_method", method, "default_payment_method", 400)
        billing.use_card(acc, sub, method)
    if "pause_collection" in params:
        sub["pause_collection"] = _paused(params)
    if "trial_settings" in params:
        sub["trial_settings"] = params["trial_settings"]


def _cancel_at(sub: Obj, params: Obj) -> int | None:
    ends = [int(item["current_period_end"]) for item in sub["items"]["data"]]
    named = {"min_period_end": min(ends), "max_period_end": max(ends)}
    return named.get(params["cancel_at"]) or whole(params, "cancel_at")


def _paused(params: Obj) -> Obj | None:
    wanted = params["pause_collection"]
    if not wanted:
        return None
    if wanted.get("behavior") not in {"keep_as_draft", "mark_uncollectible", "void"}:
        raise ApiError(400, "Invalid pause_collection[behavior]", param="pause_collection[behavior]")
    return {"behavior": wanted["behavior"], "resumes_at": whole(wanted, "resumes_at")}


@route("DELETE /v1/subscriptions/{id}")
def _cancel(acc: Account, params: Obj, object_id: str) -> Obj:
    sub = acc.get("subscription", object_id)
    if sub["status"] in lifecycle.OVER:
        raise missing("subscription", object_id)
    if truth(params, "prorate") and truth(params, "invoice_now"):
        change.give_back(acc, sub)
    lifecycle.end(acc, sub, "cancellation_requested", params.get("cancellation_details"))
    return sub


@route("POST /v1/subscriptions/{id}/pause")
def _pause(acc: Account, params: Obj, object_id: str) -> Obj:
    sub = acc.get("subscription", object_id)
    lifecycle.pause(acc, sub, paused=True)
    return sub


@route("POST /v1/subscriptions/{id}/resume")
def _resume(acc: Account, params: Obj, object_id: str) -> Obj:
    sub = acc.get("subscription", object_id)
    if sub["status"] != "paused":
        raise ApiError(400, "Only a paused subscription can be resumed.")
    lifecycle.pause(acc, sub, paused=False)
    return sub


@route("POST /v1/invoices/{id}/pay")
def _pay_invoice(acc: Account, params: Obj, object_id: str) -> Obj:
    invoice = acc.get("invoice", object_id)
    if invoice["status"] != "open":
        raise ApiError(400, f"Invoice is already {invoice['status']}", code="invoice_not_open")
    sub = acc.get("subscription", invoice["parent"]["subscription_details"]["subscription"])
    if not lifecycle.collect(acc, sub, invoice):
        raise ApiError(402, "Your card was declined.", type="card_error", code="card_declined")
    return invoice


@route("POST /v1/invoices/create_preview")
def _preview(acc: Account, params: Obj, _: str) -> Obj:
    return change.preview(acc, params)


@route("POST /v1/invoices/{id}/void")
def _void(acc: Account, params: Obj, object_id: str) -> Obj:
    invoice = acc.get("invoice", object_id)
    if invoice["status"] not in {"open", "uncollectible"}:
        raise ApiError(400, f"You can only void open invoices; this one is {invoice['status']}.")
    billing.set_aside(acc, invoice, "void")
    return invoice


@route("POST /v1/refunds")
def _refund(acc: Account, params: Obj, _: str) -> Obj:
    ref = params.get("charge") or params.get("payment_intent")
    if not ref:
        raise ApiError(400, "One of the following params should be provided: `payment_intent` or `charge`.")
    given = claims.refund(acc, ref, whole(params, "amount"), params.get("reason"))
    merge_metadata(given, params)
    return given


@route("POST /v1/disputes/{id}/close")
def _accept_dispute(acc: Account, params: Obj, object_id: str) -> Obj:
    return claims.dispute(acc, acc.get("dispute", object_id)["charge"], "lost")
