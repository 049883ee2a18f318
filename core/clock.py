"""Time is UTC and aware; it is read here, at the edges, and passed inwards."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utcnow() -> datetime:
    """The wall clock of this machine, aware, in UTC."""
    return datetime.now(UTC)


def from_ms(milliseconds: int) -> datetime:
    """The aware UTC moment of an epoch in milliseconds, exact to the millisecond."""
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)


def to_ms(moment: datetime) -> int:
    """The epoch in milliseconds of an aware moment, rounded down."""
    return int(moment.timestamp() // 1) * 1000 + moment.microsecond // 1000
