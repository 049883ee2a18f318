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
_WRITE = {
    "symbol": "name a watched market, such as BTC/USDT",
    "direction": "write long or short",
    "targets": "give one to nine prices",
    "share": "write a part of 1 with at most four decimals, such as 0.5",
    "stop": "write entry, previous or a price",
    "expires_after": "write a number of candles from 1 to 10000",
    "reason": "write at most 400 characters",
    "ref": "write at most 80 characters",
}


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
        raise errors.RefusedError(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # What pydantic names after its own functions and choices is no word for people.
    named = [str(part + 1) if isinstance(part, int) else part for part in fault["loc"]]
    named = [part for part in named if part.isidentifier() or part.isdecimal()]
    last = next((part for part in reversed(named) if part in _WRITE), "")
    if fault["type"] == "value_error":
        what = str(fault["msg"]).removeprefix("Value error, ").rstrip(".")
    else:
        what = _PLAIN.get(fault["type"], "") or _WRITE.get(last, "that is not what belongs here")
    where = " ".join(named)[:40]
    return f"{where}: {what}." if where else f"{what[:1].upper()}{what[1:]}."
