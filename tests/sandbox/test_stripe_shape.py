"""Every object of the stand-in has the shape of Stripe's own: by the library's classes, and by published examples.

Each test of the stand-in checks all its answers against the classes (`test_stripe.opened`); here are the kinds that
must not be forgotten, what the examples add, and the proof that a wrong shape is seen.
"""

import json
import typing
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe as vendor
from stripe._object_classes import get_object_class

from tests.sandbox import stripe_shape
from tests.sandbox.test_stripe import DAY, World, opened

FIXTURES = Path(__file__).parents[3] / "shared" / "specs" / "stripe_fixtures3_2026-08.json"
KINDS = [
    *("billing_portal.configuration", "billing_portal.session", "charge", "checkout.session", "coupon", "customer"),
    *("discount", "dispute", "event", "invoice", "invoice_payment", "item", "line_item", "payment_intent"),
    *("payment_method", "price", "product", "promotion_code", "refund", "setup_intent", "subscription"),
    *("subscription_item", "webhook_endpoint"),
]
WHEN_ASKED = {"charge.refunds"}
ANYTHING = {"metadata", "object", "previous_attributes"}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as one:
        yield one


async def every_kind(world: World) -> dict[str, dict[str, Any]]:
    account = world.sandbox.account
    world.sandbox.add_promotion_code("HALF", percent_off=50.0)
    await world.v1.webhook_endpoints.create_async({"url": "http://127.0.0.1:9/", "enabled_events": ["account.updated"]})
    session = await world.session(allow_promotion_codes=True)
    await world.http.post(session.url, data={"code": "HALF", "card": "4242424242424242"}, allow_redirects=False)
    sub = account.all("subscription")[0]
    kept = await world.session(mode="setup", line_items=None, subscription_data=None, customer=sub["customer"])
    world.sandbox.pay(kept.id)
    world.sandbox.dispute(sub["id"])
    world.sandbox.refund(sub["id"], 10)
    await world.v1.billing_portal.sessions.create_async({"customer": sub["customer"]})
    kinds = {kind: rows[-1] for kind in KINDS if (rows := account.all(kind))}
    kinds["subscription_item"] = sub["items"]["data"][0]
    kinds["line_item"] = account.all("invoice")[0]["lines"]["data"][0]
    kinds["item"] = account.hidden[session.id]["lines"][0]
    return kinds


async def test_every_kind_has_the_shape_of_the_librarys_class(world: World) -> None:
    kinds = await every_kind(world)
    assert sorted(kinds) == sorted(KINDS)
    assert {kind: stripe_shape.problems(shown) for kind, shown in kinds.items()} == {kind: [] for kind in kinds}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("status", None, "subscription.status: null"),
        ("plan", {}, "subscription.plan: unknown"),
        ("created", "1", "'1' is no int"),
        ("cancel_at_period_end", 0, "0 is no bool"),
        ("automatic_tax.enabled", None, "automatic_tax.enabled: null"),
        ("cancellation_details.mood", "x", "cancellation_details.mood: unknown"),
        ("items.data.0.price.unit_amount", 1.5, "1.5 is no int"),
        ("items.data.0.object", "thing", "no object 'thing'"),
    ],
)
async def test_wrong_shape_is_seen(world: World, path: str, value: Any, words: str) -> None:
    sub = json.loads(json.dumps(world.sandbox.add_subscription(world.price)))
    assert stripe_shape.problems(sub) == []
    *way, last = path.split(".")
    node: Any = sub
    for part in way:
        node = node[int(part)] if part.isdigit() else node[part]
    node[last] = value
    (problem,) = stripe_shape.problems(sub)
    assert words in problem


async def test_missing_field_is_seen(world: World) -> None:
    sub = json.loads(json.dumps(world.sandbox.add_subscription(world.price)))
    del sub["items"]["data"][0]["current_period_end"]
    assert stripe_shape.problems(sub) == ["subscription.items.data[0].current_period_end: missing"]


async def test_every_event_type_is_one_that_the_library_knows(world: World) -> None:
    await every_kind(world)
    world.sandbox.pause_collection(world.sandbox.account.all("subscription")[0]["id"])
    await world.sandbox.advance(70 * DAY)
    literal = typing.get_type_hints(vendor.Event)["type"]
    assert {event["type"] for event in world.sandbox.events} - set(typing.get_args(literal)) == set()


# --- Stripe's published examples


def lacking(example: Any, shown: Any, path: str) -> Iterator[str]:
    """Where the example has a field that is not shown, or one of another type; null tells nothing of the type."""
    if example is None or shown is None:
        return
    if isinstance(example, bool) != isinstance(shown, bool) or not _alike(example, shown):
        yield f"{path}: {shown!r} for {example!r}"
    elif isinstance(example, dict):
        for name in set(example) - ANYTHING:
            if name in shown:
                yield from lacking(example[name], shown[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}: absent"
    elif isinstance(example, list) and example and shown:
        yield from lacking(example[0], shown[0], f"{path}[]")


def _alike(example: Any, shown: Any) -> bool:
    numbers = (int, float)
    return isinstance(shown, type(example)) or (isinstance(example, numbers) and isinstance(shown, numbers))


@pytest.mark.skipif(not FIXTURES.exists(), reason="Stripe's published examples are not on this machine")
async def test_objects_have_all_that_stripes_examples_have(world: World) -> None:
    examples = json.loads(FIXTURES.read_text())["resources"]
    for kind, shown in (await every_kind(world)).items():
        known = get_object_class("V1", kind).__annotations__
        example = {name: value for name, value in examples[kind].items() if name in known and name not in ANYTHING}
        example.get("data", {}).pop("object", None)
        assert set(lacking(example, shown, kind)) - {f"{name}: absent" for name in WHEN_ASKED} == set(), kind
