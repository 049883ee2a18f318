"""Payment providers, one file each: the door between what a provider says and what `core.billing` understands.

A module of this package is a provider when the settings have a switch of its name (`settings.stripe`); it then has
`open_provider(settings, catalogue)`, which may say None when the catalogue does not need it. Nothing of a provider that
is switched off is imported.
"""

import importlib
import pkgutil
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from core import catalogue, errors, models, settings
from core.billing import changes, errands, gifts, plans, questions, subscriptions


class ConflictError(errors.SignalStackError):
    """The provider will not make this checkout under its key any more; a new checkout gets a new key."""


class DeclinedError(errors.SignalStackError):
    """The card was refused or wants a confirmation; nothing was changed and nothing charged."""


class ElsewhereError(errors.RefusedError):
    """What is asked for is done somewhere else, by the member; the sentence says where."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a provider told us: a hint that something changed, never the truth about it."""

    id: str
    kind: str
    body: bytes
    at: datetime | None = None
    """When it happened, where the provider was asked for it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at: at most one of the ids is set; none when nothing of ours follows from an event."""

    subscription: str = ""
    session: str = ""
    invoice: str = ""
    payment: str = ""
    prices: bool = False
    claims: tuple[str, ...] = ()
    """Payments of the subscription that were taken back or disputed before, as we know; they are looked at too."""
    told: str = ""
    """What only the event says and nobody can ask for, in the provider's own words; it is handed back to it."""

    def __bool__(self) -> bool:
        return bool(self.subscription or self.session or self.invoice or self.payment or self.prices)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the provider says now about a subject: the subscription, if there is one, and the end of the checkout."""

    snapshot: subscriptions.Snapshot | None = None
    session: str = ""
    state: str = ""
    """"" | "open" | "pending" | "paid" | "failed" | "expired", as in `core.billing.checkouts`."""
    payment: gifts.Payment | None = None
    """What was paid once, for a gift; none for what a subscription's invoices bill."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A subscription as it stands in a list, which says nothing of money that was taken back.

    `payments` are those of its latest invoice.
    """

    snapshot: subscriptions.Snapshot
    payments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """What a member is about to buy, and where their browser goes afterwards.

    `promotion` is the provider's id of a discount that comes with it; without one the member may enter a code.
    """

    checkout: models.Checkout
    plan: catalogue.Plan
    customer_id: str
    success_url: str
    cancel_url: str
    promotion: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the provider on which a checkout can be paid until it expires."""

    session_id: str
    url: str
    expires_at: datetime


class Provider(Protocol):
    """A payment provider.

    Network calls raise UnreachableError (try again later), RefusedError (a sentence for people) or ConflictError.
    """

    name: str
    inbox: str
    """Where the inbox keeps its events. By its own name they come through a door of the site; under another one
    somebody else brings them, who can be believed."""
    asks: str
    """Where the inbox keeps what it asks before it charges; empty when it never asks."""
    origins: tuple[str, ...]
    """Where its pages live, for our Content-Security-Policy."""
    once: bool
    """Whether it takes payments that renew nothing, which gifts are."""
    trials: bool
    """Whether it gives days for free."""
    codes: bool
    """Whether a discount can be had on its page."""

    def verify(self, raw: bytes, headers: Mapping[str, str]) -> Event:
        """The event in these raw bytes, proven to be the provider's own; raises RefusedError otherwise."""

    def subject(self, kind: str, body: bytes) -> Subject:
        """What the event is about, in whatever version of the provider's language it is written."""

    def complaint(self, body: bytes) -> str:
        """What an operator should put right about how its events are sent, as one sentence; empty when it is well."""

    def question(self, kind: str, body: bytes) -> questions.Question:
        """What it asks before it charges; raises ValueError, TypeError or KeyError for what is no question."""

    async def answer(self, question: questions.Question, refusal: str) -> None:
        """The provider charges, or tells the one who pays in this sentence why not; too late is no error."""

    async def read(self, subject: Subject, *, now: datetime) -> Reading:
        """What the provider says about it now."""

    async def checkout(self, order: Order) -> Page:
        """The page on which the order is paid; the same one each time for the same checkout."""

    async def expire(self, session_id: str) -> str:
        """What became of the checkout, which can be begun no more: "expired", or "paid" or "pending" if it was late."""

    async def portal(self, customer_id: str, return_url: str) -> str:
        """The address of a page where the customer manages card, invoices and cancellation; or ElsewhereError."""

    def sells(self, price_id: str) -> bool:
        """Whether the catalogue's price of this id is to be paid at this provider."""

    async def prices(self) -> Sequence[plans.Priced]:
        """The catalogue's prices that can be paid now; one that the provider does not know or has closed is missing."""

    async def missed(self, since: datetime) -> Sequence[Event]:
        """Events since then that the provider could not deliver to us, oldest first."""

    def listed(self, clock: Callable[[], datetime]) -> AsyncIterator[Sequence[Listed]]:
        """Every subscription of the account in any state, page by page, each read at the moment the page was asked."""

    async def claimed(self, since: datetime) -> Collection[str]:
        """Payments of which something was taken back or disputed since then."""

    async def told(self, since: datetime) -> Sequence[Event]:
        """Every event since then that concerns us, whether it was delivered or not, oldest first."""

    async def do(self, errand: errands.Errand) -> None:
        """The errand is done, or was not needed any more; doing it again changes nothing."""

    async def close(self) -> None:
        """Nothing is held open any more."""


@runtime_checkable
class Changing(Protocol):
    """What else a provider can do at which running subscriptions can be changed."""

    async def preview(self, change: changes.Change) -> changes.Quote:
        """What the change will cost; nothing is made."""

    async def change(self, change: changes.Change, key: str) -> None:
        """The subscription is changed, once under this key; raises DeclinedError when what is due is not paid."""


def names() -> list[str]:
    """The names of all providers that we have a door for, whether they are switched on or not."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__) if info.name in _switches())


def opened(conf: settings.Settings, book: catalogue.Catalogue) -> tuple[Provider, ...]:
    """The providers that are switched on, ready to be asked, those with a door first; none where nobody can pay."""
    found: list[Provider] = []
    for name in names():
        made = importlib.import_module(f"{__name__}.{name}").open_provider(conf, book) if getattr(conf, name) else None
        found += [made] if made is not None else []
    return tuple(sorted(found, key=lambda one: one.inbox != one.name))


def _switches() -> set[str]:
    return {name for name, kind in vars(settings.Settings).items() if isinstance(kind, property)}
