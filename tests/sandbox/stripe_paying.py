"""How a checkout session of the stand-in ends: paid by card, by slow debit or without money, declined, expired."""

from typing import Any

from tests.sandbox import stripe_billing as billing
from tests.sandbox import stripe_cards as cards
from tests.sandbox import stripe_checkout as checkout
from tests.sandbox import stripe_discounts as discounts
from tests.sandbox import stripe_lifecycle as lifecycle
from tests.sandbox import stripe_money, stripe_shapes
from tests.sandbox import stripe_periods as periods
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import ApiError, Obj, merge_metadata, missing

DAY = billing.DAY


def pay(
    acc: Account,
    session_id: str,
    card: str | None,
    email: str | None = None,
    expiry: tuple[int, int] = cards.EXPIRY,
) -> Obj | None:
    """The session is complete; gives what was made: its subscription, payment intent or setup intent.

    None when the card was declined and the session is open. A one-time order that costs nothing gives the session.
    `card`: a number (4242…: paid; 4000…0002: declined; 4000…0341: paid, later charges fail), None (no card: only
    where none is asked for), or one of the words declined, fails_later, asks_later (its bank wants later charges
    confirmed), sepa (complete but unpaid, paid after `async_days`) and sepa_fails (refused after them). `expiry`: the
    month and year on the card.
    """
    acc.catch_up()
    session = acc.get("checkout.session", session_id)
    if session["status"] != "open":
        raise ApiError(400, f"This Checkout Session is {session['status']}.", code="checkout_session_not_open")
    if card is None and (session["amount_total"] or session["payment_method_collection"] != "if_required"):
        raise ApiError(400, "Please enter a card.", param="card")
    if card is not None and cards.number(card) in cards.DECLINED:
        _decline(acc, session, card)
        return None
    buyer = _buyer(acc, session, email)
    method = cards.keep(acc, buyer["id"] if buyer else None, card, expiry) if card is not None else None
    if session["mode"] == "setup":
        return _keep_card(acc, session, buyer, method)
    if session["mode"] == "payment":
        return _buy(acc, session, buyer, method, card or "", email)
    assert buyer is not None
    return _start(acc, session, buyer, method, card or "")


def _decline(acc: Account, session: Obj, card: str) -> None:
    draft = {"amount_due": session["amount_total"] or 0, "currency": session["currency"] or "eur"}
    reason = "subscription_create" if session["mode"] == "subscription" else None
    draft |= {"customer": session["customer"], "billing_reason": reason}
    intent = acc.add(stripe_money.payment_intent(acc, draft))
    intent["last_payment_error"] = {"type": "card_error", "code": "card_declined", "message": "Card declined."}
    charge = acc.add(stripe_money.charge(acc, intent, cards.details(cards.number(card)), paid=False))
    acc.emit("charge.failed", charge)
    acc.emit("payment_intent.payment_failed", intent)


def _buyer(acc: Account, session: Obj, email: str | None) -> Obj | None:
    """The customer who pays; a one-time order makes one only when it was asked to."""
    if session["customer"]:
        return acc.get("customer", session["customer"])
    if session["mode"] != "subscription" and session["customer_creation"] != "always":
        return None
    address = email or session["customer_email"] or "member@example.com"
    buyer = acc.add(stripe_shapes.customer(acc, email=address, currency=session["currency"]))
    acc.emit("customer.created", buyer)
    return buyer


# --- a subscription begins


def _start(acc: Account, session: Obj, buyer: Obj, method: Obj | None, card: str) -> Obj:
    sub, invoice = _subscribe(acc, session, buyer, method, card)
    slow = card.startswith("sepa") and invoice["amount_due"] > 0
    if slow:
        _start_debit(acc, session, billing.intent_of(acc, invoice), will_pay=card != "sepa_fails")
    else:
        billing.settle_paid(acc, invoice)
    free = invoice["amount_due"] == 0
    made = {"subscription": sub["id"], "invoice": invoice["id"], "amount_total": invoice["total"]}
    _complete(acc, session, buyer, made, status="unpaid" if slow else "no_payment_required" if free else "paid")
    if not slow:
        _told_paid(acc, session, sub, invoice)
    return sub


