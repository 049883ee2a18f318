"""Ninety days as bars: which part of the service was well on which day, and which days nobody can vouch for."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from core import uptime
from core.models import Uptime
from webhooks import words

_GOOD, _FAIR = 0.999, 0.97
_DAY = 86_400
GROUPS: tuple[tuple[str, str | tuple[str, ...]], ...] = (
    ("Market watch", "scheduler."),
    ("Telegram", "telegram."),
    ("Discord", "discord."),
    ("Web pages", "webhooks.site"),
    ("Members' tools", ("webhooks.hooks", "webhooks.stream")),
    ("Payments", "webhooks."),
)
"""The parts of the service as members see them, by how the names of the product's own parts begin."""


class Bar(NamedTuple):
    """One day: good, wait or bad, or empty where nobody looked; for how many tenths of it somebody did."""

    tone: str
    tenths: int
    says: str


class _Known(NamedTuple):
    well: int
    seen: int


@dataclass(frozen=True, slots=True)
class History:
    """The last days of one part of the service, the oldest first, and the same in words."""

    bars: Sequence[Bar]
    share: str
    says: str


def group(part: str) -> str:
    """What this part of the product belongs to."""
    return next((name for name, begins in GROUPS if part.startswith(begins)), "Other parts")


def histories(days: Iterable[Uptime], names: Iterable[str], *, now: datetime) -> Mapping[str, History]:
    """The history of each of these parts of the service."""
    known: dict[str, dict[str, _Known]] = {name: {} for name in names}
    for row in days:
        if (at := known.get(group(row.part))) is not None:
            at[row.day] = _together(at.get(row.day), _Known(row.well, row.seen))
    return {name: _history(at, now) for name, at in known.items()}


def _together(one: _Known | None, other: _Known) -> _Known:
    """A part of the service is as well as the worst of what it consists of."""
    if one is None or not one.seen:
        return other
    if not other.seen:
        return one
    seen = max(one.seen, other.seen)
    return _Known(math.floor(seen * min(one.well / one.seen, other.well / other.seen)), seen)


def _history(known: Mapping[str, _Known], now: datetime) -> History:
    dates = [(now - timedelta(days=ago)).date() for ago in range(uptime.DAYS - 1, -1, -1)]
    today = max(1, now.hour * 3600 + now.minute * 60 + now.second)
    bars = [
        _bar(known.get(str(date), _Known(0, 0)), words.day(date), today if date == dates[-1] else _DAY)
        for date in dates
    ]
    well, seen = sum(day.well for day in known.values()), sum(day.seen for day in known.values())
    good = sum(bar.tone == "good" for bar in bars)
    trouble = sum(bar.tone in ("wait", "bad") for bar in bars)
    unknown = uptime.DAYS - good - trouble
    says = f"Last {uptime.DAYS} days: {good} good, {trouble} with trouble, {unknown} of which nothing is known."
    return History(bars, _share(well, seen), says)


def _bar(known: _Known, date: str, possible: int) -> Bar:
    if not known.seen:
        return Bar("", 0, "")
    share, tenths = known.well / known.seen, min(10, max(1, math.ceil(10 * known.seen / possible)))
    if share >= _GOOD:
        return Bar("good", tenths, "")
    return Bar("wait" if share >= _FAIR else "bad", tenths, f"{date}: {words.span(known.seen - known.well)} down")


def _share(well: int, seen: int) -> str:
    """Rounded down: what was not whole is not called whole."""
    if not seen:
        return "not watched yet"
    return f"{math.floor(10_000 * well / seen) / 100:.2f} % of {words.span(seen)}"
