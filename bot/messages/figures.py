"""Figures as a reader likes them: prices by their tick, percentages, R, moments and ages."""

from datetime import UTC, datetime
from decimal import Decimal

THIN = "\u202f"  # narrow, and no line breaks there
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def price(value: Decimal, tick: Decimal) -> str:
    """The price with the digits of its tick and thin groups: 27 412.10."""
    exponent = tick.normalize().as_tuple().exponent
    digits = max(0, -exponent) if isinstance(exponent, int) else 0
    return f"{value:,.{digits}f}".replace(",", THIN)


def signed(value: Decimal, digits: int = 2) -> str:
    """The figure with its sign (a true minus), and no sign for what rounds to nothing."""
    text = f"{abs(value):.{digits}f}"
    if not text.strip("0."):
        return text
    return ("+" if value > 0 else "−") + text


def percent(value: Decimal) -> str:
    """A percentage with its sign: +1.78 %."""
    return f"{signed(value)}{THIN}%"


def share(value: Decimal) -> str:
    """A share of the whole as a percentage: 50 %, 33.33 %."""
    return f"{(value * 100).normalize():f}{THIN}%"


def r(value: Decimal) -> str:
    """A result in multiples of what was at risk: +1.60 R."""
    return f"{signed(value)}{THIN}R"


def moment(at: datetime) -> str:
    """A moment in UTC, to the minute: 14 Mar 2023, 18:00 UTC."""
    return f"{day(at)}, {at.astimezone(UTC):%H:%M} UTC"


def day(at: datetime) -> str:
    """A day in UTC: 14 Mar 2023."""
    at = at.astimezone(UTC)
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"


def moment_of(iso: str | None) -> str:
    """The moment written in ISO 8601, or words for its absence."""
    return moment(datetime.fromisoformat(iso)) if iso else "further notice"


def age(seconds: float) -> str:
    """A time span in its largest unit: 40 s, 5 min, 3 h, 2 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def counted(number: int, thing: str) -> str:
    """The number with its noun: 1 candle, 7 candles."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
