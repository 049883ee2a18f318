"""Checkout sessions of the stand-in: opened, paid by card or by slow debit, declined, expired."""

from typing import Any

from tests.sandbox import stripe_billing as billing
from tests.sandbox import stripe_cards as cards
from tests.sandbox import stripe_discounts as discounts
from tests.sandbox import stripe_lifecycle as lifecycle
from tests.sandbox import stripe_money, stripe_shapes
from tests.sandbox import stripe_periods as periods
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import ApiError, Obj, merge_metadata, missing, need, truth, whole

DAY = billing.DAY
DECLINED = {"declined", "4000000000000002", "4000000000009995"}
FAILS_LATER = {"fails_later", "4000000000000341"}
_COPIED = ("cancel_url", "client_reference_id", "customer_email", "locale", "submit_type")


def open_session(acc: Account, params: Obj) -> Obj:
    """An open session with its page's address; Stripe makes customer and subscription only when it is paid."""
    need(params, "line_items", "success_url")
    _check_mode(params)
    if params.get("customer"):
        acc.get("customer", params["customer"], "customer", 400)
    lines = [_line(acc, line, place) for place, line in enumerate(params["line_items"])]
    if not any(line["price"]["recurring"] for line in lines):
        raise ApiError(400, "You must provide at least one recurring price in `subscription` mode.", param="line_items")
    session = stripe_shapes.session(
        acc,
        success_url=params["success_url"],
        amount=sum(line["amount_total"] for line in lines),
        currency=lines[0]["currency"],
        expires_at=_expiry(acc, params),
        customer=params.get("customer") or None,
        allow_promotion_codes=truth(params, "allow_promotion_codes") or None,
        **{name: params.get(name) or None for name in _COPIED},
    )
    _set_texts(session, params)
    data = params.get("subscription_data") or {}
    acc.hidden[session["id"]] = {"lines": lines, "data": data, "member": params.get("client_reference_id")}
    acc.add(session)
    if (data.get("trial_period_days") or data.get("trial_end")) and _trial_end(acc, data):
        session["amount_subtotal"] = session["amount_total"] = 0
    for wanted in params.get("discounts") or []:
        discounts.preset(acc, session, wanted)
    acc.history.add("stripe_session_created", session=session["id"], member=session["client_reference_id"])
    return session


def _set_texts(session: Obj, params: Obj) -> None:
    session["custom_text"].update(params.get("custom_text") or {})
    if params.get("consent_collection"):
        consents = stripe_shapes.blank("payment_method_reuse_agreement promotions terms_of_service")
        session["consent_collection"] = consents | params["consent_collection"]
    merge_metadata(session, params)


def _check_mode(params: Obj) -> None:
    if params.get("mode", "subscription") != "subscription":
        raise ApiError(400, "The sandbox knows only `subscription` mode.", param="mode")
    if params.get("ui_mode", "hosted_page") != "hosted_page":
        raise ApiError(400, "The sandbox knows only hosted pages.", param="ui_mode")
    if params.get("customer_creation"):
        message = "`customer_creation` can only be used in `payment` and `setup` mode."
        raise ApiError(400, message, param="customer_creation")
    if params.get("customer") and params.get("customer_email"):
        message = "You may only specify one of these parameters: customer, customer_email."
        raise ApiError(400, message, param="customer")
    if params.get("discounts") and "allow_promotion_codes" in params:
        message = "You may only specify one of these parameters: allow_promotion_codes, discounts."
        raise ApiError(400, message, param="discounts")


def _line(acc: Account, line: Obj, place: int) -> Obj:
    param = f"line_items[{place}][price]"
    if not line.get("price"):
        raise ApiError(400, "The sandbox needs a `price` in each line item.", param=param)
    price = acc.get("price", line["price"], param, 400)
    if not price["active"]:
        raise ApiError(400, "The price specified is inactive. This field only accepts active prices.", param=param)
    name = acc.get("product", price["product"])["name"]
    return stripe_shapes.session_line(acc, price, whole(line, "quantity", 1) or 1, name, line.get("metadata") or {})


