"""What is sold: plans, what each costs, and the operator's choices about paying."""

from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,20}/[A-Z0-9]{1,20}(:[A-Z0-9]{1,20})?$")]
Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,23}$")]
Currency = Annotated[str, Field(pattern=r"^[A-Za-z]{3}$"), AfterValidator(str.upper)]
Amount = Annotated[Decimal, Field(gt=0, max_digits=12, decimal_places=3)]
Period = Literal["month", "quarter", "year"]

CYCLES: dict[str, tuple[str, int]] = {"month": ("month", 1), "quarter": ("month", 3), "year": ("year", 1)}
"""A period as payment providers say it: a unit, and how many of it."""


class Section(BaseModel):
    """A part of the catalogue: read only, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(Section):
    """One way to pay for a plan: every `period`, `amount` in the main unit of `currency`, or of one of `currencies`.

    `id` is the price's id at the payment provider; `signalstack stripe setup` makes it from the rest.
    """

    id: str = Field(default="", max_length=100)
    period: Period = "month"
    amount: Amount | None = None
    currency: Currency = "USD"
    currencies: dict[Currency, Amount] = Field(default_factory=dict, max_length=20)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.id and self.amount is None:
            raise ValueError("a price needs an `id`, or an `amount` from which `signalstack stripe setup` makes it")
        if self.currency in self.currencies:
            raise ValueError(f"`currencies` names {self.currency}, which is the price's own currency")
        return self


class Seats(Section):
    """A plan for teams: so many seats are sold at once, and the one who pays gives them away."""

    least: int = Field(default=2, ge=1, le=1000)
    most: int = Field(default=50, ge=1, le=1000)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least > self.most:
            raise ValueError("`least` is more than `most`")
        return self


class Plan(Section):
    """Something a member can subscribe to; `symbols` empty means every watched market.

    `places` empty means every place that carries nothing but the plan's own markets. `price_id` is a plan's only price,
    or its first one. `stars` is its price for 30 days in Telegram Stars; 0 when it is sold for them no longer, and
    those who pay so go on. `trial_days` are free, once for each person. `gift`: one period can be bought for another.
    """

    key: Key
    name: str = Field(min_length=1, max_length=60)
    description: str = Field(default="", max_length=300)
    price_id: str = Field(default="", max_length=100)
    prices: tuple[Price, ...] = Field(default=(), max_length=20)
    stars: int | None = Field(default=None, ge=0, le=10_000)
    symbols: frozenset[Symbol] = frozenset()
    places: frozenset[Key] = frozenset()
    trial_days: int = Field(default=0, ge=0, le=90)
    seats: Seats | None = None
    gift: bool = False

    @model_validator(mode="after")
    def _given_by_one(self) -> Self:
        if self.gift and self.seats:
            raise ValueError("a plan with seats cannot be a gift")
        if self.stars is not None and self.seats:
            raise ValueError("a plan with seats cannot be paid in Stars, whose subscriptions are for one")
        return self

    @property
    def stars_id(self) -> str:
        """The id of its price in Stars; empty when it has none."""
        return f"stars:{self.key}:{self.stars}" if self.stars else ""

    @property
    def named_ids(self) -> tuple[str, ...]:
        """The ids of the prices that a payment provider has under these names, in their order."""
        return tuple(dict.fromkeys(one for one in (self.price_id, *(price.id for price in self.prices)) if one))

    @property
    def price_ids(self) -> tuple[str, ...]:
        """The ids of every price that pays for this plan, in their order."""
        return (*self.named_ids, self.stars_id) if self.stars_id else self.named_ids

    def covers(self, symbols: Collection[str]) -> bool:
        """Whether the plan opens every one of these markets; none named means every market there is."""
        return not self.symbols or (bool(symbols) and self.symbols.issuperset(symbols))

    def opens_place(self, key: str, symbols: Collection[str]) -> bool:
        """Whether members of this plan may enter the place `key`, in which these markets are posted."""
        return self.covers(symbols) and (not self.places or key in self.places)


class Policy(Section):
    """The operator's choices where payment providers leave one open.

    `second_subscription`: what becomes of a second running subscription to the same plan: "refund" cancels the newer
    one and gives its payment back, "tell" leaves both and tells the member and the operator. `renewal_notice_days`:
    how long before a yearly charge the member is told. `silent_hours`: after so many hours without any event of a
    provider, though subscriptions run, an alarm stands (0: never). `tax`: Stripe Tax works out taxes.
    """

    paused_collection_keeps_access: bool = False
    second_subscription: Literal["refund", "tell"] = "refund"
    renewal_notice_days: int = Field(default=7, ge=1, le=60)
    silent_hours: int = Field(default=72, ge=0, le=24 * 60)
    tax: bool = False

    @property
    def silence(self) -> timedelta | None:
        """After how long without an event somebody should look; None for never."""
        return timedelta(hours=self.silent_hours) if self.silent_hours else None


def by_price(plans: Collection[Plan], sells: Callable[[str], bool] = bool) -> Iterator[tuple[str, Plan]]:
    """Every price id with the plan it pays for; with `sells`, those that it says yes to."""
    for plan in plans:
        for price_id in filter(sells, plan.price_ids):
            yield price_id, plan
