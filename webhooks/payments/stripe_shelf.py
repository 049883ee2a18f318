"""Products and prices in the operator's account: what the catalogue sells, found again or still to be made."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from core import catalogue, errors, sold
from core.billing import plans
from webhooks.payments import stripe_objects, stripe_wire

Obj = Mapping[str, Any]


class Step(NamedTuple):
    """Something that stands in the account already, or that `do` makes; `do` says what it made."""

    said: str
    do: Callable[[], Awaitable[str]] | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """What plans without a price shall cost; `amount` in the smallest unit of the currency."""

    amount: int
    currency: str
    interval: str = "month"
    interval_count: int = 1
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The price as people say it: "29.00 USD / month (also 26.00 EUR)"."""
        every = self.interval if self.interval_count == 1 else f"{self.interval_count} {self.interval}s"
        also = ", ".join(plans.written(amount, currency) for currency, amount in self.others.items())
        return f"{plans.written(self.amount, self.currency)} / {every}{f' (also {also})' if also else ''}"


@dataclass
class Shelf:
    """What is sold and where it stands: product ids by plan, and price ids by what is to be written into the file."""

    v1: Any
    rate: Rate | None
    products: dict[str, str] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    async def steps(self, plan: catalogue.Plan) -> Sequence[Step]:
        """What there is of this plan, and what is missing; raises RefusedError for what nobody can make."""
        known = [await self._known(plan, price_id) for price_id in plan.named_ids]
        wanted = [(price, _rate(plan, price)) for price in plan.prices if not price.id]
        if plan.stars is not None and not known and not wanted and self.rate is None:
            return [Step(f"Plan {plan.key}: it is sold for Stars alone.")]
        if not wanted and not known:
            return await self._by_rate(plan)
        steps = await self._product(plan) if wanted else []
        return [*known, *steps, *[await self._price(plan, rate, _label(plan, price)) for price, rate in wanted]]

    async def _known(self, plan: catalogue.Plan, price_id: str) -> Step:
        if await stripe_wire.answered(self.v1.prices.retrieve_async(price_id)) is None:
            raise errors.RefusedError(f"The plan {plan.key} names the price {price_id}, which Stripe does not know.")
        self.made.setdefault(plan.key, price_id)
        return Step(f"Plan {plan.key}: its price {price_id} is there.")

    async def _by_rate(self, plan: catalogue.Plan) -> Sequence[Step]:
        """The plan's only price, which the catalogue does not say anything about."""
        steps = await self._product(plan)
        if self.rate is not None:
            return [*steps, await self._price(plan, self.rate, f"price_id of the plan {plan.key}")]
        async for price in every(self.v1.prices, await self._of_product(plan)):
            self._keep(plan, f"price_id of the plan {plan.key}", str(price["id"]))
            return [Step(f"Plan {plan.key}: the price {price['id']} is there.")]
        raise errors.RefusedError(
            f"The plan {plan.key} has no price yet: give it `prices` in signalstack.toml, or say what it costs "
            "(--amount, --currency)."
        )

    async def _of_product(self, plan: catalogue.Plan) -> dict[str, Any]:
        product = self.products.get(plan.key)
        return {"product": product or "none", "active": True, "expand": ["data.currency_options"]}

    async def _product(self, plan: catalogue.Plan) -> Sequence[Step]:
        async for product in every(self.v1.products, {"active": True}):
            if (product.get("metadata") or {}).get(stripe_objects.PLAN) == plan.key:
                self.products[plan.key] = str(product["id"])
                return []
        making: Any = {"name": plan.name, "metadata": {stripe_objects.PLAN: plan.key}}
        if plan.description:
            making["description"] = plan.description

        async def make() -> str:
            row = stripe_wire.plain(await stripe_wire.answered(self.v1.products.create_async(making), making=True))
            self.products[plan.key] = str(row["id"])
            return f"Plan {plan.key}: made the product {row['id']}."

        return [Step(f"Plan {plan.key}: make its product.", make)]

    async def _price(self, plan: catalogue.Plan, rate: Rate, label: str) -> Step:
        """The price in all its currencies: found by what it costs, or to be made."""
        if plan.key in self.products:
            async for price in every(self.v1.prices, await self._of_product(plan)):
                if _is(price, rate):
                    self._keep(plan, label, str(price["id"]))
                    return self._options(plan, price, rate)

        async def make() -> str:
            wanted = _wanted(self.products[plan.key], plan, rate)
            row = stripe_wire.plain(await stripe_wire.answered(self.v1.prices.create_async(wanted), making=True))
            self._keep(plan, label, str(row["id"]))
            return f"Plan {plan.key}: made the price {row['id']}, {rate.words}."

        return Step(f"Plan {plan.key}: make the price {rate.words}.", make)

    def _options(self, plan: catalogue.Plan, price: Obj, rate: Rate) -> Step:
        told = price.get("currency_options") or {}
        there = {name.upper(): option.get("unit_amount") for name, option in told.items()}
        lacking = {name: amount for name, amount in rate.others.items() if there.get(name) != amount}
        if not lacking:
            return Step(f"Plan {plan.key}: the price {price['id']}, {rate.words}, is there.")
        wanted: Any = {"currency_options": _options(lacking)}

        async def change() -> str:
            await stripe_wire.answered(self.v1.prices.update_async(price["id"], wanted), making=True)
            return f"Plan {plan.key}: the price {price['id']} can be paid in {', '.join(sorted(lacking))} too."

        return Step(
            f"Plan {plan.key}: let the price {price['id']} be paid in {', '.join(sorted(lacking))} too.", change
        )

    def _keep(self, plan: catalogue.Plan, label: str, price_id: str) -> None:
        self.made.setdefault(plan.key, price_id)
        self.made[label] = price_id
        self.notes.append(f'{label}: "{price_id}"')


