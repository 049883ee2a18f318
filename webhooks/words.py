"""Moments, ages and figures as people read them; English, UTC."""

from datetime import date, datetime
from decimal import Decimal


def ago(seconds: float) -> str:
    """An age in its largest fitting unit: "just now", "12 s ago", "3 min ago"."""
    return "just now" if seconds < 2 else f"{span(seconds)} ago"


def span(seconds: float) -> str:
    """A length of time in its largest fitting unit: "12 s", "3 min", "5 h", "2 days"."""
    for size, unit in ((172_800, "days"), (5400, "h"), (100, "min")):
        if seconds >= size:
            return f"{round(seconds / {'days': 86_400, 'h': 3600, 'min': 60}[unit])} {unit}"
    return f"{round(seconds)} s"


def day(moment: date) -> str:
    """15 Jan 2026."""
    return f"{moment.day} {moment:%b %Y}"


def moment(at: datetime) -> str:
    """15 Jan 2026, 12:00 UTC."""
    return f"{day(at)}, {at:%H:%M} UTC"


def signed(value: Decimal) -> str:
    """+1.20 or −0.40, with a true minus sign."""
    return f"+{value}" if value > 0 else f"−{abs(value)}" if value < 0 else f"{abs(value)}"


def plain(value: Decimal) -> str:
    """The figure in plain digits, without an exponent: 10, 0.05."""
    return format(value, "f")
