"""A stateful stand-in for Stripe: API, hosted pages, signed events and a clock, on one address.

The vendor's library talks to it unmodified:
`stripe.StripeClient(key, base_addresses={"api": url})`. Payments are facts in the history, not in the product's tables.
"""

import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.sandbox import stripe_billing as billing
from tests.sandbox import stripe_cards as cards
from tests.sandbox import stripe_catalogue as catalogue
from tests.sandbox import stripe_change as change
from tests.sandbox import stripe_checkout as checkout
from tests.sandbox import stripe_claims as claims
from tests.sandbox import stripe_crowd as crowd
from tests.sandbox import stripe_invoice_page, stripe_pages, stripe_portal, stripe_server, stripe_shapes
from tests.sandbox import stripe_lifecycle as lifecycle
from tests.sandbox import stripe_paying as paying
from tests.sandbox import stripe_prices as prices
from tests.sandbox.history import History
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_events import Delivery
from tests.sandbox.stripe_server import Fault
from tests.sandbox.stripe_wire import Obj


class Stripe:
    """One Stripe account. Methods change it at once; events leave in the background.

    `await stripe.delivery.settled()` waits until they have all arrived or were given up.

    Settings, to be set before use: `account.draft_seconds` (3600: a renewal's invoice is charged an hour after the
    period ends), `account.retry_days` (3, 5, 7), `account.after_retries` ("cancel", "unpaid" or "past_due"),
    `account.async_days` (3), `account.async_status` ("active": Stripe's status while a slow debit is pending),
    `account.portal_cancel_field` ("cancel_at_period_end" or "cancel_at"), `account.upcoming_days` (0: no
    `invoice.upcoming` before a renewal), `account.tax_active` (Stripe Tax can be used), `account.tax_percent` (0).
    """

    def __init__(
        self,
        history: History,
        *,
        api_key: str = "sk_test_sandbox",
        webhook_secret: str = "whsec_sandbox",  # noqa: S107  the stand-in guards nothing
        now: Callable[[], float] = time.time,
    ) -> None:
        self.account = Account(history, now)
        self.account.due = {
            "subscription": lifecycle.subscription_due,
            "invoice": lifecycle.invoice_due,
            "checkout.session": paying.session_due,
        }
        self.account.step = {
            "subscription": lifecycle.subscription_step,
            "invoice": lifecycle.invoice_step,
            "checkout.session": paying.session_step,
        }
        self.account.upcoming = lambda sub: change.preview(self.account, {"subscription": sub["id"]})
        self.webhook_url: str | None = None
        self.secrets = [webhook_secret]
        self.delivery = Delivery(self.account, self._targets)
        self.account.emitted = self.delivery.take
        self.api = stripe_server.Api(self.account, api_key)
        self.app = self._site()

    def _site(self) -> web.Application:
        app = web.Application()
        app.add_routes(stripe_pages.routes(self.account))
        app.add_routes(stripe_portal.routes(self.account) + stripe_invoice_page.routes(self.account))
        app.router.add_route("*", "/v1/{tail:.*}", self.api.reply)
        app.on_shutdown.append(self.api.release)

        async def close(_: web.Application) -> None:
            await self.delivery.close()

        app.on_cleanup.append(close)
        return app

    @property
    def base_url(self) -> str:
        """The address of the API and of the hosted pages; set it once the app is served."""
        return self.account.base_url

    @base_url.setter
    def base_url(self, url: str) -> None:
        self.account.base_url = url.rstrip("/")

    @property
    def events(self) -> list[Obj]:
        """Every event ever told, oldest first."""
        return self.account.events

    @property
    def api_version(self) -> str:
        """The account's default version: the shape of events, unless an endpoint was made with another."""
        return self.account.api_version

    @api_version.setter
    def api_version(self, version: str) -> None:
        self.account.api_version = version

    def now(self) -> int:
        return self.account.now()

    def _targets(self, event_type: str) -> list[Obj]:
        made = [row for row in self.account.all("webhook_endpoint") if row["status"] == "enabled"]
        wanted = [row for row in made if {"*", event_type} & set(row["enabled_events"])]
        targets = [
            {
                "url": row["url"],
                "secrets": self.account.secret(row["id"])["secrets"],
                "api_version": row["api_version"] or self.api_version,
            }
            for row in wanted
        ]
        if self.webhook_url and all(row["url"] != self.webhook_url for row in made):
            targets.append({"url": self.webhook_url, "secrets": self.secrets, "api_version": self.api_version})
        return targets

    # --- time

    async def advance(self, seconds: float) -> None:
        """Stripe's clock stands `seconds` later; what fell due on the way happened in order, its events delivered.

        Every event was tried once before the next thing happened; retries of refused ones are over at the end.
        """
        for _ in self.account.advancing(seconds):
            await self.delivery.tried()
        await self.delivery.settled()

    # --- catalogue

    def add_product(self, name: str, **fields: Any) -> Obj:
        return self.account.add(stripe_shapes.product(self.account, name, **fields))

    def add_price(
        self,
        amount: int,
        currency: str = "eur",
        interval: str | None = "month",
        *,
        product: str | None = None,
        **fields: Any,
    ) -> Obj:
        """A price (amount in the smallest unit) of this product's id, or of a new product; interval None: one-time.

        `currency_options={"usd": 3100}`: it can also be paid in these.
        """
        owner = product or self.add_product(fields.pop("name", "Signals"))["id"]
        cycle = interval and {"interval": interval, "interval_count": fields.pop("interval_count", 1)}
        others = fields.pop("currency_options", None)
        price = self.account.add(stripe_shapes.price(self.account, owner, amount, currency, cycle or None, **fields))
        prices.set_options(self.account, price, others)
        return price

    def add_promotion_code(self, code: str, **coupon: Any) -> Obj:
        """A code that takes off `percent_off=` percent or `amount_off=`; `duration=` once, forever or repeating."""
        made = self.account.add(stripe_shapes.coupon(self.account, **coupon))
        return self.account.add(stripe_shapes.promotion_code(self.account, made["id"], code))

    def add_subscription(
        self, price: Obj, *, customer: str | None = None, told: bool = False, started: int | None = None, **fields: Any
    ) -> Obj:
        """A paid subscription without a checkout, and without an event unless `told`; ten thousand take seconds.

        Fields: metadata, quantity, member (who it is, for the history), currency, card, expiry, or any of a
        subscription such as status.
        """
        return crowd.add(self.account, price, customer, told=told, started=started, **fields)

    # --- what members do

    def pay(
        self,
        session_id: str,
        card: str | None = cards.GOOD,
        email: str | None = None,
        *,
        expiry: tuple[int, int] = cards.EXPIRY,
        quantity: int | None = None,
    ) -> Obj | None:
        """The session is paid; gives its subscription (one-time: payment intent), None when the card was declined.

        `stripe_paying.pay` lists the cards; `quantity` is the buyer's choice where the session lets them choose.
        """
        if quantity is not None:
            checkout.set_quantity(self.account, self.account.get("checkout.session", session_id), quantity)
        return paying.pay(self.account, session_id, card, email, expiry)

    def add_card(
        self, customer_id: str | None, card: str = cards.GOOD, *, expiry: tuple[int, int] = cards.EXPIRY
    ) -> Obj:
        """A card kept for this customer; a subscription uses it once its `default_payment_method` names it."""
        return cards.keep(self.account, customer_id, card, expiry)

    def settle_debit(self, session_id: str, *, paid: bool = True) -> None:
        """The slow debit of a `sepa` payment is decided now instead of after `async_days`."""
        paying.settle_debit(self.account, self.account.get("checkout.session", session_id), paid=paid)

    def cancel(self, subscription_id: str, *, at_period_end: bool = True) -> None:
        lifecycle.cancel(self.account, self.subscription(subscription_id), at_period_end=at_period_end)

    def keep(self, subscription_id: str) -> None:
        """A planned cancellation is taken back."""
        lifecycle.plan_end(self.account, self.subscription(subscription_id), None, flag=False)

    # --- what banks and operators do

    def subscription(self, subscription_id: str) -> Obj:
        """The subscription as Stripe holds it now (the object itself)."""
        return self.account.get("subscription", subscription_id)

    def fail_next_renewal(self, subscription_id: str, attempts: int | None = None) -> None:
        """The next charges (None: all until `card_works`) of this subscription are refused."""
        self.account.secret(subscription_id)["failing"] = 10**9 if attempts is None else attempts

    def card_works(self, subscription_id: str) -> None:
        """The member has a good card again; the next retry is paid."""
        self.account.secret(subscription_id)["failing"] = 0

    def confirm_open_invoice(self, subscription_id: str) -> None:
        """The member has confirmed what the bank asked about; the open invoice is paid."""
        invoice = self.account.get("invoice", self.subscription(subscription_id)["latest_invoice"])
        stripe_invoice_page.settle(self.account, invoice, None)

    def pay_open_invoices(self, subscription_id: str) -> None:
        """The member has paid all that was open, without waiting for a retry."""
        self.card_works(subscription_id)
        sub = self.subscription(subscription_id)
        for invoice in billing.invoices_of(self.account, subscription_id):
            if invoice["status"] == "open":
                lifecycle.collect(self.account, sub, invoice)

    def refund(self, ref: str, amount: int | None = None) -> Obj:
        """Part (or all) of the last charge behind a charge, invoice, session or subscription id went back."""
        return claims.refund(self.account, ref, amount)

    def fail_refund(self, refund_id: str) -> Obj:
        """The bank could not give this money back; the charge is as before."""
        return claims.fail_refund(self.account, refund_id)

    def dispute(self, ref: str, outcome: str = "open") -> Obj:
        """The charge's dispute stands at: open, inquiry, won, lost or warning_closed."""
        return claims.dispute(self.account, ref, outcome)

    def pause_collection(
        self, subscription_id: str, behavior: str | None = "void", resumes_at: int | None = None
    ) -> None:
        """Invoices are not collected (`behavior` None: again collected); the status stays as it is."""
        pause = {"behavior": behavior, "resumes_at": resumes_at} if behavior else None
        lifecycle.set_fields(self.account, self.subscription(subscription_id), pause_collection=pause)

    def pause(self, subscription_id: str) -> None:
        lifecycle.pause(self.account, self.subscription(subscription_id), paused=True)

    def resume(self, subscription_id: str) -> None:
        lifecycle.pause(self.account, self.subscription(subscription_id), paused=False)

    def set_status(self, subscription_id: str, status: str) -> None:
        """The subscription has this status, known or not, and an event says so."""
        lifecycle.set_fields(self.account, self.subscription(subscription_id), status=status)

    def add_item(self, subscription_id: str, price: Obj, period_end: int | None = None) -> Obj:
        """A second item, with its own period when `period_end` is given."""
        sub, now = self.subscription(subscription_id), self.now()
        end = period_end or billing.period_end(sub)
        item = stripe_shapes.item(self.account, subscription_id, price, 1, now, end)
        self.account.secret(item["id"])["anchor"] = end
        with self.account.changing(sub, lifecycle.UPDATED):
            sub["items"]["data"].append(item)
        return item

    # --- secrets and faults

    def roll_secret(self, secret: str, *, keep_old: bool = True) -> None:
        """Events are signed with the new secret, and with the old ones too while they are kept."""
        self.secrets[:] = [secret, *(self.secrets if keep_old else [])]

    def fault(
        self, kind: str, method: str = "*", path: str = r"/v1/.*", *, count: int | None = 1, **fields: Any
    ) -> Fault:
        """The next `count` requests (None: all until `calm`) that match go wrong; `path` is a regular expression.

        kind: "500", "503", "429", "hang" or "drop"; `after_store=True`: Stripe did it, only the answer went wrong.
        """
        fault = Fault(method, path, kind, count, **fields)
        self.api.faults.append(fault)
        return fault

    async def calm(self) -> None:
        """No fault is left, and hanging requests are answered."""
        await self.api.release()

    def default_portal(self) -> Obj:
        """The portal configuration used when a session names none."""
        return catalogue.default_configuration(self.account)
