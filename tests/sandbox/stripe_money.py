"""The objects as Stripe shows them, part two: discounts, payments, refunds, disputes, portal."""

from typing import Any

from tests.sandbox import stripe_shapes
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import Obj

blank = stripe_shapes.blank


def discount(acc: Account, coupon_id: str, **fields: Any) -> Obj:
    return blank(
        "checkout_session customer customer_account end invoice invoice_item promotion_code subscription"
        " subscription_item",
        id=acc.new_id("di"),
        object="discount",
        source={"coupon": coupon_id, "type": "coupon"},
        start=acc.now(),
    ) | {key: value for key, value in fields.items() if value is not None}


_PURPOSES = {
    "subscription_create": "Subscription creation",
    "subscription_cycle": "Subscription update",
    "subscription_update": "Subscription update",
}
_INTENT = (
    "application application_fee_amount automatic_payment_methods canceled_at cancellation_reason customer_account"
    " excluded_payment_method_types last_payment_error latest_charge managed_payments next_action on_behalf_of"
    " payment_method payment_method_configuration_details processing receipt_email review setup_future_usage shipping"
    " source statement_descriptor statement_descriptor_suffix transfer_data transfer_group"
)


def payment_intent(acc: Account, bill: Obj, **fields: Any) -> Obj:
    """An intent to take `amount_due` of the bill's currency from its customer."""
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
        description=_PURPOSES.get(bill.get("billing_reason") or ""),
        livemode=False,
        metadata={},
        payment_method_options={},
        payment_method_types=["card"],
        status="requires_payment_method",
    ) | {key: value for key, value in fields.items() if value is not None}


_CHARGE = (
    "application application_fee application_fee_amount balance_transaction calculated_statement_descriptor"
    " description failure_balance_transaction on_behalf_of receipt_email receipt_number receipt_url review"
    " shipping source source_transfer statement_descriptor statement_descriptor_suffix transfer_data transfer_group"
)


def charge(acc: Account, intent: Obj, card: Obj, paid: bool) -> Obj:
    """One attempt to take the intent's amount from this card."""
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
        metadata=dict(intent["metadata"]),
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


_EVIDENCE = (
    "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal"
    " customer_communication customer_email_address customer_name customer_purchase_ip customer_signature"
    " duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt"
    " refund_policy refund_policy_disclosure refund_refusal_explanation service_date service_documentation"
    " shipping_address shipping_carrier shipping_date shipping_documentation shipping_tracking_number"
    " uncategorized_file uncategorized_text"
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
        "evidence": {**blank(_EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": acc.now() + 7 * 86_400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
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
            "subscription_pause": {"duration": {"interval_options": [], "type": "indefinite"}, "enabled": False},
            "subscription_update": {
                "billing_cycle_anchor": None,
                "default_allowed_updates": [],
                "enabled": False,
                "proration_behavior": "none",
                "schedule_at_period_end": {"conditions": []},
                "trial_update_behavior": "end_trial",
            },
        },
        is_default=False,
        livemode=False,
        login_page={"enabled": False, "url": None},
        metadata={},
        updated=acc.now(),
    ) | {key: value for key, value in fields.items() if value is not None}
