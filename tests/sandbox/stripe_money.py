"""The objects as Stripe shows them, part two: discounts, invoices, payments, refunds, disputes, portal."""

from typing import Any

from tests.sandbox import stripe_shapes
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import Obj

blank = stripe_shapes.blank

_INVOICE = (
    "account_name account_tax_ids application automatically_finalizes_at custom_fields customer_account"
    " customer_address customer_email customer_name customer_phone customer_shipping default_payment_method"
    " default_source description due_date effective_at ending_balance footer from_invoice hosted_invoice_url"
    " invoice_pdf last_finalization_error latest_revision next_payment_attempt number on_behalf_of receipt_number"
    " rendering shipping_cost shipping_details statement_descriptor test_clock webhooks_delivered_at"
)


def discount(acc: Account, coupon_id: str, **fields: Any) -> Obj:
    return blank(
        "checkout_session customer customer_account end invoice invoice_item promotion_code subscription"
        " subscription_item",
        id=acc.new_id("di"),
        object="discount",
        source={"coupon": coupon_id, "type": "coupon"},
        start=acc.now(),
    ) | {key: value for key, value in fields.items() if value is not None}


_ZERO = (
    "amount_overpaid amount_paid amount_shipping attempt_count post_payment_credit_notes_amount"
    " pre_payment_credit_notes_amount starting_balance"
)
_EMPTY = "customer_tax_ids default_tax_rates discounts total_discount_amounts total_pretax_credit_amounts total_taxes"
_TOTALS = "amount_due amount_remaining subtotal subtotal_excluding_tax total total_excluding_tax"


def invoice(acc: Account, sub: Obj, buyer: Obj, reason: str, items: list[Obj]) -> Obj:
    invoice_id = acc.new_id("in")
    lines = [_line(acc, invoice_id, sub, item) for item in items]
    subtotal = sum(line["amount"] for line in lines)
    return (
        blank(_INVOICE, id=invoice_id, object="invoice", account_country="DE", status="draft", livemode=False)
        | dict.fromkeys(_ZERO.split(), 0)
        | {name: [] for name in _EMPTY.split()}
        | dict.fromkeys(_TOTALS.split(), subtotal)
        | dict.fromkeys(("created", "period_start", "period_end"), acc.now())
        | _billed_to(sub, buyer)
        | {
            "attempted": False,
            "auto_advance": True,
            "automatic_tax": blank("disabled_reason liability provider status", enabled=False),
            "billing_reason": reason,
            "issuer": {"type": "self"},
            "lines": {"object": "list", "data": lines, "has_more": False, "url": f"/v1/invoices/{invoice_id}/lines"},
            "metadata": {},
            "payment_settings": blank("default_mandate payment_method_options payment_method_types"),
            "status_transitions": blank("finalized_at marked_uncollectible_at paid_at voided_at"),
        }
    )


def _billed_to(sub: Obj, buyer: Obj) -> Obj:
    return {
        "collection_method": "charge_automatically",
        "currency": sub["currency"],
        "customer": sub["customer"],
        "customer_email": buyer["email"],
        "customer_name": buyer["name"],
        "customer_tax_exempt": "none",
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": dict(sub["metadata"]), "subscription": sub["id"]},
            "type": "subscription_details",
        },
    }


def _line(acc: Account, invoice_id: str, sub: Obj, item: Obj) -> Obj:
    price, free = item["price"], sub["status"] == "trialing"
    amount = 0 if free else price["unit_amount"] * item["quantity"]
    parent = {"invoice_item": None, "proration": False, "proration_details": None}
    return {
        "id": acc.new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": "Trial period" if free else f"{item['quantity']} × {price['nickname'] or price['id']}",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice_id,
        "livemode": False,
        "metadata": dict(sub["metadata"]),
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {**parent, "subscription": sub["id"], "subscription_item": item["id"]},
            "type": "subscription_item_details",
        },
        "period": {"end": item["current_period_end"], "start": item["current_period_start"]},
        "pretax_credit_amounts": [],
        "pricing": _pricing(price),
        "quantity": item["quantity"],
        "quantity_decimal": str(item["quantity"]),
        "subscription": sub["id"],
        "subtotal": amount,
        "taxes": [],
    }


def _pricing(price: Obj) -> Obj:
    details = {"price": price["id"], "product": price["product"]}
    return {"price_details": details, "type": "price_details", "unit_amount_decimal": price["unit_amount_decimal"]}


_INTENT = (
    "application application_fee_amount automatic_payment_methods canceled_at cancellation_reason customer_account"
    " excluded_payment_method_types last_payment_error latest_charge managed_payments next_action on_behalf_of"
    " payment_method payment_method_configuration_details processing receipt_email review setup_future_usage shipping"
    " source statement_descriptor statement_descriptor_suffix transfer_data transfer_group"
)


