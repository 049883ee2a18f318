"""Which parameters each route knows; every other one is refused with parameter_unknown, as Stripe does.

One line per route, top-level names first. A name with its own line in NESTED is strict inside too; every other nested
object is taken as it is. A test holds both tables against the parameter types of the installed stripe library.
"""

from tests.sandbox import stripe_wire
from tests.sandbox.stripe_wire import ApiError

_LIST = "ending_before expand limit starting_after"
_SEARCH = "expand limit page query"

TOP: dict[str, str] = {
    "POST /v1/products": "active default_price_data description expand id images marketing_features metadata name"
    " package_dimensions shippable statement_descriptor tax_code tax_details type unit_label url",
    "POST /v1/products/{id}": "active default_price description expand images marketing_features metadata name"
    " package_dimensions shippable statement_descriptor tax_code tax_details unit_label url",
    "GET /v1/products": f"{_LIST} active created ids shippable type url",
    "GET /v1/products/{id}": "expand",
    "GET /v1/products/search": _SEARCH,
    "POST /v1/prices": "active billing_scheme currency currency_options custom_unit_amount expand lookup_key metadata"
    " nickname product product_data recurring tax_behavior tiers tiers_mode transfer_lookup_key transform_quantity"
    " unit_amount unit_amount_decimal",
    "POST /v1/prices/{id}": "active currency_options expand lookup_key metadata nickname tax_behavior"
    " transfer_lookup_key",
    "GET /v1/prices": f"{_LIST} active created currency lookup_keys product recurring type",
    "GET /v1/prices/{id}": "expand",
    "GET /v1/prices/search": _SEARCH,
    "POST /v1/customers": "address balance business_name cash_balance description email expand individual_name"
    " invoice_prefix invoice_settings metadata name next_invoice_sequence payment_method phone preferred_locales"
    " shipping source tax tax_exempt tax_id_data test_clock validate",
    "POST /v1/customers/{id}": "address balance business_name cash_balance default_source description email expand"
    " individual_name invoice_prefix invoice_settings metadata name next_invoice_sequence phone preferred_locales"
    " shipping source tax tax_exempt validate",
    "GET /v1/customers": f"{_LIST} created email test_clock",
    "GET /v1/customers/{id}": "expand",
    "DELETE /v1/customers/{id}": "",
    "GET /v1/customers/search": _SEARCH,
    "POST /v1/checkout/sessions": "adaptive_pricing after_expiration allow_promotion_codes allowed_payment_method_types"
    " automatic_tax billing_address_collection branding_settings cancel_url client_reference_id consent_collection"
    " currency custom_fields custom_text customer customer_account customer_creation customer_email customer_update"
    " discounts excluded_payment_method_types expand expires_at integration_identifier invoice_creation line_items"
    " locale managed_payments metadata mode name_collection optional_items origin_context payment_intent_data"
    " payment_method_collection payment_method_configuration payment_method_data payment_method_options permissions"
    " phone_number_collection redirect_on_completion return_url saved_payment_method_options setup_intent_data"
    " shipping_address_collection shipping_options submit_type subscription_data success_url tax_id_collection ui_mode"
    " wallet_options",
    "GET /v1/checkout/sessions": f"{_LIST} created customer customer_account customer_details payment_intent"
    " payment_link status subscription",
    "GET /v1/checkout/sessions/{id}": "expand",
    "POST /v1/checkout/sessions/{id}": "collected_information expand line_items metadata payment_intent_data"
    " shipping_options",
    "POST /v1/checkout/sessions/{id}/expire": "expand",
    "GET /v1/checkout/sessions/{id}/line_items": _LIST,
    "GET /v1/subscriptions": f"{_LIST} automatic_tax collection_method created current_period_end"
    " current_period_start customer customer_account plan price status test_clock",
    "GET /v1/subscriptions/{id}": "expand",
    "POST /v1/subscriptions/{id}": "add_invoice_items application_fee_percent automatic_tax billing_cycle_anchor"
    " billing_schedules billing_thresholds cancel_at cancel_at_period_end cancellation_details collection_method"
    " days_until_due default_payment_method default_source default_tax_rates description discounts expand"
    " invoice_settings items metadata off_session on_behalf_of pause_collection payment_behavior payment_settings"
    " pending_invoice_item_interval proration_behavior proration_date transfer_data trial_end trial_from_plan"
    " trial_settings",
    "DELETE /v1/subscriptions/{id}": "cancellation_details expand invoice_now prorate",
    "POST /v1/subscriptions/{id}/pause": "bill_for expand invoicing_behavior type",
    "POST /v1/subscriptions/{id}/resume": "billing_cycle_anchor expand payment_behavior proration_behavior"
    " proration_date",
    "GET /v1/subscriptions/search": _SEARCH,
    "GET /v1/invoices": f"{_LIST} collection_method created customer customer_account due_date status subscription",
    "GET /v1/invoices/{id}": "expand",
    "POST /v1/invoices/create_preview": "automatic_tax currency customer customer_account customer_details discounts"
    " expand invoice_items issuer on_behalf_of preview_mode schedule schedule_details subscription"
    " subscription_details",
    "POST /v1/invoices/{id}/void": "expand",
    "POST /v1/invoices/{id}/pay": "expand forgive mandate off_session paid_out_of_band payment_method source",
    "GET /v1/invoice_payments": f"{_LIST} created invoice payment status",
    "GET /v1/invoice_payments/{id}": "expand",
    "POST /v1/billing_portal/sessions": "after_expiration configuration customer customer_account expand flow_data"
    " locale on_behalf_of return_url",
    "POST /v1/billing_portal/configurations": "business_profile default_return_url expand features login_page metadata"
    " name",
    "POST /v1/billing_portal/configurations/{id}": "active business_profile default_return_url expand features"
    " login_page metadata name",
    "GET /v1/billing_portal/configurations": f"{_LIST} active is_default",
    "GET /v1/billing_portal/configurations/{id}": "expand",
    "POST /v1/coupons": "amount_off applies_to currency currency_options duration duration_in_months expand id"
    " max_redemptions metadata name percent_off redeem_by",
    "GET /v1/coupons": f"{_LIST} created",
    "GET /v1/coupons/{id}": "expand",
    "POST /v1/promotion_codes": "active code customer customer_account expand expires_at max_redemptions metadata"
    " promotion restrictions",
    "POST /v1/promotion_codes/{id}": "active expand metadata restrictions",
    "GET /v1/promotion_codes": f"{_LIST} active code coupon created customer customer_account",
    "GET /v1/promotion_codes/{id}": "expand",
    "POST /v1/webhook_endpoints": "api_version connect description enabled_events expand metadata url",
    "POST /v1/webhook_endpoints/{id}": "description disabled enabled_events expand metadata url",
    "GET /v1/webhook_endpoints": _LIST,
    "GET /v1/webhook_endpoints/{id}": "expand",
    "DELETE /v1/webhook_endpoints/{id}": "",
    "GET /v1/events": f"{_LIST} created delivery_success type types",
    "GET /v1/events/{id}": "expand",
    "GET /v1/charges": f"{_LIST} created customer payment_intent transfer_group",
    "GET /v1/charges/{id}": "expand",
    "POST /v1/refunds": "amount charge currency customer expand instructions_email metadata origin payment_intent"
    " reason refund_application_fee reverse_transfer",
    "GET /v1/refunds": f"{_LIST} charge created payment_intent",
    "GET /v1/refunds/{id}": "expand",
    "GET /v1/disputes": f"{_LIST} charge created payment_intent",
    "GET /v1/disputes/{id}": "expand",
    "POST /v1/disputes/{id}/close": "expand",
    "GET /v1/payment_intents": f"{_LIST} created customer customer_account",
    "GET /v1/payment_intents/{id}": "client_secret expand",
    "GET /v1/payment_methods": f"{_LIST} allow_redisplay customer customer_account type",
    "GET /v1/payment_methods/{id}": "expand",
    "GET /v1/customers/{id}/payment_methods": f"{_LIST} allow_redisplay type",
    "GET /v1/setup_intents": f"{_LIST} attach_to_self created customer customer_account payment_method",
    "GET /v1/setup_intents/{id}": "client_secret expand",
}