def _subscribe(acc: Account, session: Obj, buyer: Obj, method: Obj | None, card: str) -> tuple[Obj, Obj]:
    hidden = acc.secret(session["id"])
    data, now = hidden["data"], acc.now()
    trial_end = checkout.trial_end(acc, data)
    sub = stripe_shapes.subscription(
        acc,
        buyer["id"],
        status="trialing" if trial_end else "active",
        currency=session["currency"],
        anchor=trial_end or now,
        default_payment_method=method and method["id"],
        description=data.get("description"),
        trial_end=trial_end,
        trial_start=now if trial_end else None,
        trial_settings=data.get("trial_settings"),
    )
    sub["automatic_tax"]["enabled"] = session["automatic_tax"]["enabled"]
    merge_metadata(sub, data)
    _items(acc, sub, hidden["lines"], trial_end)
    discounts.grant(acc, session, sub)
    acc.hidden[sub["id"]] = {
        "member": hidden["member"],
        "session": session["id"],
        "failing": 10**9 if cards.number(card) == cards.FAILS_LATER else 0,
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


# --- one-time orders and kept cards


def _buy(acc: Account, session: Obj, buyer: Obj | None, method: Obj | None, card: str, email: str | None) -> Obj:
    discounts.count_use(acc, session)
    if not session["amount_total"]:
        _complete(acc, session, buyer, {}, status="no_payment_required", email=email)
        _told_bought(acc, session)
        return session
    intent = _intent(acc, session, buyer, method)
    slow = card.startswith("sepa")
    if slow:
        _start_debit(acc, session, intent, will_pay=card != "sepa_fails")
    else:
        billing.receive(acc, intent)
    status = "unpaid" if slow else "paid"
    _complete(acc, session, buyer, {"payment_intent": intent["id"]}, status=status, email=email)
    if not slow:
        _told_bought(acc, session)
    return intent


def _intent(acc: Account, session: Obj, buyer: Obj | None, method: Obj | None) -> Obj:
    data, hidden = acc.secret(session["id"])["data"], acc.secret(session["id"])
    bill = {"amount_due": session["amount_total"], "currency": session["currency"], "customer": buyer and buyer["id"]}
    fields = {name: data.get(name) or None for name in ("description", "receipt_email", "setup_future_usage")}
    intent = stripe_money.payment_intent(acc, bill, payment_method=method and method["id"], **fields)
    merge_metadata(intent, data)
    acc.secret(intent["id"]).update(session=session["id"], member=hidden["member"])
    acc.emit("payment_intent.created", acc.add(intent))
    return intent


def _keep_card(acc: Account, session: Obj, buyer: Obj | None, method: Obj | None) -> Obj:
    made = cards.setup_intent(acc, buyer["id"] if buyer else None, method["id"] if method else None)
    merge_metadata(made, acc.secret(session["id"])["data"])
    acc.emit("setup_intent.succeeded", acc.add(made))
    _complete(acc, session, buyer, {"setup_intent": made["id"]}, status="no_payment_required")
    return made


def _start_debit(acc: Account, session: Obj, intent: Obj, *, will_pay: bool) -> None:
    with acc.changing(intent, "payment_intent.processing"):
        intent["status"] = "processing"
    acc.secret(session["id"]).update(settle_at=acc.now() + acc.async_days * DAY, will_pay=will_pay)


def _complete(
    acc: Account, session: Obj, buyer: Obj | None, made: Obj, *, status: str, email: str | None = None
) -> None:
    known = buyer or {"email": email or session["customer_email"] or "member@example.com", "name": None, "phone": None}
    details: Obj = {"address": None, "business_name": None, "email": known["email"], "individual_name": None}
    details |= {"name": known["name"], "phone": known["phone"], "tax_exempt": "none", "tax_ids": []}
    with acc.changing(session, "checkout.session.completed"):
        session.update(status="complete", url=None, customer=buyer and buyer["id"], customer_details=details, **made)
        session["payment_status"] = status
        if (session["consent_collection"] or {}).get("terms_of_service") == "required":
            session["consent"] = {"promotions": None, "terms_of_service": "accepted"}


def _told_paid(acc: Account, session: Obj, sub: Obj, invoice: Obj) -> None:
    told = billing.facts(acc, sub)
    acc.history.add("stripe_paid", session=session["id"], **told, amount=invoice["amount_paid"], invoice=invoice["id"])


def _told_bought(acc: Account, session: Obj) -> None:
    told = {name: session[name] for name in ("customer", "payment_intent", "currency")}
    member = acc.secret(session["id"])["member"]
    acc.history.add("stripe_bought", session=session["id"], member=member, **told, amount=session["amount_total"])


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
    if session["mode"] == "payment":
        _settle_order(acc, session, paid=paid)
        return
    sub, invoice = acc.get("subscription", session["subscription"]), acc.get("invoice", session["invoice"])
    if paid:
        _debit_paid(acc, session, sub, invoice)
        return
    acc.secret(sub["id"])["failing"] = 10**9
    billing.settle_failed(acc, invoice)
    told: dict[str, Any] = billing.facts(acc, sub)
    acc.history.add("stripe_payment_failed", **told, invoice=invoice["id"], attempt=1, status="past_due")
    if sub["status"] not in lifecycle.OVER:
        lifecycle.set_fields(acc, sub, status="past_due")
    acc.emit("checkout.session.async_payment_failed", session)


def _settle_order(acc: Account, session: Obj, *, paid: bool) -> None:
    intent = acc.get("payment_intent", session["payment_intent"])
    if not paid:
        billing.refuse(acc, intent)
        acc.emit("checkout.session.async_payment_failed", session)
        return
    billing.receive(acc, intent)
    with acc.changing(session, "checkout.session.async_payment_succeeded"):
        session["payment_status"] = "paid"
    _told_bought(acc, session)


def _debit_paid(acc: Account, session: Obj, sub: Obj, invoice: Obj) -> None:
    billing.settle_paid(acc, invoice)
    if sub["status"] not in lifecycle.OVER:  # what is over stays so, whatever money still comes
        lifecycle.set_fields(acc, sub, status="active")
    with acc.changing(session, "checkout.session.async_payment_succeeded"):
        session["payment_status"] = "paid"
    _told_paid(acc, session, sub, invoice)
