"""The forms of what goes out, shared by endpoints: decimals in strings, moments as RFC 3339 writes them in UTC."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from core import clock, models
from core.market import timeframes
from core.models import SignalStatus
from core.signals import entries, results

Price = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", examples=["27412.10"])]
"""A decimal in plain digits, because JSON's own numbers are floats."""
Seal = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$", description="The hash of its line in the record.")]
Status = Literal["open", "target", "stopped", "expired", "closed", "delisted"]
Symbol = Annotated[str, Field(pattern=r"^([A-Za-z0-9]{1,20}/[A-Za-z0-9]{1,20}(:[A-Za-z0-9]{1,20})?)?$", max_length=62)]


class Form(pydantic.BaseModel):
    """Something that goes out."""

    model_config = pydantic.ConfigDict(frozen=True)


class Target(Form):
    """A target of a signal: `share` of the whole leaves at `price`; from then on the stop stands at `stop`."""

    price: Price
    share: Price = Field(description="Of the whole, which is 1.", examples=["0.5"])
    stop: Price | None = Field(description="Null where the stop stays.")


class Result(Form):
    """What a closed signal brought, after the fee and slippage that were assumed when it was published."""

    filled: Price = Field(description="The open of the candle after the deciding one, which the result counts from.")
    exit: Price = Field(description="The average price of all exits.")
    percent: Price = Field(examples=["1.42"])
    r: Price = Field(description="In multiples of what was at risk between entry and stop.", examples=["0.87"])


class Signal(Form):
    """A signal as it stands; what is open is shown only to those whose plans have its market."""

    id: int = Field(examples=[12])
    symbol: str = Field(examples=["BTC/USDT"])
    exchange: str = Field(examples=["binance"])
    timeframe: str = Field(examples=["1h"])
    strategy: str = Field(examples=["mean_reversion"])
    direction: Literal["long", "short"]
    status: Status
    entry: Price
    stop: Price = Field(description="Where the stop stood when it was published.")
    stop_now: Price = Field(description="Where it stands after the targets that were reached.")
    targets: list[Target]
    reached: int = Field(description="How many targets were reached.")
    left: Price = Field(description="The share that is still open.", examples=["1"])
    reason: str
    late: bool = Field(description="It came too late to be sent as fresh.")
    published_at: datetime
    decided_at: datetime = Field(description="The close of the candle that decided it, by the exchange's clock.")
    expires_at: datetime
    closed_at: datetime | None
    result: Result | None = Field(description="Null while it is open.")
    seal: Seal


class Step(Form):
    """Something that happened to a signal: `share` left at `price`, and from then on the stop stood at `stop`."""

    event: str = Field(description="opened, target1 and so on, or the status it ended with.", examples=["opened"])
    at: datetime
    price: Price
    share: Price = Field(examples=["0"])
    stop: Price | None
    seal: Seal


class Story(Signal):
    """A signal with everything that happened to it, oldest first."""

    events: list[Step]


def signal(row: models.Signal) -> Signal:
    """The signal for a reader who may have it; of an open one only what the record has committed to."""
    return Signal(**_facts(row))


def story(row: models.Signal, events: list[models.SignalEvent]) -> Story:
    """The same with its events."""
    return Story(**_facts(row), events=[_step(one) for one in events])


def _facts(row: models.Signal) -> dict[str, object]:
    over = row.status != SignalStatus.OPEN
    return {
        "id": row.id,
        "symbol": row.symbol,
        "exchange": row.exchange,
        "timeframe": row.timeframe,
        "strategy": row.strategy,
        "direction": row.direction,
        "status": str(row.status),
        "entry": plain(row.entry),
        "stop": plain(row.stop),
        "stop_now": plain(row.stop if row.stop_now is None else row.stop_now),
        "targets": [Target(price=plain(t.price), share=plain(t.share), stop=perhaps(t.stop)) for t in row.levels],
        "reached": row.reached,
        "left": plain(row.left) if not over else "0",
        "reason": row.reason,
        "late": row.late,
        "published_at": row.created_at,
        "decided_at": clock.from_ms(row.candle + timeframes.ms(row.timeframe)),
        "expires_at": clock.from_ms(row.expires),
        "closed_at": row.closed_at,
        "result": _result(row) if over and row.close_price is not None else None,
        "seal": row.seal,
    }


def _result(row: models.Signal) -> Result:
    made = results.trade(row)
    return Result(filled=plain(made.filled), exit=plain(made.exit), percent=plain(made.percent), r=plain(made.r))


def _step(row: models.SignalEvent) -> Step:
    return Step(
        event=row.event,
        at=row.at,
        price=plain(row.price),
        share=plain(row.share),
        stop=perhaps(row.stop),
        seal=row.seal,
    )


def plain(value: Decimal) -> str:
    """The decimal in plain digits."""
    return entries.plain(value)


def perhaps(value: Decimal | None) -> str | None:
    """The same where there is one."""
    return None if value is None else plain(value)