def _expiry(acc: Account, params: Obj) -> int:
    wanted = whole(params, "expires_at") or acc.now() + DAY
    if not 1800 - 60 <= wanted - acc.now() <= DAY + 60:
        message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation."
        raise ApiError(400, message, param="expires_at")
    return wanted


def _trial_end(acc: Account, data: Obj) -> int | None:
    days = whole(data, "trial_period_days")
    if days is not None and days < 1:
        raise ApiError(400, "The minimum number of trial period days is 1.", param="subscription_data")
    return acc.now() + days * DAY if days else whole(data, "trial_end")


# --- paying


def pay(acc: Account, session_id: str, card: str, email: str | None = None) -> Obj | None:
    """The session is complete and its subscription exists; None when the card was declined and the session is open.

    `card`: a number (4242…: paid; 4000…0002: declined; 4000…0341: paid, later charges fail) or one of the words
    declined, fails_later, sepa (complete but unpaid, paid after `async_days`) and sepa_fails (refused after them).
    """
    acc.catch_up()
    session = acc.get("checkout.session", session_id)
    if session["status"] != "open":
        raise ApiError(400, f"This Checkout Session is {session['status']}.", code="checkout_session_not_open")
    if card.replace(" ", "") in DECLINED:
        _decline(acc, session)
        return None
    buyer = _buyer(acc, session, email)
    sub, invoice = _subscribe(acc, session, buyer, card.replace(" ", ""))
    slow = card.startswith("sepa") and invoice["amount_due"] > 0
    if slow:
        _start_debit(acc, session, invoice, will_pay=card != "sepa_fails")
    else:
        billing.settle_paid(acc, invoice)
    _complete(acc, session, sub, invoice, slow=slow)
    return sub


def _decline(acc: Account, session: Obj) -> None:
    total = session["amount_total"]
    draft = {"amount_due": total, "currency": session["currency"], "customer": session["customer"]}
    intent = acc.add(stripe_money.payment_intent(acc, {**draft, "billing_reason": "subscription_create"}))
    intent["last_payment_error"] = {"code": "card_declined", "type": "card_error", "message": "Your card was declined."}
    acc.emit("charge.failed", acc.add(stripe_money.charge(acc, intent, "0002", paid=False)))
    acc.emit("payment_intent.payment_failed", intent)


def _buyer(acc: Account, session: Obj, email: str | None) -> Obj:
    if session["customer"]:
        return acc.get("customer", session["customer"])
    address = email or session["customer_email"] or "member@example.com"
    buyer = acc.add(stripe_shapes.customer(acc, email=address, currency=session["currency"]))
    acc.emit("customer.created", buyer)
    return buyer


def _subscribe(acc: Account, session: Obj, buyer: Obj, card: str) -> tuple[Obj, Obj]:
    hidden = acc.secret(session["id"])
    data, now = hidden["data"], acc.now()
    trial_end = _trial_end(acc, data)
    sub = stripe_shapes.subscription(
        acc,
        buyer["id"],
        status="trialing" if trial_end else "active",
        currency=session["currency"],
        anchor=trial_end or now,
        default_payment_method=_attach(acc, buyer, card)["id"],
        description=data.get("description"),
        trial_end=trial_end,
        trial_start=now if trial_end else None,
    )
    merge_metadata(sub, data)
    _items(acc, sub, hidden["lines"], trial_end)
    discounts.grant(acc, session, sub)
    acc.hidden[sub["id"]] = {
        "member": hidden["member"],
        "session": session["id"],
        "failing": 10**9 if card in FAILS_LATER else 0,
        "trial_notice_at": max(now, trial_end - 3 * DAY) if trial_end else None,
    }
    acc.add(sub)
    invoice = billing.add_invoice(acc, sub, "subscription_create", sub["items"]["data"])
    billing.finalize(acc, invoice)
    if card.startswith("sepa") and invoice["amount_due"] > 0:
        sub["status"] = acc.async_status
    acc.emit("customer.subscription.created", sub)
    return sub, invoice


