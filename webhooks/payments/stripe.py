"""Stripe, as a provider.

Access never follows from an event: an event only says where to look, and what Stripe answers then is what counts.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from core import catalogue, errors, settings, sold
from core.billing import changes, checkouts, errands, plans, questions, rule
from webhooks import payments
from webhooks.payments import (
    stripe_acts,
    stripe_changes,
    stripe_claims,
    stripe_gifts,
    stripe_lists,
    stripe_objects,
    stripe_orders,
    stripe_setup,
    stripe_wire,
)

_MISSED_AT_MOST = 500
_CARD = "default_payment_method"
_WITH = ["latest_invoice.payments", _CARD, f"customer.invoice_settings.{_CARD}"]


def open_provider(conf: settings.Settings, book: catalogue.Catalogue) -> "Stripe":
    """Stripe as these settings name it."""
    return Stripe(conf, book)


class Stripe:
    """The provider "stripe"; see `payments.Provider`."""

    once = True
    name = inbox = "stripe"
    asks = ""
    trials = codes = True

    def __init__(self, conf: settings.Settings, book: catalogue.Catalogue) -> None:
        self.origins = _origins(conf.stripe_api_url)
        self._http = stripe_wire.http()
        self._client = stripe_wire.client(conf, self._http)
        self._v1 = self._client.v1
        self._portal: str | None = None
        self._secrets = conf.webhook_secrets
        self._book = book
        self._known = frozenset(book.by_price)

    # --- what Stripe tells us

    def verify(self, raw: bytes, headers: Mapping[str, str]) -> payments.Event:
        header = headers.get("Stripe-Signature", "")
        if not any(stripe_wire.signed(raw, header, secret) for secret in self._secrets):
            # The library's error carries the whole body and header; nothing of it goes on.
            raise errors.RefusedError("The signature is missing, wrong or too old.")
        try:
            event = orjson.loads(raw)
            return payments.Event(_text(event["id"]), _text(event["type"])[:64], raw)
        except (ValueError, KeyError, TypeError):
            raise errors.RefusedError("The body is not an event.") from None

    def subject(self, kind: str, body: bytes) -> payments.Subject:
        return stripe_objects.subject(kind, body)

    def question(self, kind: str, body: bytes) -> questions.Question:  # noqa: ARG002 - the port's names
        raise ValueError("Stripe asks nothing")

    async def answer(self, question: questions.Question, refusal: str) -> None:
        """Nothing is to be answered."""

    def complaint(self, body: bytes) -> str:
        return stripe_objects.complaint(body, stripe_wire.API_VERSION)

    # --- what we ask Stripe

    async def read(self, subject: payments.Subject, *, now: datetime) -> payments.Reading:
        if subject.session:
            return await self._read_session(subject, now)
        found = subject.subscription or await self._billed(subject)
        if not found and subject.payment:
            return payments.Reading(payment=await stripe_gifts.of_payment(self._client, subject.payment))
        return payments.Reading(await self._read_subscription(found, subject, now)) if found else payments.Reading()

    async def _read_session(self, subject: payments.Subject, now: datetime) -> payments.Reading:
        session = await stripe_wire.read(self._client, "checkout", "sessions", subject.session)
        if not session:
            return payments.Reading()
        state, found = stripe_objects.session_state(session), session.get("subscription")
        snapshot = await self._read_subscription(found, subject, now, session) if isinstance(found, str) else None
        return payments.Reading(snapshot, subject.session, state, await stripe_gifts.of_session(self._client, session))

    async def _read_subscription(
        self, found: str, subject: payments.Subject, now: datetime, session: Any = None
    ) -> rule.Snapshot | None:
        row = await stripe_wire.read(self._client, "subscriptions", found, expand=_WITH)
        if not row:
            return None
        hold, claims = await stripe_claims.hold(self._client, row, subject.claims)
        said = stripe_objects.snapshot(row, known=self._known, hold=hold, read_at=now, session=session, claims=claims)
        return replace(said, action_required=await self._action(row))

    async def _action(self, row: Mapping[str, Any]) -> bool:
        """Whether the bank wants the payment that is open to be confirmed."""
        if row.get("status") != "past_due":
            return False
        for intent in stripe_objects.payment_intents(row.get("latest_invoice"), "open"):
            found = await stripe_wire.read(self._client, "payment_intents", intent)
            if found.get("status") == "requires_action":
                return True
        return False

    async def _billed(self, subject: payments.Subject) -> str:
        """The subscription behind an invoice or a payment; empty when it was for something else."""
        invoice = subject.invoice
        if subject.payment:
            wanted = {"type": "payment_intent", "payment_intent": subject.payment}
            rows = await stripe_wire.read(self._client, "invoice_payments", payment=wanted)
            invoice = next((row["invoice"] for row in rows.get("data", [])), "")
        if not invoice:
            return ""
        row = await stripe_wire.read(self._client, "invoices", invoice)
        return stripe_objects.invoice_subscription(row)

    def sells(self, price_id: str) -> bool:
        return ":" not in price_id  # other providers' ids are made here, with their name before a colon

    async def prices(self) -> Sequence[plans.Priced]:
        found: list[plans.Priced] = []
        expanded: Any = {"expand": ["currency_options"]}
        for price_id, plan in sold.by_price(self._book.plans, self.sells):
            row = await stripe_wire.answered(self._v1.prices.retrieve_async(price_id, expanded))
            found += stripe_objects.prices(stripe_wire.plain(row), plan.key)
        return found

    async def missed(self, since: datetime) -> Sequence[payments.Event]:
        return await stripe_lists.missed(self._client, since, most=_MISSED_AT_MOST)

    def listed(self, clock: Callable[[], datetime]) -> AsyncIterator[Sequence[payments.Listed]]:
        return stripe_lists.subscriptions(self._client, expand=_WITH, known=self._known, clock=clock)

    async def claimed(self, since: datetime) -> frozenset[str]:
        return await stripe_claims.since(self._client, since)

    async def told(self, since: datetime) -> Sequence[payments.Event]:
        return await stripe_lists.told(self._client, since, stripe_setup.EVENTS)

    # --- what we have Stripe make

    async def checkout(self, order: payments.Order) -> payments.Page:
        row = order.checkout
        order = replace(order, promotion=await stripe_orders.promotion(self._v1, order.promotion))
        wanted: Any = stripe_orders.subscription(order, tax=self._book.policy.tax)
        if row.gift:
            wanted = await stripe_gifts.page(self._v1, order, tax=self._book.policy.tax)
        key: Any = {"idempotency_key": checkouts.idempotency_key(row)}
        making = self._v1.checkout.sessions.create_async(wanted, key)
        page = stripe_wire.plain(await stripe_wire.answered(making, making=True))
        return payments.Page(page["id"], page["url"] or "", datetime.fromtimestamp(page["expires_at"], UTC))

    async def expire(self, session_id: str) -> str:
        try:
            found = await stripe_wire.answered(self._v1.checkout.sessions.expire_async(session_id))
        except errors.RefusedError:  # it is complete, or it has expired already
            found = await stripe_wire.answered(self._v1.checkout.sessions.retrieve_async(session_id))
        return stripe_objects.session_state(stripe_wire.plain(found)) if found else "expired"

    async def portal(self, customer_id: str, return_url: str) -> str:
        wanted: Any = {"customer": customer_id, "return_url": return_url}
        if self._portal is None:
            self._portal = await self._portal_configuration()
        if self._portal:
            wanted["configuration"] = self._portal
        making = self._v1.billing_portal.sessions.create_async(wanted)
        url: str = stripe_wire.plain(await stripe_wire.answered(making, making=True))["url"]
        return url

    async def _portal_configuration(self) -> str:
        """Ours, made by `signalstack stripe setup`; empty for the account's default one."""
        rows = stripe_wire.plain(
            await stripe_wire.answered(
                self._v1.billing_portal.configurations.list_async({"active": True, "limit": 100})
            )
        )
        ours = (row["id"] for row in rows.get("data", []) if stripe_objects.is_our_portal(row))
        return next(ours, "")

    async def preview(self, change: changes.Change) -> changes.Quote:
        return await stripe_changes.preview(self._v1, change)

    async def change(self, change: changes.Change, key: str) -> None:
        await stripe_changes.make(self._v1, change, key)

    async def do(self, errand: errands.Errand) -> None:
        await stripe_acts.do(self._v1, errand)

    async def close(self) -> None:
        await stripe_wire.close(self._http)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 100:
        raise ValueError("an id or a type is missing")
    return value


def _origins(api_url: str) -> tuple[str, ...]:
    host = urlsplit(api_url)
    if host.hostname == "api.stripe.com":
        return ("https://checkout.stripe.com", "https://billing.stripe.com")
    return (f"{host.scheme}://{host.netloc}",)
