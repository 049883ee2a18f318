"""Stripe, as a provider.

Access never follows from an event: an event only says where to look, and what Stripe answers then is what counts.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from core import catalogue, errors, settings, sold
from core.billing import checkouts, errands, plans
from webhooks import payments
from webhooks.payments import stripe_acts, stripe_objects, stripe_orders, stripe_wire

_MISSED_AT_MOST = 500
_CARD = "default_payment_method"
_WITH = ["latest_invoice.payments", _CARD, f"customer.invoice_settings.{_CARD}"]


def open_provider(conf: settings.Settings, book: catalogue.Catalogue) -> "Stripe":
    """Stripe as these settings name it."""
    return Stripe(conf, book)


class Stripe:
    """The provider "stripe"; see `payments.Provider`."""

    name = "stripe"

    def __init__(self, conf: settings.Settings, book: catalogue.Catalogue) -> None:
        self.origins = _origins(conf.stripe_api_url)
        self._http = stripe_wire.http()
        self._v1 = stripe_wire.client(conf, self._http).v1
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

    # --- what we ask Stripe

    async def read(self, subject: payments.Subject, *, now: datetime) -> payments.Reading:
        if subject.session:
            return await self._read_session(subject.session, now)
        found = subject.subscription or await self._billed(subject)
        return payments.Reading(await self._read_subscription(found, None, now)) if found else payments.Reading()

    async def _read_session(self, session_id: str, now: datetime) -> payments.Reading:
        session = stripe_wire.plain(await stripe_wire.answered(self._v1.checkout.sessions.retrieve_async(session_id)))
        if not session:
            return payments.Reading()
        state, found = stripe_objects.session_state(session), session.get("subscription")
        snapshot = await self._read_subscription(found, session, now) if isinstance(found, str) else None
        return payments.Reading(snapshot, session_id, state)

    async def _read_subscription(self, found: str, session: Any, now: datetime) -> Any:
        expanded: Any = {"expand": _WITH}
        row = stripe_wire.plain(await stripe_wire.answered(self._v1.subscriptions.retrieve_async(found, expanded)))
        if not row:
            return None
        hold = await self._hold(row)
        return stripe_objects.snapshot(row, known=self._known, hold=hold, read_at=now, session=session)

    async def _billed(self, subject: payments.Subject) -> str:
        """The subscription behind an invoice or a payment; empty when it was for something else."""
        invoice = subject.invoice
        if subject.payment:
            wanted: Any = {"payment": {"type": "payment_intent", "payment_intent": subject.payment}}
            rows = stripe_wire.plain(await stripe_wire.answered(self._v1.invoice_payments.list_async(wanted)))
            invoice = next((row["invoice"] for row in rows.get("data", [])), "")
        if not invoice:
            return ""
        row = stripe_wire.plain(await stripe_wire.answered(self._v1.invoices.retrieve_async(invoice)))
        return stripe_objects.invoice_subscription(row)

    async def _hold(self, subscription: Mapping[str, Any]) -> str:
        """Why a subscription that looks paid is not: its first payment is open, or the last one was taken back."""
        if stripe_objects.first_payment_open(subscription):
            return "pending"
        for intent in stripe_objects.payment_intents(subscription.get("latest_invoice")):
            row = stripe_wire.plain(
                await stripe_wire.answered(
                    self._v1.payment_intents.retrieve_async(intent, {"expand": ["latest_charge"]})
                )
            )
            charge = row.get("latest_charge") or {}
            if charge.get("refunded"):
                return "refunded"
            if charge.get("disputed") and await self._disputed(intent):
                return "disputed"
        return ""

    async def _disputed(self, intent: str) -> bool:
        rows = stripe_wire.plain(await stripe_wire.answered(self._v1.disputes.list_async({"payment_intent": intent})))
        return stripe_objects.is_disputed(rows.get("data", []))

    async def prices(self) -> Sequence[plans.Priced]:
        found: list[plans.Priced] = []
        expanded: Any = {"expand": ["currency_options"]}
        for price_id, plan in sold.by_price(self._book.plans):
            row = await stripe_wire.answered(self._v1.prices.retrieve_async(price_id, expanded))
            found += stripe_objects.prices(stripe_wire.plain(row), plan.key)
        return found

    async def missed(self, since: datetime) -> Sequence[payments.Event]:
        wanted: Any = {"delivery_success": False, "created": {"gte": int(since.timestamp())}, "limit": 100}
        found: list[payments.Event] = []
        page = await stripe_wire.answered(self._v1.events.list_async(wanted))
        while page is not None:
            rows = stripe_wire.plain(page)["data"]
            found += [payments.Event(row["id"], row["type"][:64], orjson.dumps(row)) for row in rows]
            if not page.has_more or len(found) >= _MISSED_AT_MOST:
                break
            page = await stripe_wire.answered(self._v1.events.list_async(wanted | {"starting_after": rows[-1]["id"]}))
        return found[::-1]

    # --- what we have Stripe make

    async def checkout(self, order: payments.Order) -> payments.Page:
        row = order.checkout
        wanted: Any = stripe_orders.subscription(order, tax=self._book.policy.tax)
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