def payment_intent(acc: Account, bill: Obj) -> Obj:
    intent_id = acc.new_id("pi")
    return blank(
        _INTENT,
        id=intent_id,
        object="payment_intent",
        amount=bill["amount_due"],
        amount_capturable=0,
        amount_details={"tip": {}},
        amount_received=0,
        capture_method="automatic",
        client_secret=f"{intent_id}_secret_{acc.new_id('s')[2:]}",
        confirmation_method="automatic",
        created=acc.now(),
        currency=bill["currency"],
        customer=bill["customer"],
        description="Subscription creation" if bill["billing_reason"] == "subscription_create" else None,
        livemode=False,
        metadata={},
        payment_method_options={},
        payment_method_types=["card"],
        status="requires_payment_method",
    )


def invoice_payment(acc: Account, bill: Obj, intent: Obj) -> Obj:
    return {
        "id": acc.new_id("inpay"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": bill["amount_due"],
        "created": acc.now(),
        "currency": bill["currency"],
        "invoice": bill["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }


_CHARGE = (
    "application application_fee application_fee_amount balance_transaction calculated_statement_descriptor"
    " description failure_balance_transaction on_behalf_of receipt_email receipt_number receipt_url review"
    " shipping source source_transfer statement_descriptor statement_descriptor_suffix transfer_data transfer_group"
)


def charge(acc: Account, intent: Obj, last4: str, paid: bool) -> Obj:
    card = {"brand": "visa", "country": "US", "exp_month": 12, "exp_year": 2034, "funding": "credit", "last4": last4}
    address = blank("city country line1 line2 postal_code state")
    return blank(
        _CHARGE,
        id=acc.new_id("ch"),
        object="charge",
        amount=intent["amount"],
        amount_captured=intent["amount"] if paid else 0,
        amount_refunded=0,
        billing_details=blank("email name phone tax_id", address=address),
        captured=paid,
        created=acc.now(),
        currency=intent["currency"],
        customer=intent["customer"],
        disputed=False,
        failure_code=None if paid else "card_declined",
        failure_message=None if paid else "Your card was declined.",
        fraud_details={},
        livemode=False,
        metadata={},
        outcome=blank("advice_code network_advice_code network_decline_code network_status reason seller_message")
        | {"type": "authorized" if paid else "issuer_declined"},
        paid=paid,
        payment_intent=intent["id"],
        payment_method=intent["payment_method"],
        payment_method_details={"card": card, "type": "card"},
        refunded=False,
        status="succeeded" if paid else "failed",
    )


def refund(acc: Account, paid: Obj, amount: int, reason: str | None) -> Obj:
    return blank(
        "balance_transaction customer_account receipt_number source_transfer_reversal transfer_reversal",
        id=acc.new_id("re"),
        object="refund",
        amount=amount,
        charge=paid["id"],
        created=acc.now(),
        currency=paid["currency"],
        customer=paid["customer"],
        destination_details={"card": {"type": "refund"}, "type": "card"},
        metadata={},
        payment_intent=paid["payment_intent"],
        payment_method=paid["payment_method"],
        reason=reason,
        status="succeeded",
    )


def dispute(acc: Account, paid: Obj, inquiry: bool) -> Obj:
    kind = "inquiry" if inquiry else "chargeback"
    return {
        "id": acc.new_id("du"),
        "object": "dispute",
        "amount": paid["amount"] - paid["amount_refunded"],
        "balance_transactions": [],
        "charge": paid["id"],
        "created": acc.now(),
        "currency": paid["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {
            "due_by": acc.now() + 7 * 86_400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": paid["payment_intent"],
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": kind, "network": "visa", "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": "fraudulent",
        "status": "warning_needs_response" if inquiry else "needs_response",
    }


def portal_session(acc: Account, customer_id: str, configuration: str, return_url: str | None, **fields: Any) -> Obj:
    session_id = acc.new_id("bps")
    return blank(
        "customer_account flow locale on_behalf_of",
        id=session_id,
        object="billing_portal.session",
        configuration=configuration,
        created=acc.now(),
        customer=customer_id,
        livemode=False,
        return_url=return_url,
        url=f"{acc.base_url}/portal/{session_id}",
    ) | {key: value for key, value in fields.items() if value is not None}


def portal_configuration(acc: Account, **fields: Any) -> Obj:
    cancel = {
        "cancellation_reason": {"enabled": False, "options": []},
        "enabled": True,
        "mode": "at_period_end",
        "proration_behavior": "none",
    }
    return blank(
        "application default_return_url name",
        id=acc.new_id("bpc"),
        object="billing_portal.configuration",
        active=True,
        business_profile=blank("headline privacy_policy_url terms_of_service_url"),
        created=acc.now(),
        features={
            "customer_update": {"allowed_updates": [], "enabled": False},
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": False, "payment_method_configuration": None},
            "subscription_cancel": cancel,
            "subscription_update": {"enabled": False, "default_allowed_updates": [], "proration_behavior": "none"},
        },
        is_default=False,
        livemode=False,
        login_page={"enabled": False, "url": None},
        metadata={},
        updated=acc.now(),
    ) | {key: value for key, value in fields.items() if value is not None}
