"""Telegram Stars: invoices in Telegram itself, asked about before somebody pays, renewed by Telegram every 30 days.

Updates about payments come through the bot, whose word is Telegram's. Access follows from none of them, but from
Telegram's list of payments. That list does not say who has cancelled; what an update told of that is remembered.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from core import catalogue, errors, settings
from core.billing import errands, gifts, passed, plans, questions
from webhooks import payments
from webhooks.payments import stars_objects, stars_wire

_TITLE, _DESCRIPTION = 32, 255
_TOO_LATE = "query is too old"
_DONE = "CHARGE_ALREADY_REFUNDED"
_MANAGED = (
    "You pay with Telegram Stars, so Telegram keeps your subscription: open Settings, then My Stars, choose the "
    "subscription, and cancel or renew it there."
)


def open_provider(conf: settings.Settings, book: catalogue.Catalogue) -> "Stars | None":
    """Stars for the bot of these settings; None while no plan has a price in Stars."""
    return Stars(conf, book) if any(plan.stars is not None for plan in book.plans) else None


class Stars:
    """The provider "stars"; see `payments.Provider`."""

    name, inbox, asks = "stars", passed.PAID, passed.ASKED
    once = True
    trials = codes = False

    def __init__(self, conf: settings.Settings, book: catalogue.Catalogue) -> None:
        # Invoices open in Telegram; those of a stand-in at its own address.
        api = urlsplit(conf.telegram_api_url)
        real = api.hostname == "api.telegram.org"
        self.origins = ("https://t.me",) if real else ("https://t.me", f"{api.scheme}://{api.netloc}")
        self._api = stars_wire.Api(conf)
        self._ledger = stars_wire.Ledger(self._api)
        self._book = book
        self._grace = timedelta(days=conf.grace_days)
        # What Telegram never lists is known here until it is stored with the subscription.
        self._canceled: set[str] = set()
        self._withdrawn: set[str] = set()

    # --- what Telegram tells us

    def verify(self, raw: bytes, headers: Mapping[str, str]) -> payments.Event:  # noqa: ARG002 - the port's names
        raise errors.RefusedError("Events of Telegram come through the bot.")

    def complaint(self, body: bytes) -> str:  # noqa: ARG002 - the port's names
        return ""

    def subject(self, kind: str, body: bytes) -> payments.Subject:
        try:
            return stars_objects.subject(kind, body)
        except KeyError as error:
            raise ValueError("something is missing") from error

    def question(self, kind: str, body: bytes) -> questions.Question:  # noqa: ARG002 - there is one kind
        return stars_objects.question(body)

    async def answer(self, question: questions.Question, refusal: str) -> None:
        said = {"ok": False, "error_message": refusal} if refusal else {"ok": True}
        try:
            await self._api.call("answerPreCheckoutQuery", pre_checkout_query_id=question.id, **said)
        except errors.RefusedError as error:
            if _TOO_LATE not in str(error):
                raise

    # --- what we ask Telegram

    async def read(self, subject: payments.Subject, *, now: datetime) -> payments.Reading:
        book = await self._ledger.look()
        if subject.session:
            return self._session(book, subject, now)
        charge = subject.subscription or subject.payment
        paid = book.payment(charge) if charge else None
        if paid is None:
            if subject.payment:
                raise stars_objects.UnseenError("Telegram does not list this payment yet.")
            return payments.Reading()
        chain = book.chain(charge)
        if chain is None:
            return payments.Reading(None, paid.payload, "paid", _gift(paid))
        return payments.Reading(self._snapshot(chain, subject.told, now), paid.payload, "paid")

    def _session(self, book: stars_objects.Book, subject: payments.Subject, now: datetime) -> payments.Reading:
        paid, bought = book.of(subject.session), stars_objects.purchase(subject.session)
        if found := stars_objects.chains(paid):
            return payments.Reading(self._snapshot(found[-1], subject.told, now), subject.session, "paid")
        if paid:
            return payments.Reading(None, subject.session, "paid", _gift(paid[0]))
        if bought is None:
            return payments.Reading()
        over = subject.session in self._withdrawn or bought.expires <= now.timestamp()
        return payments.Reading(None, subject.session, "expired" if over else "open")

    def _snapshot(self, chain: stars_objects.Chain, told: str, now: datetime) -> Any:
        told = "canceled" if chain.payments[-1].charge in self._canceled else told
        return stars_objects.snapshot(chain, told=told, grace=self._grace, read_at=now)

    def sells(self, price_id: str) -> bool:
        return price_id.startswith("stars:")

    async def prices(self) -> Sequence[plans.Priced]:
        days = stars_objects.PERIOD.days
        return [
            plans.Priced(plan.key, plan.stars_id, plan.stars, stars_objects.CURRENCY, "day", days)
            for plan in self._book.plans
            if plan.stars
        ]

    async def missed(self, since: datetime) -> Sequence[payments.Event]:  # noqa: ARG002 - the port's names
        """None: Telegram keeps what it could not tell the bot, and everything else stands in its list."""
        return ()

    async def told(self, since: datetime) -> Sequence[payments.Event]:  # noqa: ARG002 - the port's names
        return ()

    async def claimed(self, since: datetime) -> Collection[str]:
        return (await self._ledger.look()).given_back(since)

    async def listed(self, clock: Callable[[], datetime]) -> AsyncIterator[Sequence[payments.Listed]]:
        asked = clock()
        found = [*(await self._ledger.look()).all()]
        for start in range(0, len(found), 100):
            yield [
                payments.Listed(self._snapshot(chain, "", asked), (chain.payments[-1].charge,))
                for chain in found[start : start + 100]
            ]

    # --- what we have Telegram make

    async def checkout(self, order: payments.Order) -> payments.Page:
        row, plan = order.checkout, order.plan
        if not plan.stars or row.price_id != plan.stars_id:
            raise payments.ConflictError("The plan has another price in Stars now.")
        expires = int(row.expires_at.timestamp())
        bought = stars_objects.Purchase(row.id, row.member_id, plan.key, plan.stars, expires)
        days = stars_objects.PERIOD.days
        renewing = {} if row.gift else {"subscription_period": days * 86_400}
        url = await self._api.call(
            "createInvoiceLink",
            title=plan.name[:_TITLE],
            description=(plan.description or f"{plan.name}, {days} days")[:_DESCRIPTION],
            payload=str(bought),
            currency=stars_objects.CURRENCY,
            prices=[{"label": plan.name[:_TITLE], "amount": plan.stars}],
            **renewing,
        )
        return payments.Page(str(bought), url, row.expires_at)

    async def expire(self, session_id: str) -> str:
        """An invoice stays in the chats; nobody can pay it any more, because we are asked before."""
        self._withdrawn.add(session_id)
        return "paid" if (await self._ledger.look()).of(session_id) else "expired"

    async def portal(self, customer_id: str, return_url: str) -> str:  # noqa: ARG002 - the port's names
        raise payments.ElsewhereError(_MANAGED)

    async def do(self, errand: errands.Errand) -> None:
        book = await self._ledger.look()
        chain = book.chain(errand.target)
        match errand.act:
            case "cancel" if chain:
                await self._cancel(chain)
            case "refund" if paid := chain.payments[-1] if chain else book.payment(errand.target):
                await self._refund(paid)
            case "expire":
                await self.expire(errand.target)
            case "end_trial":
                pass  # there are none
            case _:
                raise errors.RefusedError("Telegram does not know this payment.")

    async def _cancel(self, chain: stars_objects.Chain) -> None:
        """Telegram renews it no more, by whatever payment it knows it."""
        refusals: list[errors.RefusedError] = []
        for paid in chain.starts:
            given = {"user_id": int(paid.user), "telegram_payment_charge_id": paid.charge, "is_canceled": True}
            try:
                await self._api.call("editUserStarSubscription", **given)
            except errors.RefusedError as error:
                refusals.append(error)
        if len(refusals) == len(chain.starts):
            raise refusals[-1]
        self._canceled.add(chain.payments[-1].charge)

    async def _refund(self, paid: stars_objects.Payment) -> None:
        if paid.back_at:
            return
        given = {"user_id": int(paid.user), "telegram_payment_charge_id": paid.charge}
        try:
            await self._api.call("refundStarPayment", **given)
        except errors.RefusedError as error:
            if _DONE not in str(error):
                raise

    async def close(self) -> None:
        await self._api.close()


def _gift(paid: stars_objects.Payment) -> gifts.Payment:
    status = gifts.REFUNDED if paid.back_at else gifts.PAID
    return gifts.Payment(paid.charge, status, paid.amount, stars_objects.CURRENCY)
