"""Payment providers, one file each: the door between what a provider says and what `core.billing` understands.

A module of this package is a provider when the settings have a switch of its name (`settings.stripe`); it then has
`open_provider(settings, catalogue)`. Nothing of a provider that is switched off is imported.
"""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from core import catalogue, errors, models, settings
from core.billing import subscriptions


class ConflictError(errors.SignalStackError):
    """The provider will not make this checkout under its key any more; a new checkout gets a new key."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a provider told us: a hint that something changed, never the truth about it."""

    id: str
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Subject:
    """What an event is about: at most one of the ids is set; none when nothing of ours follows from it."""

    subscription: str = ""
    session: str = ""
    invoice: str = ""
    payment: str = ""
    prices: bool = False

    def __bool__(self) -> bool:
        return bool(self.subscription or self.session or self.invoice or self.payment or self.prices)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the provider says now about a subject: the subscription, if there is one, and the end of the checkout."""

    snapshot: subscriptions.Snapshot | None = None
    session: str = ""
    state: str = ""
    """"" | "open" | "pending" | "paid" | "failed" | "expired", as in `core.billing.checkouts`."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a member is about to buy, and where their browser goes afterwards."""

    checkout: models.Checkout
    plan: catalogue.Plan
    customer_id: str
    success_url: str
    cancel_url: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the provider on which a checkout can be paid until it expires."""

    session_id: str
    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Price:
    """What a price costs; `amount` in the smallest unit of the currency."""

    price_id: str
    amount: int
    currency: str
    interval: str
    interval_count: int


class Provider(Protocol):
    """A payment provider.

    Network calls raise UnreachableError (try again later), RefusedError (a sentence for people) or ConflictError.
    """

    name: str
    origins: tuple[str, ...]
    """Where its pages live, for our Content-Security-Policy."""

    def verify(self, raw: bytes, headers: Mapping[str, str]) -> Event:
        """The event in these raw bytes, proven to be the provider's own; raises RefusedError otherwise."""

    def subject(self, kind: str, body: bytes) -> Subject:
        """What the event is about, in whatever version of the provider's language it is written."""

    async def read(self, subject: Subject, *, now: datetime) -> Reading:
        """What the provider says about it now."""

    async def checkout(self, order: Order) -> Page:
        """The page on which the order is paid; the same one each time for the same checkout."""

    async def portal(self, customer_id: str, return_url: str) -> str:
        """The address of a page where the customer manages card, invoices and cancellation."""

    async def prices(self, price_ids: Sequence[str]) -> Sequence[Price]:
        """The prices that can be paid now; one that the provider does not know or has closed is missing."""

    async def missed(self, since: datetime) -> Sequence[Event]:
        """Events since then that the provider could not deliver to us, oldest first."""

    async def close(self) -> None:
        """Nothing is held open any more."""


def names() -> list[str]:
    """The names of all providers that we have a door for, whether they are switched on or not."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__) if info.name in _switches())


def opened(conf: settings.Settings, book: catalogue.Catalogue) -> Provider | None:
    """The provider that is switched on, ready to be asked; None when members cannot pay here."""
    for name in names():
        if getattr(conf, name):
            provider: Provider = importlib.import_module(f"{__name__}.{name}").open_provider(conf, book)
            return provider
    return None


def _switches() -> set[str]:
    return {name for name, kind in vars(settings.Settings).items() if isinstance(kind, property)}
