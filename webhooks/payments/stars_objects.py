"""Payments in Stars, read: what an update is about, which payments are one subscription, and what that is worth. Pure.

Telegram lists payments, not subscriptions. A subscription is a first payment of an invoice and those that follow it
when its time is over; its name is the first payment's.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from core import errors
from core.billing import questions, rule
from webhooks import payments

Json = Mapping[str, Any]

CURRENCY, PERIOD = "XTR", timedelta(days=30)
_MARK = "signalstack"
# Renewals are charged at the end of a period, give or take; an hour later a missing one is no mere delay.
_EARLY, _LATE, _SOON = timedelta(days=1), timedelta(days=3), timedelta(hours=1)
_NEVER = datetime.min.replace(tzinfo=UTC)
_CANCELED, _RESUMED, _FAILED, _UNTIL = "canceled", "active", "failed", "until:"


class UnseenError(errors.SignalStackError):
    """Telegram told of a payment that is not in its list yet."""


# --- what an invoice is for


@dataclass(frozen=True, slots=True)
class Purchase:
    """What we write into an invoice, and read again in each payment of it; at most 100 bytes, shown to nobody."""

    checkout: int
    member: int
    plan: str
    amount: int
    expires: int

    def __str__(self) -> str:
        return f"{_MARK}:{self.checkout}:{self.member}:{self.plan}:{self.amount}:{self.expires}"

    @property
    def price_id(self) -> str:
        """The catalogue's price that was paid."""
        return f"stars:{self.plan}:{self.amount}"


def purchase(payload: str) -> Purchase | None:
    """What the invoice with this payload was for; None for one that is not ours."""
    parts = payload.split(":")
    numbers = [part for place, part in enumerate(parts) if place not in {0, 3}]
    ours = len(parts) == 6 and parts[0] == _MARK and all(part.isascii() and part.isdigit() for part in numbers)
    return Purchase(int(parts[1]), int(parts[2]), parts[3], int(parts[4]), int(parts[5])) if ours else None


# --- what Telegram tells


def subject(kind: str, body: bytes) -> payments.Subject:
    """What the update is about; nothing for payments that are not ours."""
    update = orjson.loads(body)
    if kind == "subscription":
        changed = update["subscription"]
        mine = purchase(changed["invoice_payload"])
        return payments.Subject(session=str(mine), told=str(changed["state"])) if mine else payments.Subject()
    told = update["message"][kind]
    if purchase(told["invoice_payload"]) is None:
        return payments.Subject()
    until = told.get("subscription_expiration_date")
    return payments.Subject(payment=told["telegram_payment_charge_id"], told=f"{_UNTIL}{until}" if until else "")


def question(body: bytes) -> questions.Question:
    """What is asked before somebody pays."""
    asked = orjson.loads(body)["pre_checkout_query"]
    payer, amount = str(int(asked["from"]["id"])), int(asked["total_amount"])
    return questions.Question(
        str(asked["id"]), str(asked["invoice_payload"]), "telegram", payer, amount, str(asked["currency"])
    )


# --- what Telegram lists


@dataclass(slots=True)
class Payment:
    """Stars that somebody paid; `period` says for how long, nothing for what renews nothing."""

    charge: str
    user: str
    payload: str
    amount: int
    at: datetime
    period: timedelta | None
    back_at: datetime | None = None


@dataclass(slots=True)
class Chain:
    """The payments of one subscription, oldest first, and until when they last.

    `starts` are those by which Telegram may know it: the first, and any with which somebody took it up again.
    """

    payments: list[Payment] = field(default_factory=list)
    starts: list[Payment] = field(default_factory=list)
    until: datetime = _NEVER

    @property
    def id(self) -> str:
        """The subscription's name."""
        return self.payments[0].charge

    def takes(self, payment: Payment) -> bool:
        """Whether the payment renews this subscription."""
        return self.until - _EARLY <= payment.at <= self.until + _LATE

    def add(self, payment: Payment) -> None:
        """The payment is the last one, and lasts for its period from the end of the one before."""
        if not self.payments or payment.at > self.until + _SOON:
            self.starts.append(payment)
        start = max(self.until, payment.at)
        self.payments.append(payment)
        self.until = start + (payment.period or PERIOD)


