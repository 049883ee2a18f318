"""What `signalstack stripe setup` does in the operator's account: first it looks, then it says, then it does.

Doing it again changes nothing. What the operator made by hand is left alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core import catalogue, settings
from webhooks.payments import stripe_objects, stripe_shelf, stripe_wire

EVENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "price.updated",
)
Say = Callable[[str], None]
Agree = Callable[[Sequence[str]], bool]
Obj = Mapping[str, Any]


def _at_once(_plan: Sequence[str]) -> bool:
    return True


async def setup(
    conf: settings.Settings,
    book: catalogue.Catalogue,
    rate: stripe_shelf.Rate | None,
    *,
    say: Say,
    agree: Agree = _at_once,
) -> dict[str, str]:
    """Product and prices of each plan, billing portal and webhook endpoint stand in the account; says what it did.

    `agree` is shown everything that would be made or changed, before anything is, and may refuse. Returns the price id
    of each plan, and of each price by where it belongs. A plan of which nothing says what it costs raises RefusedError.
    """
    async with stripe_wire.connected(conf) as client:
        shelf = stripe_shelf.Shelf(client.v1, rate)
        steps = [step for plan in book.plans for step in await shelf.steps(plan)]
        steps += [*await _portal(client.v1, book), *await _endpoint(client.v1, conf)]
        for step in steps:
            if step.do is None:
                say(step.said)
        todo = [step for step in steps if step.do is not None]
        if todo and agree([step.said for step in todo]):
            for step in todo:
                assert step.do is not None  # noqa: S101 - those without are not among them
                say(await step.do())
        elif not todo:
            say("Everything stands; nothing was changed.")
    if shelf.notes:
        say("Write into signalstack.toml (or STRIPE_PRICE_ID, where there is one plan with one price):")
    for note in shelf.notes:
        say(f"  {note}")
    return shelf.made


def portal_features(book: catalogue.Catalogue) -> dict[str, Any]:
    """What members can do in the portal; plans are changed with us, who show the cost first."""
    features: dict[str, Any] = {
        "invoice_history": {"enabled": True},
        "payment_method_update": {"enabled": True},
        "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
        "subscription_update": {"enabled": False},
    }
    if book.policy.tax:
        features["customer_update"] = {"enabled": True, "allowed_updates": ["address", "name", "tax_id"]}
    return features


async def _portal(v1: Any, book: catalogue.Catalogue) -> Sequence[stripe_shelf.Step]:
    features = portal_features(book)
    words = "card, invoices, cancel at the end of the period"
    async for row in stripe_shelf.every(v1.billing_portal.configurations, {"active": True}):
        if stripe_objects.is_our_portal(row):
            return [_as_wanted(v1, row, features)]
    making: Any = {
        "business_profile": {"headline": book.service.name[:60]},
        "features": features,
        "metadata": {stripe_objects.PORTAL: "yes"},
    }

    async def make() -> str:
        row = await stripe_wire.answered(v1.billing_portal.configurations.create_async(making), making=True)
        return f"Billing portal: made the configuration {stripe_wire.plain(row)['id']} ({words})."

    return [stripe_shelf.Step(f"Billing portal: make its configuration ({words}).", make)]


def _as_wanted(v1: Any, row: Obj, features: Mapping[str, Any]) -> stripe_shelf.Step:
    if not (wrong := portal_faults(row, features)):
        return stripe_shelf.Step(f"Billing portal: its configuration {row['id']} is there.")
    wanted: Any = {"features": {name: features[name] for name in wrong}}

    async def change() -> str:
        await stripe_wire.answered(v1.billing_portal.configurations.update_async(row["id"], wanted), making=True)
        return f"Billing portal: set {', '.join(wrong)} right."

    return stripe_shelf.Step(f"Billing portal: set {', '.join(wrong)} of {row['id']} right.", change)


def portal_faults(row: Obj, features: Mapping[str, Any]) -> list[str]:
    """The features of this configuration that are not as they should be."""
    has = row.get("features") or {}
    return [name for name, wanted in features.items() if not _holds(has.get(name) or {}, wanted)]


def _holds(has: Obj, wanted: Obj) -> bool:
    return all(
        set(value) <= set(has.get(name) or []) if isinstance(value, list) else has.get(name, False) == value
        for name, value in wanted.items()
    )


def endpoint_url(conf: settings.Settings) -> str:
    """Where Stripe is to send its events."""
    return f"{conf.public_url}/webhooks/stripe"


async def _endpoint(v1: Any, conf: settings.Settings) -> Sequence[stripe_shelf.Step]:
    url = endpoint_url(conf)
    async for row in stripe_shelf.every(v1.webhook_endpoints, {}):
        if row["url"] == url:
            return _listening(v1, row)
    making: Any = {"url": url, "enabled_events": list(EVENTS), "api_version": stripe_wire.API_VERSION}

    async def make() -> str:
        row = stripe_wire.plain(await stripe_wire.answered(v1.webhook_endpoints.create_async(making), making=True))
        return (
            f"Webhooks: made the endpoint {row['id']} for {url}.\n"
            f"Its secret is shown this once: STRIPE_WEBHOOK_SECRET={row['secret']}"
        )

    return [stripe_shelf.Step(f"Webhooks: make the endpoint {url} (its secret is shown once).", make)]


def _listening(v1: Any, row: Obj) -> Sequence[stripe_shelf.Step]:
    """The endpoint that is there hears everything we need; its API version cannot be changed any more."""
    steps, version = [], row.get("api_version")
    if version not in {None, stripe_wire.API_VERSION}:
        both = f"speaks API version {version}, we speak {stripe_wire.API_VERSION}; both are understood"
        steps.append(stripe_shelf.Step(f"Webhooks: the endpoint {row['id']} {both}."))
    told, wanted = set(row.get("enabled_events") or []), dict[str, Any]()
    if not ("*" in told or told >= set(EVENTS)):
        wanted["enabled_events"] = sorted(told | set(EVENTS))
    if row.get("status", "enabled") != "enabled":
        wanted["disabled"] = False
    if not wanted:
        return [
            *steps,
            stripe_shelf.Step(f"Webhooks: the endpoint {row['id']} is there; its secret is in your Stripe dashboard."),
        ]

    async def change() -> str:
        await stripe_wire.answered(v1.webhook_endpoints.update_async(row["id"], wanted), making=True)
        return f"Webhooks: the endpoint {row['id']} is on and tells us every event we need."

    return [*steps, stripe_shelf.Step(f"Webhooks: let the endpoint {row['id']} tell us every event we need.", change)]