def _rate(plan: catalogue.Plan, price: sold.Price) -> Rate:
    """What Stripe is to be told of a price of the catalogue; raises RefusedError for an amount that no coin can pay."""
    assert price.amount is not None  # noqa: S101 - the catalogue wants an id or an amount
    amounts = {price.currency: price.amount, **price.currencies}
    units = {currency: plans.smallest(amount, currency) for currency, amount in amounts.items()}
    for currency, amount in units.items():
        if amount is None:
            raise errors.RefusedError(f"The plan {plan.key}: {amounts[currency]} {currency} has too many digits.")
    whole = {currency: amount for currency, amount in units.items() if amount is not None}
    main = whole.pop(price.currency)
    return Rate(main, price.currency, *sold.CYCLES[price.period], whole)


def _label(plan: catalogue.Plan, price: sold.Price) -> str:
    return f"id of the {price.period}ly price in {price.currency} of the plan {plan.key}"


def _is(price: Obj, rate: Rate) -> bool:
    cycle = price.get("recurring") or {}
    told = (price.get("unit_amount"), price.get("currency"), cycle.get("interval"), cycle.get("interval_count"))
    return told == (rate.amount, rate.currency.lower(), rate.interval, rate.interval_count)


def _wanted(product: str, plan: catalogue.Plan, rate: Rate) -> Any:
    wanted: dict[str, Any] = {
        "product": product,
        "unit_amount": rate.amount,
        "currency": rate.currency.lower(),
        "recurring": {"interval": rate.interval, "interval_count": rate.interval_count},
        "metadata": {stripe_objects.PLAN: plan.key},
        "nickname": f"{plan.name}, {rate.words}"[:200],
    }
    return wanted | ({"currency_options": _options(rate.others)} if rate.others else {})


def _options(amounts: Mapping[str, int]) -> dict[str, Any]:
    return {name.lower(): {"unit_amount": amount} for name, amount in amounts.items()}


async def every(room: Any, wanted: Mapping[str, Any]) -> AsyncIterator[Obj]:
    """Every object of a list, page after page."""
    after: dict[str, str] = {}
    while True:
        page = stripe_wire.plain(await stripe_wire.answered(room.list_async({**wanted, "limit": 100, **after})))
        for row in page.get("data", []):
            yield row
        if not page.get("has_more"):
            return
        after = {"starting_after": page["data"][-1]["id"]}