NESTED: dict[str, dict[str, str]] = {
    "POST /v1/prices": {
        "recurring": "interval interval_count meter trial_period_days usage_type",
        "product_data": "active id metadata name statement_descriptor tax_code tax_details unit_label",
    },
    "GET /v1/prices": {"recurring": "interval meter usage_type"},
    "POST /v1/checkout/sessions": {
        "line_items": "adjustable_quantity metadata price price_data quantity tax_rates",
        "subscription_data": "application_fee_percent billing_cycle_anchor billing_cycle_anchor_config billing_mode"
        " default_tax_rates description invoice_settings metadata on_behalf_of pending_invoice_item_interval"
        " proration_behavior transfer_data trial_end trial_period_days trial_settings",
        "consent_collection": "payment_method_reuse_agreement promotions terms_of_service",
        "custom_text": "after_submit shipping_address submit terms_of_service_acceptance",
        "discounts": "coupon promotion_code",
        "customer_update": "address name shipping",
    },
    "POST /v1/subscriptions/{id}": {
        "items": "billing_thresholds clear_usage current_trial deleted discounts id metadata plan price price_data"
        " quantity tax_rates",
        "pause_collection": "behavior resumes_at",
        "cancellation_details": "comment feedback feedback_option",
    },
    "DELETE /v1/subscriptions/{id}": {"cancellation_details": "comment feedback feedback_option"},
    "GET /v1/invoice_payments": {"payment": "payment_intent payment_record type"},
    "POST /v1/promotion_codes": {
        "promotion": "coupon type",
        "restrictions": "currency_options first_time_transaction minimum_amount minimum_amount_currency",
    },
    "POST /v1/billing_portal/sessions": {
        "flow_data": "after_completion subscription_cancel subscription_pause subscription_update"
        " subscription_update_confirm type",
    },
    "POST /v1/billing_portal/configurations": {
        "business_profile": "headline privacy_policy_url terms_of_service_url",
        "features": "customer_update invoice_history payment_method_update subscription_cancel subscription_pause"
        " subscription_update",
    },
}

_KNOWN = {route: set(names.split()) for route, names in TOP.items()}
_STRICT = {route: {name: set(inner.split()) for name, inner in rows.items()} for route, rows in NESTED.items()}


def check(route: str, keys: list[str]) -> None:
    """Every parameter of the form is one that the route knows, or ApiError 400 parameter_unknown."""
    for key in keys:
        parts = stripe_wire.tokens(key)
        inner = _STRICT.get(route, {}).get(parts[0])
        named = [part for part in parts[1:] if part and not part.isdigit()]
        if parts[0] not in _KNOWN[route] or (inner is not None and named and named[0] not in inner):
            message = f"Received unknown parameter: {key}"
            raise ApiError(400, message, code="parameter_unknown", param=key)