class Book:
    """All our payments, by the invoices that they paid."""

    def __init__(self) -> None:
        self._by_charge: dict[str, Payment] = {}
        self._by_payload: defaultdict[str, list[Payment]] = defaultdict(list)

    def enter(self, entry: Json) -> None:
        """The entry of Telegram's list is known: a payment of ours, one that was given back, or something else."""
        charge = str(entry.get("id"))
        if entry.get("receiver") and charge in self._by_charge:
            self._by_charge[charge].back_at = _moment(entry["date"])
        payer = entry.get("source") or {}
        payload = str(payer.get("invoice_payload", ""))
        if purchase(payload) is None or charge in self._by_charge:
            return
        period = timedelta(seconds=payer["subscription_period"]) if payer.get("subscription_period") else None
        user, at = str(payer["user"]["id"]), _moment(entry["date"])
        paid = Payment(charge, user, payload, int(entry["amount"]), at, period)
        self._by_charge[charge] = paid
        self._by_payload[payload].append(paid)

    def of(self, payload: str) -> Sequence[Payment]:
        """Every payment of the invoice, oldest first."""
        return self._by_payload.get(payload, ())

    def payment(self, charge: str) -> Payment | None:
        """The payment of this name."""
        return self._by_charge.get(charge)

    def chain(self, charge: str) -> Chain | None:
        """The subscription that this is a payment of; None for a payment that is none's."""
        found = self.payment(charge)
        mine = chains(self.of(found.payload)) if found else ()
        return next((chain for chain in mine if found in chain.payments), None)

    def all(self) -> Iterator[Chain]:
        """Every subscription."""
        for paid in self._by_payload.values():
            yield from chains(paid)

    def given_back(self, since: datetime) -> Sequence[str]:
        """The payments that were given back since then."""
        return [paid.charge for paid in self._by_charge.values() if paid.back_at and paid.back_at >= since]


def chains(paid: Sequence[Payment]) -> Sequence[Chain]:
    """The subscriptions that these payments of one invoice are, the latest begun last.

    Two that were paid at the same time, or one that was begun again later, are two.
    """
    found: list[Chain] = []
    for payment in sorted((one for one in paid if one.period), key=lambda one: one.at):
        mine = (one for one in found if one.payments[0].user == payment.user and one.takes(payment))
        chain = next(mine, None)
        if chain is None:
            found.append(chain := Chain())
        chain.add(payment)
    return found


def _moment(value: Any) -> datetime:
    return datetime.fromtimestamp(int(value), UTC)


# --- what a subscription is worth


def snapshot(chain: Chain, *, told: str, grace: timedelta, read_at: datetime) -> rule.Snapshot:
    """The subscription as core understands it; `told` is what an update said of it, which no list does."""
    first, last, bought = chain.payments[0], chain.payments[-1], purchase(chain.payments[0].payload)
    assert bought is not None  # noqa: S101 - others are not in the book
    until = max(chain.until, _moment(told.removeprefix(_UNTIL))) if told.startswith(_UNTIL) else chain.until
    status = _status(until, told=told, grace=grace, now=read_at)
    return rule.Snapshot(
        provider="stars",
        external_id=first.charge,
        customer_id=first.user,
        member_id=bought.member,
        price_id=bought.price_id,
        status=status,
        period_start=until if status == "past_due" else until - (last.period or PERIOD),
        period_end=until,
        cancel_at_period_end={_CANCELED: True, _RESUMED: False}.get(told),
        cancel_at=None,
        ended_at=until if status == "canceled" else None,
        trial_end=None,
        collection_paused=False,
        hold="refunded" if last.back_at else "",
        created_at=first.at,
        read_at=read_at,
        session_id=first.payload,
        plan=bought.plan,
        amount=last.amount,
        currency=CURRENCY,
        interval="day",
        interval_count=PERIOD.days,
        claims=tuple(paid.charge for paid in chain.payments if paid.back_at),
        payment=last.charge,
    )


def _status(until: datetime, *, told: str, grace: timedelta, now: datetime) -> str:
    if now < until or (now < until + _SOON and told != _FAILED):
        return "active"
    return "past_due" if now < until + max(grace, _LATE) else "canceled"
