"""Plans: what can be subscribed to, and what each plan costs as the payment provider last said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, db, models

# Digits after the point of a currency's main unit where they are not two, by ISO 4217 and as Stripe counts them.
_DIGITS = {
    **dict.fromkeys(
        ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"], 0
    ),
    **dict.fromkeys(["BHD", "JOD", "KWD", "OMR", "TND"], 3),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """A plan of the catalogue with its price; without a price it cannot be bought now."""

    plan: catalogue.Plan
    price: models.PlanPrice | None


async def offers(session: AsyncSession, book: catalogue.Catalogue) -> Sequence[Offer]:
    """Every plan in the order of the catalogue; a price that belongs to another price id than now is left out."""
    prices = {price.plan: price for price in await session.scalars(select(models.PlanPrice))}
    return [Offer(plan, _current(plan, prices)) for plan in book.plans]


async def offer(session: AsyncSession, book: catalogue.Catalogue, plan_key: str) -> Offer | None:
    """One plan with its price, or None when the catalogue does not know the plan."""
    plan = book.by_key.get(plan_key)
    if plan is None:
        return None
    price = await session.get(models.PlanPrice, plan_key)
    return Offer(plan, _current(plan, {plan_key: price} if price else {}))


def _current(plan: catalogue.Plan, prices: Mapping[str, models.PlanPrice]) -> models.PlanPrice | None:
    price = prices.get(plan.key)
    return price if price is not None and plan.price_id and price.price_id == plan.price_id else None


async def keep(
    session: AsyncSession,
    plan_key: str,
    *,
    price_id: str,
    amount: int,
    currency: str,
    interval: str,
    interval_count: int,
    now: datetime,
) -> None:
    """This is what the plan costs; `amount` in the smallest unit of the currency."""
    values = {
        "price_id": price_id,
        "amount": amount,
        "currency": currency.upper(),
        "interval": interval,
        "interval_count": interval_count,
        "updated_at": now,
    }
    row = db.insert(session, models.PlanPrice).values(plan=plan_key, **values)
    await session.execute(row.on_conflict_do_update(index_elements=["plan"], set_=values))


async def forget(session: AsyncSession, plan_key: str) -> None:
    """The plan has no price and cannot be bought until it is kept again."""
    await db.execute(session, delete(models.PlanPrice).where(models.PlanPrice.plan == plan_key))


def amount(price: models.PlanPrice) -> str:
    """The amount in the currency's main unit: "29.00 USD", "3,000 JPY"."""
    return written(price.amount, price.currency)


def written(smallest_units: int, currency: str) -> str:
    """So many of the currency's smallest units in its main unit, with its name."""
    digits = _DIGITS.get(currency.upper(), 2)
    return f"{Decimal(smallest_units).scaleb(-digits):,.{digits}f} {currency.upper()}"


def period(price: models.PlanPrice) -> str:
    """How long one payment lasts: "month", "3 months"."""
    return price.interval if price.interval_count == 1 else f"{price.interval_count} {price.interval}s"


def words(price: models.PlanPrice) -> str:
    """The price as people say it: "29.00 USD / month"."""
    return f"{amount(price)} / {period(price)}"
