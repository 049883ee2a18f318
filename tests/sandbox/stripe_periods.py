"""Billing periods: how a subscription's months, years, weeks and days are counted from its anchor."""

import calendar
from datetime import UTC, datetime, timedelta

from tests.sandbox.stripe_wire import Obj


def later(anchor: int, interval: str, count: int) -> int:
    """The epoch second `count` intervals after the anchor; months keep the anchor's day, or take the last one."""
    start = datetime.fromtimestamp(anchor, UTC)
    if interval in {"day", "week"}:
        return int((start + timedelta(days=count * (7 if interval == "week" else 1))).timestamp())
    months = start.month - 1 + count * (12 if interval == "year" else 1)
    year, month = start.year + months // 12, months % 12 + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return int(start.replace(year=year, month=month, day=day).timestamp())


def next_end(anchor: int, recurring: Obj, start: int) -> int:
    """The first period boundary after `start` on the grid that the anchor lays."""
    count, step = int(recurring["interval_count"]), 1
    while (end := later(anchor, recurring["interval"], count * step)) <= start:
        step += 1
    return end