def _items(acc: Account, sub: Obj, lines: list[Obj], trial_end: int | None) -> None:
    now = acc.now()
    for line in lines:
        cycle = line["price"]["recurring"]
        if cycle:
            end = trial_end or periods.next_end(now, cycle, now)
            item = stripe_shapes.item(acc, sub["id"], line["price"], line["quantity"], now, end)
            sub["items"]["data"].append(item)


def _attach(acc: Account, buyer: Obj, card: str) -> Obj:
    return cards.keep(acc, buyer["id"], card)


def _start_debit(acc: Account, session: Obj, invoice: Obj, *, will_pay: bool) -> None:
    with acc.changing(billing.intent_of(acc, invoice), "payment_intent.processing") as intent:
        intent["status"] = "processing"
    acc.secret(session["id"]).update(settle_at=acc.now() + acc.async_days * DAY, will_pay=will_pay)


def _complete(acc: Account, session: Obj, sub: Obj, invoice: Obj, *, slow: bool) -> None:
    buyer = acc.get("customer", sub["customer"])
    details: Obj = {"address": None, "business_name": None, "email": buyer["email"], "individual_name": None}
    details |= {"name": buyer["name"], "phone": buyer["phone"], "tax_exempt": "none", "tax_ids": []}
    free = invoice["amount_due"] == 0
    with acc.changing(session, "checkout.session.completed"):
        session.update(status="complete", url=None, customer=sub["customer"], customer_details=details)
        session.update(subscription=sub["id"], invoice=invoice["id"], amount_total=invoice["total"])
        session["payment_status"] = "unpaid" if slow else "no_payment_required" if free else "paid"
        if (session["consent_collection"] or {}).get("terms_of_service") == "required":
            session["consent"] = {"promotions": None, "terms_of_service": "accepted"}
    if not slow:
        _told_paid(acc, session, sub, invoice)


def _told_paid(acc: Account, session: Obj, sub: Obj, invoice: Obj) -> None:
    told = billing.facts(acc, sub)
    acc.history.add("stripe_paid", session=session["id"], **told, amount=invoice["amount_paid"], invoice=invoice["id"])


# --- what falls due


def session_due(acc: Account, session: Obj) -> int | None:
    """When this session expires, or its slow debit is settled."""
    settle_at: int | None = acc.secret(session["id"]).get("settle_at")
    return int(session["expires_at"]) if session["status"] == "open" else settle_at


def session_step(acc: Account, session: Obj) -> None:
    """The open session has expired, or the slow debit was paid or refused."""
    if session["status"] == "open":
        expire(acc, session)
    else:
        settle_debit(acc, session, paid=bool(acc.secret(session["id"])["will_pay"]))


def expire(acc: Account, session: Obj) -> None:
    """The session can be paid no more."""
    if session["status"] != "open":
        message = f'Only Checkout Sessions with a status in ["open"] can be expired. This one is {session["status"]}.'
        raise ApiError(400, message)
    with acc.changing(session, "checkout.session.expired"):
        session.update(status="expired", url=None)


def settle_debit(acc: Account, session: Obj, *, paid: bool) -> None:
    """The slow debit of a completed session has been paid or refused, whatever was planned."""
    if acc.secret(session["id"]).pop("settle_at", None) is None:
        raise missing("pending debit", session["id"])
    sub, invoice = acc.get("subscription", session["subscription"]), acc.get("invoice", session["invoice"])
    if paid:
        _debit_paid(acc, session, sub, invoice)
        return
    acc.secret(sub["id"])["failing"] = 10**9
    billing.settle_failed(acc, invoice)
    told: dict[str, Any] = billing.facts(acc, sub)
    acc.history.add("stripe_payment_failed", **told, invoice=invoice["id"], attempt=1, status="past_due")
    lifecycle.set_fields(acc, sub, status="past_due")
    acc.emit("checkout.session.async_payment_failed", session)


def _debit_paid(acc: Account, session: Obj, sub: Obj, invoice: Obj) -> None:
    billing.settle_paid(acc, invoice)
    with acc.changing(sub, lifecycle.UPDATED):
        sub["status"] = "active"
    with acc.changing(session, "checkout.session.async_payment_succeeded"):
        session["payment_status"] = "paid"
    _told_paid(acc, session, sub, invoice)
