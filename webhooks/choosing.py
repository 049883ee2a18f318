"""What can be chosen on a page that sells a plan, and what somebody chose there; the same for every such page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from core import errors, models
from core.billing import checkouts, plans
from webhooks import site

_LONGEST = 100


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for, in words as they came; empty where nothing was said."""

    price: str = ""
    currency: str = ""
    seats: str = ""
    code: str = ""


class Way(NamedTuple):
    """One way to pay, as a person reads it."""

    price_id: str
    amount: str
    period: str
    saving: str
    chosen: bool


class Money(NamedTuple):
    """A currency that can be paid in, and the address of the same page with its prices."""

    name: str
    url: str
    chosen: bool


def wished(said: Mapping[str, object]) -> Wish:
    """What a form or an address asks for; what is no text, or longer than anything of ours, counts as not said."""
    given = {name: said.get(name) for name in Wish.__slots__}
    return Wish(**{
        name: value.strip()
        for name, value in given.items()
        if isinstance(value, str) and value.isprintable() and len(value) <= _LONGEST
    })  # fmt: skip


def purchasable(here: site.Site, offer: plans.Offer) -> plans.Offer:
    """The offer with the prices alone whose providers are switched on."""
    return plans.Offer(offer.plan, tuple(price for price in offer.prices if here.provider(price.provider)))


def currency(offer: plans.Offer, wish: Wish) -> str:
    """The currency in which prices are shown: the wanted one where there are some, otherwise the plan's first."""
    wanted = wish.currency.upper()
    named = offer.priced(wish.price, "")
    first = named.currency if named else next(iter(offer.currencies), "")
    return wanted if wanted in offer.currencies else first


def ways(offer: plans.Offer, wish: Wish) -> Sequence[Way]:
    """Every period that can be paid in that currency, the wanted one chosen, otherwise the first."""
    there = offer.priced_in(currency(offer, wish))
    chosen = wish.price if wish.price in {price.price_id for price in there} else ""
    return [
        Way(
            price.price_id,
            plans.amount(price),
            plans.period(price),
            _saved(offer, price),
            price.price_id == chosen or (not chosen and place == 0),
        )
        for place, price in enumerate(there)
    ]


def _saved(offer: plans.Offer, price: models.PlanPrice) -> str:
    found = plans.saving(offer, price)
    if found is None:
        return ""
    amount = plans.written(found.amount, price.currency)
    percent = f" ({found.percent} %)" if found.percent else ""
    return f"{amount} less{percent} than {found.times} payments of {plans.amount(found.base)}"


def moneys(offer: plans.Offer, wish: Wish) -> Iterator[Money]:
    """Every currency; what else was wished for stays in the addresses."""
    shown = currency(offer, wish)
    kept = {name: value for name in ("seats", "code") if (value := getattr(wish, name))}
    for one in offer.currencies:
        yield Money(plans.currency_name(one), "?" + urlencode({"currency": one, **kept}), one == shown)


def tries(here: site.Site, price: models.PlanPrice) -> bool:
    """Whether days for free can be had with this price."""
    provider = here.provider(price.provider)
    return provider is not None and provider.trials


def shelf(here: site.Site, offer: plans.Offer, wish: Wish, *, days: int) -> dict[str, Any]:
    """What the page shows of the offer; `days` are free for whoever looks at it."""
    shown = offer.priced_in(currency(offer, wish))
    free = days if shown and tries(here, shown[0]) else 0
    provider = here.provider(shown[0].provider) if shown else None
    return {
        "codes": provider is not None and provider.codes,
        "ways": ways(offer, wish),
        "moneys": [*moneys(offer, wish)],
        "currency": currency(offer, wish),
        "free": free,
        "charged_on": here.now + timedelta(days=free),
        "seats": wish.seats if wish.seats.isdigit() else str(offer.plan.seats.least if offer.plan.seats else 1),
    }


def choice(offer: plans.Offer, wish: Wish) -> tuple[checkouts.Choice, models.PlanPrice]:
    """What is wished for, and its price; raises RefusedError with one sentence when it cannot be had."""
    price = offer.priced(wish.price, wish.currency) if wish.price else _first(offer, wish)
    if price is None:
        raise errors.RefusedError("This price is not offered any more. Please choose one of those below.")
    seats = _seats(offer, wish)
    named = "" if price.main else price.currency
    return checkouts.Choice(offer.plan, price.price_id, named, seats), price


def _first(offer: plans.Offer, wish: Wish) -> models.PlanPrice | None:
    there = offer.priced_in(wish.currency.upper()) if wish.currency else offer.prices
    return next(iter(there), None)


def _seats(offer: plans.Offer, wish: Wish) -> int:
    sold = offer.plan.seats
    if sold is None:
        return 1
    if not wish.seats:
        return sold.least
    number = int(wish.seats) if wish.seats.isascii() and wish.seats.isdigit() and len(wish.seats) <= 6 else 0
    if not sold.least <= number <= sold.most:
        raise errors.RefusedError(f"Please choose between {sold.least} and {sold.most} seats.")
    return number
