"""Where candles, prices and times lie on a chart, and which round ones are named at its edges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from core.market.series import Series
from core.signals import ink

LEFT, TOP, BOTTOM = 20, 92, 524

# Room above and below all prices: the words "Target" and "Stop" stand there, outside of their zones.
_HEADROOM = 40
# Room on the right, in candles, for what may come.
_ROOM_SLOTS, _SLOT_LEAST, _SLOT_MOST = 25, 7, 20
_WIDEST = 280

_TIME_STEPS = [timedelta(minutes=m) for m in (1, 5, 15, 30, 60, 120, 240, 360, 720)] + [
    timedelta(days=d) for d in (1, 2, 4, 7, 14, 28, 91, 182, 364)
]
_MS = timedelta(milliseconds=1)
# The epoch began on a Thursday; weeks of candles begin on Mondays.
_MONDAY = timedelta(days=4)


@dataclass(frozen=True, slots=True)
class View:
    """Where candles and prices lie on the picture."""

    series: Series
    slot: int
    right: int
    low: float
    high: float
    opened: int
    """Index of the deciding candle in the view; negative where it lies before."""
    exited: int | None
    """Index of the candle of the exit."""

    def x(self, i: int) -> int:
        """The middle of candle `i`."""
        return LEFT + i * self.slot + self.slot // 2

    def y(self, price: float) -> int:
        share = (price - self.low) / (self.high - self.low)
        return round(BOTTOM - _HEADROOM - share * (BOTTOM - TOP - 2 * _HEADROOM))

    def place(self, at: datetime) -> int:
        """The middle of the candle in which `at` lies, or the left edge where it lies before all of them."""
        i = int(np.searchsorted(self.series.open_time, round(at.timestamp() * 1000), side="right")) - 1
        return self.x(i) if i >= 0 else LEFT

    @property
    def zone(self) -> tuple[int, int]:
        """Where the zones begin and end."""
        start = max(LEFT, self.x(self.opened))
        return start, self.right if self.exited is None else max(start + self.slot, self.x(self.exited))


def view(series: Series, prices: list[Decimal], opened_at: datetime, exit_at: datetime | None) -> View:
    """The newest candles that fit, at a scale that also shows all `prices`; `series` has at least one candle."""
    widest = max(ink.width(price_text(price), ink.LABEL) for price in prices)
    right = ink.SIZE[0] - min(widest, _WIDEST) - 38
    room = right - LEFT
    slot = max(_SLOT_LEAST, min(_SLOT_MOST, room // (len(series) + _ROOM_SLOTS)))
    shown = series.tail(room // slot - _ROOM_SLOTS)
    hidden = len(series) - len(shown)
    low = min(float(shown.low.min()), *map(float, prices))
    high = max(float(shown.high.max()), *map(float, prices))
    # A market that stands still gets an axis as well.
    pad = 0.0 if high > low else abs(high) * 0.01 or 1.0
    return View(
        series=shown,
        slot=slot,
        right=right,
        low=low - pad,
        high=high + pad,
        opened=_index(series, opened_at) - hidden,
        exited=None if exit_at is None else _index(series, exit_at) - hidden,
    )


def price_text(price: Decimal) -> str:
    """The price with all decimals of its tick, thousands apart by a space."""
    return f"{price:,f}".replace(",", " ")


def apart(heights: list[int], gap: int, top: int, bottom: int) -> list[int]:
    """The rising heights, moved as little as it takes to be `gap` apart and between top and bottom."""
    groups: list[tuple[float, int]] = []  # the middle of neighbours that touch, and how many they are
    for height in heights:
        middle, size = min(max(float(height), top), bottom), 1
        while groups and middle - groups[-1][0] < gap * (size + groups[-1][1]) / 2:
            other, count = groups.pop()
            middle, size = (middle * size + other * count) / (size + count), size + count
            reach = gap * (size - 1) / 2
            middle = min(max(middle, top + reach), bottom - reach)
        groups.append((middle, size))
    return [round(middle + gap * (i - (size - 1) / 2)) for middle, size in groups for i in range(size)]


def round_prices(low: float, high: float, decimals: int) -> list[tuple[float, str]]:
    """About five round prices between low and high, with at least `decimals` decimals."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    factor = next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough or factor == 10)
    step = factor * power
    # The logarithm of 0.1 may come out a hair below -1.
    decimals = max(decimals, -math.floor(math.log10(step) + 1e-9) + (factor == 2.5))
    first, last = math.ceil(low / step), math.floor(high / step)
    return [(i * step, f"{i * step:,.{decimals}f}".replace(",", " ")) for i in range(first, last + 1)]


def round_times(shown: View) -> list[tuple[int, str]]:
    """Four or five candles that open at round times, with a time or a date."""
    open_time = shown.series.open_time
    span = (int(open_time[-1]) - int(open_time[0])) / 5
    step = next((step for step in _TIME_STEPS if step / _MS >= span), _TIME_STEPS[-1])
    monday = _MONDAY if step >= timedelta(days=7) else timedelta(0)
    past = (open_time - monday // _MS) % (step // _MS)
    places = np.flatnonzero(past == 0)
    if not len(places):  # candles of three days or of a month follow no round time
        places = np.arange(len(open_time) // 8, len(open_time), len(open_time) // 4 + 1)
    return [(int(i), _time_text(int(open_time[i]), step)) for i in places]


def round_moments(first: int, last: int) -> list[tuple[int, str]]:
    """About five round moments from `first` to `last`, epoch milliseconds, with a time, a date or a month."""
    span = (last - first) / 5
    step = next((step for step in _TIME_STEPS[:-3] if step / _MS >= span), None)
    if step is None:
        return [(at, f"{datetime.fromtimestamp(at / 1000, UTC):%b %Y}") for at in _months(first, last)]
    monday = _MONDAY if step >= timedelta(days=7) else timedelta(0)
    length, begin = step // _MS, monday // _MS
    start = first + (begin - first) % length
    return [(at, _time_text(at, step)) for at in range(start, last + 1, length)]


def _months(first: int, last: int) -> list[int]:
    """Firsts of months, so many months apart that about five lie from `first` to `last`, which is at least 100 days."""
    begin, end = (datetime.fromtimestamp(at / 1000, UTC) for at in (first, last))
    months = range(begin.year * 12 + begin.month, end.year * 12 + end.month)  # counted from January of the year 0
    step = next((step for step in (1, 2, 3, 6, 12, 24, 60) if step * 6 > len(months)), 120)
    return [
        round(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000)
        for month in months
        if month % step == 0
    ]


def day_text(milliseconds: int) -> str:
    """The day in UTC, such as 05 Jun 2023."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%d %b %Y}"


def _time_text(milliseconds: int, step: timedelta) -> str:
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    if step >= timedelta(days=91):
        return f"{at:%b %Y}"
    return f"{at:%d %b}" if step >= timedelta(days=1) or (at.hour, at.minute) == (0, 0) else f"{at:%H:%M}"


def _index(series: Series, at: datetime) -> int:
    """The candle in which `at` lies, the first or last where it lies outside."""
    milliseconds = round(at.timestamp() * 1000)
    return max(0, int(np.searchsorted(series.open_time, milliseconds, side="right")) - 1)
