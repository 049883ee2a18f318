"""Plans: what can be subscribed to, and what each plan costs as the payment provider last said."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, db, models

# Digits after the point of a currency's main unit where they are not two, by ISO 4217 and as Stripe counts them.
_DIGITS = {
    **dict.fromkeys(["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"], 0),
    **dict.fromkeys(["PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF", "XTR"], 0),
    **dict.fromkeys(["BHD", "JOD", "KWD", "OMR", "TND"], 3),
}
_NAMES = {"XTR": "Stars"}
_MONTHS = {"month": 1, "year": 12}


@dataclass(frozen=True, slots=True)
class Priced:
    """What one price of a plan costs in one currency; `amount` in the smallest unit, `main` for the price's own one."""

    plan: str
    price_id: str
    amount: int
    currency: str
    interval: str
    interval_count: int
    main: bool = True


@dataclass(frozen=True, slots=True)
class Offer:
    """A plan of the catalogue with what it costs now, in the catalogue's order; without prices it cannot be bought."""

    plan: catalogue.Plan
    prices: tuple[models.PlanPrice, ...] = ()

    @property
    def price(self) -> models.PlanPrice | None:
        """The first price in its own currency: the one that is named where there is room for one."""
        return self.prices[0] if self.prices else None

    @property
    def currencies(self) -> tuple[str, ...]:
        """Every currency in which it can be paid, that of the first price first."""
        return tuple(dict.fromkeys(price.currency for price in self.prices))

    def priced_in(self, currency: str) -> tuple[models.PlanPrice, ...]:
        """The prices in this currency, in the catalogue's order."""
        return tuple(price for price in self.prices if price.currency == currency)

    def priced(self, price_id: str, currency: str) -> models.PlanPrice | None:
        """The price of this id in this currency (empty: its own), if the plan can be bought so."""
        fits = (one for one in self.prices if one.price_id == price_id)
        return next((one for one in fits if one.currency == currency.upper() or (not currency and one.main)), None)


async def offers(session: AsyncSession, book: catalogue.Catalogue) -> Sequence[Offer]:
    """Every plan in the order of the catalogue; a price that the catalogue does not name any more is left out."""
    rows = await session.scalars(select(models.PlanPrice).order_by(models.PlanPrice.position))
    prices = rows.all()
    return [Offer(plan, _current(plan, prices)) for plan in book.plans]


async def offer(session: AsyncSession, book: catalogue.Catalogue, plan_key: str) -> Offer | None:
    """One plan with its prices, or None when the catalogue does not know the plan."""
    plan = book.by_key.get(plan_key)
    if plan is None:
        return None
    mine = select(models.PlanPrice).where(models.PlanPrice.plan == plan_key)
    return Offer(plan, _current(plan, (await session.scalars(mine.order_by(models.PlanPrice.position))).all()))


def _current(plan: catalogue.Plan, prices: Iterable[models.PlanPrice]) -> tuple[models.PlanPrice, ...]:
    # Each provider counts its positions from zero, so the catalogue has the say.
    place = {price_id: place for place, price_id in enumerate(plan.price_ids)}
    mine = (price for price in prices if price.plan == plan.key and price.price_id in place)
    return tuple(sorted(mine, key=lambda price: place[price.price_id]))


async def keep(session: AsyncSession, provider: str, prices: Sequence[Priced], *, now: datetime) -> None:
    """These, in this order, are all the prices that can be paid at the provider."""
    await db.execute(session, delete(models.PlanPrice).where(models.PlanPrice.provider == provider))
    session.add_all(
        models.PlanPrice(
            **{**asdict(price), "currency": price.currency.upper()},
            provider=provider,
            position=position,
            updated_at=now,
        )
        for position, price in enumerate(prices)
    )
    await session.flush()


def amount(price: models.PlanPrice) -> str:
    """The amount in the currency's main unit: "29.00 USD", "3,000 JPY"."""
    return written(price.amount, price.currency)


def written(smallest_units: int, currency: str) -> str:
    """So many of the currency's smallest units in its main unit, with its name."""
    digits = _DIGITS.get(currency.upper(), 2)
    return f"{Decimal(smallest_units).scaleb(-digits):,.{digits}f} {currency_name(currency)}"


def smallest(amount: Decimal, currency: str) -> int | None:
    """The amount in the currency's smallest unit; None when the currency has none so small."""
    units = amount.scaleb(_DIGITS.get(currency.upper(), 2))
    return int(units) if units == units.to_integral_value() else None


def currency_name(currency: str) -> str:
    """The currency as people read it: "USD", "Stars"."""
    return _NAMES.get(currency.upper(), currency.upper())


def period(price: models.PlanPrice) -> str:
    """How long one payment lasts: "month", "3 months"."""
    return price.interval if price.interval_count == 1 else f"{price.interval_count} {price.interval}s"


def words(price: models.PlanPrice) -> str:
    """The price as people say it: "29.00 USD / month"."""
    return f"{amount(price)} / {period(price)}"


def every(amount: int | None, currency: str, interval: str, count: int) -> str:
    """What a subscription costs each period: "29.00 USD / month"; empty while its provider does not say it."""
    if amount is None:
        return ""
    return f"{written(amount, currency)} / {interval if count == 1 else f'{count} {interval}s'}"


def summary(offer: Offer) -> str:
    """Every way to pay, shortly: "29.00 USD / month or 290.00 USD / year per seat; also EUR"; empty without prices."""
    first, *others = offer.currencies or ("",)
    ways = " or ".join(words(price) for price in offer.priced_in(first))
    seat = " per seat" if offer.plan.seats and ways else ""
    also = f"; also {', '.join(map(currency_name, others))}" if others else ""
    return ways + seat + also


def others(offer: Offer) -> str:
    """Every way to pay but the first: "or 290.00 USD every year; also in EUR"; empty when there is no other."""
    first, *currencies = offer.currencies or ("",)
    ways = " ".join(f"or {amount(price)} every {period(price)}" for price in offer.priced_in(first)[1:])
    also = f"also in {', '.join(map(currency_name, currencies))}" if currencies else ""
    return "; ".join(part for part in (ways, also) if part)


def months(price: models.PlanPrice) -> int:
    """How many months one payment lasts; 0 for days and weeks, which are no part of a month."""
    return price.interval_count * _MONTHS.get(price.interval, 0)


@dataclass(frozen=True, slots=True)
class Saving:
    """What a longer period costs less than `times` payments of the shortest one, in the same currency."""

    amount: int
    percent: int
    times: int
    base: models.PlanPrice


def saving(offer: Offer, price: models.PlanPrice) -> Saving | None:
    """What is saved with this price; None when nothing is. The percentage is cut, never rounded up."""
    there = [one for one in offer.priced_in(price.currency) if months(one) and one.provider == price.provider]
    base = min(there, key=months, default=price)
    times, rest = divmod(months(price), months(base) or 1)
    full = base.amount * times
    if times < 2 or rest or price.amount >= full:
        return None
    return Saving(full - price.amount, (full - price.amount) * 100 // full, times, base)
