"""The objects as Stripe shows them, part one: catalogue, customers, checkout, subscriptions, portal, endpoints."""

from typing import Any

from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import Obj


def blank(names: str, **values: Any) -> Obj:
    """An object with all these fields null, except the given ones."""
    return {**dict.fromkeys(names.split()), **values}


def product(acc: Account, name: str, **fields: Any) -> Obj:
    return blank(
        "default_price description package_dimensions shippable statement_descriptor tax_code unit_label url",
        id=fields.pop("id", None) or acc.new_id("prod", 14),
        object="product",
        active=True,
        created=acc.now(),
        images=[],
        livemode=False,
        marketing_features=[],
        metadata={},
        name=name,
        type="service",
        updated=acc.now(),
    ) | {key: value for key, value in fields.items() if value is not None}


def price(acc: Account, product_id: str, amount: int, currency: str, recurring: Obj | None, **fields: Any) -> Obj:
    cycle = recurring and {
        "interval": recurring["interval"],
        "interval_count": int(recurring.get("interval_count") or 1),
        "meter": None,
        "trial_period_days": None,
        "usage_type": recurring.get("usage_type") or "licensed",
    }
    return blank(
        "custom_unit_amount lookup_key nickname tiers_mode transform_quantity",
        id=acc.new_id("price"),
        object="price",
        active=True,
        billing_scheme="per_unit",
        created=acc.now(),
        currency=currency.lower(),
        livemode=False,
        metadata={},
        product=product_id,
        recurring=cycle,
        tax_behavior="unspecified",
        type="recurring" if cycle else "one_time",
        unit_amount=amount,
        unit_amount_decimal=str(amount),
    ) | {key: value for key, value in fields.items() if value is not None}


def plan(price_obj: Obj) -> Obj:
    """The legacy plan that still stands on every subscription item."""
    cycle = price_obj["recurring"] or {}
    return blank(
        "meter tiers_mode transform_usage trial_period_days",
        id=price_obj["id"],
        object="plan",
        active=price_obj["active"],
        amount=price_obj["unit_amount"],
        amount_decimal=price_obj["unit_amount_decimal"],
        billing_scheme="per_unit",
        created=price_obj["created"],
        currency=price_obj["currency"],
        interval=cycle.get("interval"),
        interval_count=cycle.get("interval_count"),
        livemode=False,
        metadata={},
        nickname=price_obj["nickname"],
        product=price_obj["product"],
        usage_type="licensed",
    )


def customer(acc: Account, **fields: Any) -> Obj:
    return blank(
        "address currency default_source description discount email name phone shipping test_clock",
        id=acc.new_id("cus", 14),
        object="customer",
        balance=0,
        created=acc.now(),
        delinquent=False,
        invoice_prefix=acc.new_id("x", 8)[2:].upper(),
        invoice_settings=blank("custom_fields default_payment_method footer rendering_options"),
        livemode=False,
        metadata={},
        next_invoice_sequence=1,
        preferred_locales=[],
        tax_exempt="none",
    ) | {key: value for key, value in fields.items() if value is not None}


_SESSION = (
    "after_expiration allow_promotion_codes billing_address_collection cancel_url client_reference_id client_secret"
    " collected_information consent consent_collection currency_conversion customer customer_account customer_creation"
    " customer_details customer_email invoice invoice_creation locale origin_context payment_intent payment_link"
    " payment_method_configuration_details permissions recovered_from setup_intent shipping_address_collection"
    " saved_payment_method_options shipping_cost submit_type subscription wallet_options integration_identifier"
)


_OPEN = {
    "mode": "subscription",
    "payment_method_collection": "always",
    "payment_status": "unpaid",
    "status": "open",
    "ui_mode": "hosted_page",
}


