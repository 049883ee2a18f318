"""Which parameters each route takes, to the last nested name, and how Stripe refuses the others."""

from typing import Any

import pydantic

from tests.sandbox import stripe_strict
from tests.sandbox.stripe_wire import ApiError, Obj

TOP: dict[str, str] = {
    "POST /v1/products": "ProductCreate",
    "POST /v1/products/{id}": "ProductUpdate",
    "GET /v1/products": "ProductList",
    "GET /v1/products/{id}": "ProductRetrieve",
    "GET /v1/products/search": "ProductSearch",
    "POST /v1/prices": "PriceCreate",
    "POST /v1/prices/{id}": "PriceUpdate",
    "GET /v1/prices": "PriceList",
    "GET /v1/prices/{id}": "PriceRetrieve",
    "GET /v1/prices/search": "PriceSearch",
    "POST /v1/customers": "CustomerCreate",
    "POST /v1/customers/{id}": "CustomerUpdate",
    "GET /v1/customers": "CustomerList",
    "GET /v1/customers/{id}": "CustomerRetrieve",
    "DELETE /v1/customers/{id}": "CustomerDelete",
    "GET /v1/customers/search": "CustomerSearch",
    "GET /v1/customers/{id}/payment_methods": "CustomerPaymentMethodList",
    "POST /v1/checkout/sessions": "checkout.SessionCreate",
    "GET /v1/checkout/sessions": "checkout.SessionList",
    "GET /v1/checkout/sessions/{id}": "checkout.SessionRetrieve",
    "POST /v1/checkout/sessions/{id}": "checkout.SessionUpdate",
    "POST /v1/checkout/sessions/{id}/expire": "checkout.SessionExpire",
    "GET /v1/checkout/sessions/{id}/line_items": "checkout.SessionLineItemList",
    "GET /v1/subscriptions": "SubscriptionList",
    "GET /v1/subscriptions/{id}": "SubscriptionRetrieve",
    "POST /v1/subscriptions/{id}": "SubscriptionUpdate",
    "DELETE /v1/subscriptions/{id}": "SubscriptionCancel",
    "POST /v1/subscriptions/{id}/pause": "SubscriptionPause",
    "POST /v1/subscriptions/{id}/resume": "SubscriptionResume",
    "GET /v1/subscriptions/search": "SubscriptionSearch",
    "POST /v1/invoices/create_preview": "InvoiceCreatePreview",
    "GET /v1/invoices": "InvoiceList",
    "GET /v1/invoices/{id}": "InvoiceRetrieve",
    "POST /v1/invoices/{id}/pay": "InvoicePay",
    "POST /v1/invoices/{id}/void": "InvoiceVoidInvoice",
    "GET /v1/invoice_payments": "InvoicePaymentList",
    "GET /v1/invoice_payments/{id}": "InvoicePaymentRetrieve",
    "POST /v1/billing_portal/sessions": "billing_portal.SessionCreate",
    "POST /v1/billing_portal/configurations": "billing_portal.ConfigurationCreate",
    "POST /v1/billing_portal/configurations/{id}": "billing_portal.ConfigurationUpdate",
    "GET /v1/billing_portal/configurations": "billing_portal.ConfigurationList",
    "GET /v1/billing_portal/configurations/{id}": "billing_portal.ConfigurationRetrieve",
    "POST /v1/coupons": "CouponCreate",
    "GET /v1/coupons": "CouponList",
    "GET /v1/coupons/{id}": "CouponRetrieve",
    "POST /v1/promotion_codes": "PromotionCodeCreate",
    "POST /v1/promotion_codes/{id}": "PromotionCodeUpdate",
    "GET /v1/promotion_codes": "PromotionCodeList",
    "GET /v1/promotion_codes/{id}": "PromotionCodeRetrieve",
    "POST /v1/webhook_endpoints": "WebhookEndpointCreate",
    "POST /v1/webhook_endpoints/{id}": "WebhookEndpointUpdate",
    "GET /v1/webhook_endpoints": "WebhookEndpointList",
    "GET /v1/webhook_endpoints/{id}": "WebhookEndpointRetrieve",
    "DELETE /v1/webhook_endpoints/{id}": "WebhookEndpointDelete",
    "GET /v1/events": "EventList",
    "GET /v1/events/{id}": "EventRetrieve",
    "GET /v1/charges": "ChargeList",
    "GET /v1/charges/{id}": "ChargeRetrieve",
    "POST /v1/refunds": "RefundCreate",
    "GET /v1/refunds": "RefundList",
    "GET /v1/refunds/{id}": "RefundRetrieve",
    "GET /v1/disputes": "DisputeList",
    "GET /v1/disputes/{id}": "DisputeRetrieve",
    "POST /v1/disputes/{id}/close": "DisputeClose",
    "GET /v1/payment_intents": "PaymentIntentList",
    "GET /v1/payment_intents/{id}": "PaymentIntentRetrieve",
    "GET /v1/payment_methods": "PaymentMethodList",
    "GET /v1/payment_methods/{id}": "PaymentMethodRetrieve",
    "GET /v1/setup_intents": "SetupIntentList",
    "GET /v1/setup_intents/{id}": "SetupIntentRetrieve",
    "GET /v1/tax/settings": "tax.SettingsRetrieve",
}
"""Each route, and the name of its parameters in the installed stripe library."""


def check(route: str, params: Obj) -> None:
    """Every parameter is one that the route knows and reads as its type, or ApiError 400 as Stripe words it."""
    try:
        stripe_strict.adapter(TOP[route]).validate_python(params)
    except pydantic.ValidationError as error:
        raise _refusal(params, error) from None


def _refusal(params: Obj, error: pydantic.ValidationError) -> ApiError:
    """The error that lies deepest, as a choice of several types tells of the ones that were never meant, too."""
    found = [(_walked(params, row["loc"]), row) for row in error.errors(include_url=False, include_context=True)]
    unknown = [pair for pair in found if pair[1]["type"] == "extra_forbidden"]
    path, row = max(unknown or found, key=lambda pair: len(pair[0]))
    name = path[0] + "".join(f"[{part}]" for part in path[1:]) if path else ""
    kind, given = row["type"], row["input"]
    if kind == "extra_forbidden":
        return ApiError(400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
    if kind == "missing":
        return ApiError(400, f"Missing required param: {name}.", code="parameter_missing", param=name)
    if given == "":
        message = (
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter;"
            f" however '{name}' cannot be unset."
        )
        return ApiError(400, message, code="parameter_invalid_empty", param=name)
    if kind == "integer":
        return ApiError(400, f"Invalid integer: {given}", code="parameter_invalid_integer", param=name)
    if kind == "literal_error":
        return ApiError(
            400, f"Invalid {name}: must be one of {row['ctx']['expected'].replace(chr(39), '')}", param=name
        )
    return ApiError(400, f"Invalid {_WORDS.get(kind, kind)}: {given}", param=name)


_WORDS = {"dict_type": "object", "list_type": "array", "string_type": "string"}


def _walked(params: Obj, loc: tuple[Any, ...]) -> list[str]:
    """The error's place as names of the form, without what the validators say of the types that they tried."""
    node: Any = params
    path: list[str] = []
    for place, part in enumerate(loc):
        if (isinstance(node, dict) and part in node) or (isinstance(node, list) and isinstance(part, int)):
            node = node[part]
        elif not (isinstance(node, dict) and place == len(loc) - 1):
            continue
        path.append(str(part))
    return path
