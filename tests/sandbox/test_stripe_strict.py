"""Every request to the stand-in is held against the stripe library's own types: what is not in them is refused."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe as vendor

from tests.sandbox import stripe_params, stripe_strict
from tests.sandbox.stripe_wire import ApiError, nest, pairs
from tests.sandbox.test_stripe import World, opened


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as one:
        yield one


@pytest.mark.parametrize("route", stripe_params.TOP)
def test_every_route_has_a_validator_made_from_the_library(route: str) -> None:
    stripe_strict.adapter(stripe_params.TOP[route])


BAD: list[tuple[dict[str, Any], str | None, str, str]] = [
    ({"payment_method_types": ["card"]}, "parameter_unknown", "payment_method_types", "unknown parameter"),
    ({"subscription_data": {"trial_days": 3}}, "parameter_unknown", "subscription_data[trial_days]", "unknown"),
    (
        {"subscription_data": {"trial_settings": {"end_behavior": {"missing_card": "cancel"}}}},
        "parameter_unknown",
        "subscription_data[trial_settings][end_behavior][missing_card]",
        "unknown",
    ),
    (
        {"line_items": [{"price_data": {"currency": "eur", "product_data": {"title": "x"}}}]},
        "parameter_unknown",
        "line_items[0][price_data][product_data][title]",
        "unknown",
    ),
    (
        {"subscription_data": {"trial_period_days": "seven"}},
        "parameter_invalid_integer",
        "subscription_data[trial_period_days]",
        "Invalid integer: seven",
    ),
    (
        {"line_items": [{"price": "price_1", "quantity": 1.5}]},
        "parameter_invalid_integer",
        "line_items[0][quantity]",
        "Invalid integer: 1.5",
    ),
    ({"allow_promotion_codes": "yes"}, None, "allow_promotion_codes", "Invalid boolean: yes"),
    ({"mode": "rent"}, None, "mode", "must be one of payment, setup or subscription"),
    (
        {"subscription_data": {"trial_settings": {"end_behavior": {"missing_payment_method": "stop"}}}},
        None,
        "subscription_data[trial_settings][end_behavior][missing_payment_method]",
        "must be one of",
    ),
    ({"subscription_data": "x"}, None, "subscription_data", "Invalid object: x"),
    ({"line_items": "x"}, None, "line_items", "Invalid array: x"),
    ({"customer": ""}, "parameter_invalid_empty", "customer", "cannot be unset"),
    ({"line_items": [{"price_data": {"unit_amount": 5}}]}, "parameter_missing", "", "price_data[currency]"),
]


@pytest.mark.parametrize(("params", "code", "param", "words"), BAD, ids=[row[2] or row[3] for row in BAD])
async def test_bad_call_is_refused_as_stripe_does(
    world: World, params: dict[str, Any], code: str | None, param: str, words: str
) -> None:
    with pytest.raises(vendor.InvalidRequestError) as refused:
        await world.session(**params)
    error = refused.value
    assert (error.http_status, error.code) == (400, code)
    assert error.param == (param or error.param)
    assert words.replace("[", "").replace("]", "") in str(error).replace("[", "").replace("]", "")
    assert world.sandbox.account.all("checkout.session") == []


@pytest.mark.parametrize(
    ("route", "form"),
    [
        ("POST /v1/subscriptions/{id}", "cancel_at=min_period_end"),
        ("POST /v1/subscriptions/{id}", "cancel_at=1800000000&items[0][id]=si_1&items[0][quantity]=2"),
        ("POST /v1/subscriptions/{id}", "trial_end=now&pause_collection="),
        ("POST /v1/subscriptions/{id}", "metadata[a]=&metadata[7]=x"),
        ("POST /v1/customers/{id}", "metadata=&phone=1"),
        ("POST /v1/coupons", "percent_off=12.5&duration=once"),
        ("POST /v1/prices", "currency=eur&product=p&unit_amount=1&currency_options[usd][unit_amount]=2"),
        ("GET /v1/events", "created[gte]=1&types[0]=invoice.*&delivery_success=false&limit=5"),
        ("GET /v1/subscriptions", "status=all&current_period_end[lt]=5&expand[]=data.customer"),
        (
            "POST /v1/webhook_endpoints",
            "url=https://x.test&enabled_events[0]=invoice.paid&api_version=2025-03-31.basil",
        ),
    ],
)
def test_good_form_passes(route: str, form: str) -> None:
    stripe_params.check(route, nest(pairs(form)))


@pytest.mark.parametrize(
    ("route", "form"),
    [
        ("POST /v1/webhook_endpoints", "url=https://x.test&enabled_events[0]=invoice.payed"),
        ("POST /v1/webhook_endpoints", "url=https://x.test&enabled_events[0]=*&api_version=2031-01-01"),
        ("POST /v1/subscriptions/{id}", "items[0][quantity]=two"),
        ("POST /v1/subscriptions/{id}", "pause_collection[behavior]=wait"),
        ("POST /v1/subscriptions/{id}", "proration_behavior=sometimes"),
        ("POST /v1/invoices/create_preview", "subscription_details[items][0][count]=1"),
        ("POST /v1/refunds", "charge=ch_1&reason=because"),
        ("GET /v1/subscriptions", "status=living"),
        ("GET /v1/events", "created[since]=1"),
        ("GET /v1/subscriptions/{id}", "idempotency_key=x"),
    ],
)
def test_bad_form_is_refused(route: str, form: str) -> None:
    with pytest.raises(ApiError) as refused:
        stripe_params.check(route, nest(pairs(form)))
    assert refused.value.status == 400