def session(acc: Account, *, success_url: str, amount: int, currency: str, expires_at: int, **fields: Any) -> Obj:
    session_id = acc.new_id("cs_test", 58)
    return (
        blank(
            _SESSION,
            **_OPEN,
            id=session_id,
            object="checkout.session",
            adaptive_pricing={"enabled": False},
            amount_subtotal=amount,
            amount_total=amount,
            automatic_tax=blank("liability provider status", enabled=False),
            created=acc.now(),
            currency=currency,
            custom_text=blank("after_submit shipping_address submit terms_of_service_acceptance"),
            discounts=[],
            expires_at=expires_at,
            livemode=False,
            managed_payments={"enabled": False},
            metadata={},
            payment_method_options={},
            payment_method_types=["card"],
            phone_number_collection={"enabled": False},
            success_url=success_url,
            total_details={"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
            url=f"{acc.base_url}/pay/{session_id}",
        )
        | {"custom_fields": [], "shipping_options": []}
        | {k: v for k, v in fields.items() if v is not None}
    )


def session_line(acc: Account, price_obj: Obj, quantity: int, description: str, metadata: Obj) -> Obj:
    amount = price_obj["unit_amount"] * quantity
    return {
        "id": acc.new_id("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price_obj["currency"],
        "description": description,
        "metadata": metadata,
        "price": price_obj,
        "quantity": quantity,
    }


_SUBSCRIPTION = (
    "application application_fee_percent billing_cycle_anchor_config billing_thresholds cancel_at"
    " canceled_at customer_account days_until_due default_payment_method default_source description ended_at"
    " latest_invoice next_pending_invoice_item_invoice on_behalf_of pause_collection pending_invoice_item_interval"
    " pending_setup_intent pending_update schedule status_details test_clock transfer_data trial_end trial_start"
)


def subscription(acc: Account, customer_id: str, *, status: str, currency: str, anchor: int, **fields: Any) -> Obj:
    sub_id = acc.new_id("sub")
    return blank(
        _SUBSCRIPTION,
        id=sub_id,
        object="subscription",
        automatic_tax={"disabled_reason": None, "enabled": False, "liability": None},
        billing_cycle_anchor=anchor,
        billing_schedules=[],
        billing_mode={"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        cancel_at_period_end=False,
        cancellation_details=blank("comment feedback reason"),
        collection_method="charge_automatically",
        created=acc.now(),
        currency=currency,
        customer=customer_id,
        default_tax_rates=[],
        discounts=[],
        invoice_settings=blank("account_tax_ids custom_fields description footer", issuer={"type": "self"}),
        items={"object": "list", "data": [], "has_more": False, "url": f"/v1/subscription_items?subscription={sub_id}"},
        livemode=False,
        managed_payments={"enabled": False},
        metadata={},
        payment_settings=blank("payment_method_options payment_method_types", save_default_payment_method="off"),
        start_date=acc.now(),
        status=status,
        trial_settings={"end_behavior": {"missing_payment_method": "create_invoice"}},
    ) | {key: value for key, value in fields.items() if value is not None}


def item(acc: Account, sub_id: str, price_obj: Obj, quantity: int, start: int, end: int) -> Obj:
    return {
        "id": acc.new_id("si", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": acc.now(),
        "current_period_end": end,
        "current_period_start": start,
        "discounts": [],
        "metadata": {},
        "plan": plan(price_obj),
        "price": price_obj,
        "quantity": quantity,
        "subscription": sub_id,
        "tax_rates": [],
    }


def coupon(acc: Account, **fields: Any) -> Obj:
    return blank(
        "amount_off currency duration_in_months max_redemptions name percent_off redeem_by",
        id=fields.pop("id", None) or acc.new_id("c", 8)[2:],
        object="coupon",
        created=acc.now(),
        duration="once",
        livemode=False,
        metadata={},
        times_redeemed=0,
        valid=True,
    ) | {key: value for key, value in fields.items() if value is not None}


def promotion_code(acc: Account, coupon_id: str, code: str, **fields: Any) -> Obj:
    return blank(
        "customer customer_account expires_at max_redemptions",
        id=acc.new_id("promo"),
        object="promotion_code",
        active=True,
        code=code,
        created=acc.now(),
        livemode=False,
        metadata={},
        promotion={"coupon": coupon_id, "type": "coupon"},
        restrictions=blank("minimum_amount minimum_amount_currency", first_time_transaction=False),
        times_redeemed=0,
    ) | {key: value for key, value in fields.items() if value is not None}


def webhook_endpoint(acc: Account, url: str, enabled: list[str], api_version: str | None, **fields: Any) -> Obj:
    return blank(
        "application description",
        id=acc.new_id("we"),
        object="webhook_endpoint",
        api_version=api_version,
        created=acc.now(),
        enabled_events=enabled,
        livemode=False,
        metadata={},
        status="enabled",
        url=url,
    ) | {key: value for key, value in fields.items() if value is not None}
