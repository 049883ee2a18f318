"""What somebody outside of the strategies orders: the words of an order, within limits, and nothing else."""

from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from core import errors
from core.market import ticks
from core.signals import lifecycle

_FINEST_SHARE = Decimal("0.0001")
_SIDES = {"buy": "long", "sell": "short"}
_PLAIN = {"missing": "it is missing", "extra_forbidden": "that is not known here"}


def _price(value: object) -> Decimal:
    said = "" if value is None else str(value).strip()
    if not said:
        raise ValueError("it is missing")
    try:
        price = ticks.exact(said) if len(said) <= 50 and not isinstance(value, bool) else Decimal(0)
    except ArithmeticError:
        raise ValueError("it is no price") from None
    if price <= 0:
        raise ValueError("it is no price above nought")
    return price


def _words(value: object) -> object:
    """On one line, without what cannot be shown or stored."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return value
    return "".join(sign for sign in " ".join(value.split()) if sign.isprintable())


Price = Annotated[Decimal, BeforeValidator(_price)]
Words = Annotated[str, BeforeValidator(_words)]
Side = Annotated[
    Literal["long", "short"],
    BeforeValidator(lambda said: _SIDES.get(said.lower(), said.lower()) if isinstance(said, str) else said),
]


class Aim(BaseModel):
    """A target: its price, the share of the whole that leaves there, and where the stop stands afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    price: Price
    share: Decimal | None = Field(default=None, gt=0, le=1, max_digits=6, decimal_places=4)
    stop: Literal["entry", "previous"] | Price | None = None


class Order(BaseModel):
    """What somebody wants to be published; without `entry` it is the last known close, without shares equal ones.

    `symbol` is said as in BTC/USDT, BTCUSDT, BINANCE:BTCUSDT or BTC; `ref` is the sender's own name for the order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: Words = Field(min_length=1, max_length=60)
    direction: Side
    entry: Price | None = None
    stop: Price
    targets: tuple[Aim, ...] = Field(min_length=1, max_length=9)
    expires_after: int | None = Field(default=None, ge=1, le=10_000)
    reason: Words = Field(default="", max_length=400)
    ref: Words = Field(default="", max_length=80)

    @model_validator(mode="after")
    def _leaves_wholly(self) -> Self:
        given = [aim.share for aim in self.targets if aim.share is not None]
        if given and (len(given) < len(self.targets) or sum(given) != 1):
            raise ValueError("give every target a share so that they add up to 1, or none of them")
        return self

    @property
    def shares(self) -> list[Decimal]:
        """What leaves at each target; the last one takes the rest of equal parts."""
        count = len(self.targets)
        equal = (lifecycle.WHOLE / count).quantize(_FINEST_SHARE, ROUND_DOWN)
        given = [aim.share or equal for aim in self.targets[:-1]]
        return [*given, lifecycle.WHOLE - sum(given, Decimal(0))]


def read(said: Mapping[str, Any]) -> Order:
    """The order in these words; raises RefusedError with one sentence about the first thing that is wrong."""
    try:
        return Order.model_validate(said)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        where = " ".join(str(part + 1) if isinstance(part, int) else part for part in fault["loc"] if part != "Price")
        what = str(fault["msg"]).removeprefix("Value error, ").rstrip(".")
        what = _PLAIN.get(fault["type"], what[:1].lower() + what[1:])
        raise errors.RefusedError(f"{where[:40]}: {what}." if where else f"{what}.") from None
