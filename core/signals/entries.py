"""The form of the record: what its lines look like, and the hashes that hold them together.

A line is an RFC 8785 object. Of an open signal it shows a commitment only, the SHA-256 of the details and a random
salt. The line that closes the signal reveals both, so that anybody can see that nothing was changed in between.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from core.models import SignalStatus

OPENED = "opened"
CLOSINGS = frozenset(str(status) for status in SignalStatus if status is not SignalStatus.OPEN)
"""The kinds of entries that close a signal."""
NOTHING = "0" * 64
"""What the first entry has in place of the hash of the one before."""
LONGEST = 64 * 1024
"""Bytes that a line may have."""

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=130)]
Number = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,40}(\.[0-9]{1,40})?$")]
"""A decimal in plain digits, because JSON's own numbers are floats."""
Moment = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z$")]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Target(_Form):
    """One target; `stop` is where the stop stands from then on, None where it stays."""

    price: Number
    share: Number
    stop: Number | None


class Details(_Form):
    """All of a signal that was decided when it was published; `candle` and `expires` in epoch milliseconds."""

    candle: Count
    direction: Literal["long", "short"]
    entry: Number
    exchange: Words
    expires: Count
    fee: Number
    late: bool
    slippage: Number
    stop: Number
    strategy: Words
    symbol: Words
    targets: Annotated[list[Target], Field(min_length=1, max_length=20)]
    tick: Number
    timeframe: Words


class Part(_Form):
    """What happened on the way: `share` left at `price`, from then on the stop stood at `stop`."""

    candle: Count
    price: Number
    share: Number
    stop: Number


class Exit(_Form):
    """A share of the whole, and the price at which it left."""

    price: Number
    share: Number


class Closing(_Form):
    """How a signal ended: all exits in order, the price it counts from, and the result after costs."""

    average_exit: Number
    candle: Count
    exits: Annotated[list[Exit], Field(min_length=1, max_length=40)]
    filled: Number
    percent: Number
    r: Number


class Reveal(_Form):
    """What the commitment of entry `n` was made of."""

    details: Details | Part
    n: Count
    salt: Hash


class Unsealed(_Form):
    """The details of a signal that was published, at `published`, before the record began."""

    details: Details
    published: Moment


class Entry(_Form):
    """A line of the record; with a commitment while its signal is open, with the rest when it closes."""

    at: Moment
    hash: Hash
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,9}$")]
    n: Annotated[int, Field(ge=1, le=2**53 - 1)]
    previous: Hash
    signal: Count
    commitment: Hash | None = None
    closing: Closing | None = None
    reveal: list[Reveal] | None = None
    unsealed: Unsealed | None = None

    @property
    def closes(self) -> bool:
        """Whether it closes its signal."""
        return self.kind in CLOSINGS


class Trailer(_Form):
    """The last line: how many entries there are, and the hash of the last of them."""

    entries: Count
    head: Hash


def canonical(value: Mapping[str, Any]) -> bytes:
    """The one way to write this object down, as RFC 8785 says."""
    return rfc8785.dumps(dict(value))


def digest(value: Mapping[str, Any]) -> str:
    """The SHA-256 of the object in its canonical form, in hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def sealed(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry with its hash, which covers everything else in it."""
    return {**entry, "hash": digest(entry)}


def opens(commitment: str, details: Mapping[str, Any], salt: str) -> bool:
    """Whether the commitment was made of these details and this salt."""
    return digest({"details": dict(details), "salt": salt}) == commitment


def plain(value: Decimal) -> str:
    """The decimal in plain digits."""
    return format(value, "f")


def moment(at: datetime) -> str:
    """The moment as RFC 3339 writes it, in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def trailer(count: int, head: str) -> bytes:
    """The last line of a record of so many entries."""
    return canonical({"entries": count, "head": head}) + b"\n"


def average(exits: Sequence[Exit]) -> Decimal:
    """The average price of these exits, each counted by its share."""
    return sum((Decimal(one.share) * Decimal(one.price) for one in exits), Decimal(0))
