"""One picture of one signal: candles, entry, target and stop, readable on a phone in a light and in a dark chat."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from PIL import Image, ImageDraw

from core.market.series import Series
from core.signals import axes, ink

_VOLUME_HEIGHT, _TAG_HEIGHT = 56, 38


@dataclass(frozen=True, slots=True)
class Chart:
    """What the picture says; with an exit also how the signal ended."""

    symbol: str
    timeframe: str
    direction: str
    """"long" or "short"."""
    entry: Decimal
    target: Decimal
    """The last of its targets."""
    stop: Decimal
    """Where the stop stood first."""
    opened_at: datetime
    """Open time of the deciding candle, UTC."""
    exit_price: Decimal | None = None
    exit_at: datetime | None = None
    outcome: str | None = None
    """"target hit", "stopped" or "expired"."""
    note: str = ""
    """A warning for the foot of the picture, such as "simulated market"."""
    targets: tuple[tuple[Decimal, Decimal], ...] = ()
    """Price and share of each target, where there are several."""
    parts: tuple[tuple[datetime, Decimal], ...] = ()
    """The parts that left before the last: open time of the candle, price."""
    stops: tuple[tuple[datetime, Decimal], ...] = ()
    """Where the stop moved to, each with the open time of the candle that moved it."""
    result: str = ""
    """What the signal brought, such as "+1.52%"; without it, what leaving at the exit price brings before costs."""

    @property
    def is_long(self) -> bool:
        return self.direction == "long"

    @property
    def stop_now(self) -> Decimal:
        """Where the stop stands at the end."""
        return self.stops[-1][1] if self.stops else self.stop

    def gain(self, price: Decimal) -> str:
        """What leaving at `price` would bring, in percent of the entry."""
        change = (price / self.entry - 1) * (100 if self.is_long else -100)
        return f"{round(change, 2) + 0:+.2f}%"  # adding nothing turns -0.00 into 0.00


class _Tag(NamedTuple):
    """A price on the right: the height of the price, the tag's own middle and how tall it is, its text and colour."""

    height: int
    place: int
    tall: int
    text: str
    colour: ink.Colour


def draw(series: Series, chart: Chart) -> bytes:
    """A PNG of 1000 by 600 pixels that shows the last candles of the series and the signal.

    Raises ValueError when the series is empty. Pure: the same arguments give the same bytes.
    """
    if not len(series):
        raise ValueError("a chart needs at least one candle")
    picture = Image.new("RGB", ink.SIZE, ink.GROUND)
    view = axes.view(series, _levels(chart), chart.opened_at, chart.exit_at)
    _draw_zones(picture, view, chart)
    tags = _tags(chart, view)
    _draw_grid(picture, view, chart, [tag.place for tag in tags])
    _draw_candles(picture, view)
    _draw_levels(picture, view, chart)
    _draw_tags(picture, view, tags)
    _draw_header(picture, chart)
    _draw_footer(picture, chart)
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=6)
    return file.getvalue()


def _levels(chart: Chart) -> list[Decimal]:
    ended = [] if chart.exit_price is None else [chart.exit_price]
    several = [price for price, _ in chart.targets]
    moved = [price for _, price in chart.stops]
    return [chart.entry, chart.target, chart.stop, *several, *moved, *ended]


def _stops(chart: Chart, view: axes.View) -> list[tuple[int, int, Decimal]]:
    """From where to where the stop stood at which price, on the picture."""
    start, end = view.zone
    begins = [start, *(max(start, view.place(at)) for at, _ in chart.stops)]
    prices = [chart.stop, *(price for _, price in chart.stops)]
    return list(zip(begins, [*begins[1:], end], prices, strict=True))


def _draw_zones(picture: Image.Image, view: axes.View, chart: Chart) -> None:
    """What may be won is shaded, and what may be lost where the stop stands."""
    pen = ImageDraw.Draw(picture)
    start, end = view.zone
    entry = view.y(float(chart.entry))
    zones = [(start, end, chart.target, ink.UP_ZONE)]
    zones += [
        (left, right, price, ink.DOWN_ZONE)
        for left, right, price in _stops(chart, view)
        if (price < chart.entry) == chart.is_long
    ]
    for left, right, price, colour in zones:
        top, bottom = sorted((entry, view.y(float(price))))
        pen.rectangle((left, top, right, bottom), colour)


def _draw_grid(picture: Image.Image, view: axes.View, chart: Chart, taken: list[int]) -> None:
    """Level lines with prices where no tag stands, upright ones with times."""
    pen = ImageDraw.Draw(picture)
    # Small prices are compared digit by digit, so all of them have the same number of decimals.
    decimals = 0 if chart.entry >= 1 else len(axes.price_text(chart.entry)) - 2
    for price, text in axes.round_prices(view.low, view.high, decimals):
        y = view.y(price)
        pen.line((axes.LEFT, y, view.right, y), ink.GRID)
        if all(abs(y - other) > _TAG_HEIGHT - 4 for other in taken):
            ink.write(picture, (view.right + 21, y), text, ink.SMALL, ink.QUIET, anchor="lm")
    free = axes.LEFT
    for i, text in axes.round_times(view):
        x, wide = view.x(i), ink.width(text, ink.SMALL)
        begin = max(x - wide // 2, axes.LEFT)
        pen.line((x, axes.TOP, x, axes.BOTTOM), ink.GRID)
        if begin >= free:
            ink.write(picture, (begin, axes.BOTTOM + 8), text, ink.SMALL, ink.QUIET, anchor="lt")
            free = begin + wide + 16


def _draw_candles(picture: Image.Image, view: axes.View) -> None:
    pen = ImageDraw.Draw(picture)
    series, half = view.series, (view.slot - 3) // 2
    loudest = float(series.volume.max()) or 1.0
    rows = zip(*(column.tolist() for column in (*series.prices, series.volume)), strict=True)
    for i, (opened, high, low, close, volume) in enumerate(rows):
        x, rose = view.x(i), close >= opened
        tall = round(volume / loudest * _VOLUME_HEIGHT)
        if tall:
            pen.rectangle(
                (x - half, axes.BOTTOM - tall, x + half, axes.BOTTOM), ink.UP_VOLUME if rose else ink.DOWN_VOLUME
            )
        colour = ink.UP if rose else ink.DOWN
        pen.line((x, view.y(high), x, view.y(low)), colour)
        pen.rectangle((x - half, view.y(max(opened, close)), x + half, view.y(min(opened, close))), colour)


def _draw_levels(picture: Image.Image, view: axes.View, chart: Chart) -> None:
    """The lines of the signal, their names, the deciding candle, and the dots where it was left."""
    pen = ImageDraw.Draw(picture)
    start, end = view.zone
    entry = view.y(float(chart.entry))
    pen.rectangle((start, entry - 1, view.right, entry), ink.BRIGHT)
    for price in [price for price, _ in chart.targets] or [chart.target]:
        ink.dashes(picture, start, view.right, view.y(float(price)), ink.UP)
    *before, (left, _, price) = _stops(chart, view)
    for begin, until, earlier in before:
        ink.dashes(picture, begin, until, view.y(float(earlier)), ink.DOWN)
    ink.dashes(picture, left, view.right, view.y(float(price)), ink.DOWN)
    (_name_ladder if chart.targets else _name_levels)(picture, view, chart)
    if 0 <= view.opened < len(view.series):
        _draw_marker(picture, view, chart)
    dots = [(view.place(at), view.y(float(price))) for at, price in chart.parts]
    if view.exited is not None and chart.exit_price is not None:
        dots.append((end, view.y(float(chart.exit_price))))
    for dot in dots:
        ink.dot(picture, dot, 11, ink.GROUND)
        ink.dot(picture, dot, 8, ink.EXIT)


def _name_levels(picture: Image.Image, view: axes.View, chart: Chart) -> None:
    """The only target and the stop are named beside the candles, outside of the zones."""
    words = view.x(len(view.series)) + 10
    for name, price, colour, above in (
        ("Target", chart.target, ink.UP, chart.is_long),
        ("Stop", chart.stop_now, ink.DOWN, not chart.is_long),
    ):
        y = view.y(float(price))
        text = f"{name} {chart.gain(price)}"
        size = ink.fitting(text, ink.LABEL, view.right - words)
        ink.write(picture, (words, y - 8 if above else y + 8), text, size, colour, anchor="lb" if above else "lt")


def _name_ladder(picture: Image.Image, view: axes.View, chart: Chart) -> None:
    """Each of several targets is named on its line, with the share that leaves there, and so is the stop."""
    named = [
        (price, f"{number}: {share:.0%} {chart.gain(price)}", ink.UP)
        for number, (price, share) in enumerate(chart.targets, 1)
    ]
    named.append((chart.stop_now, f"Stop {chart.gain(chart.stop_now)}", ink.DOWN))
    named.sort(key=lambda one: -one[0])
    gap = min(34, (axes.BOTTOM - axes.TOP) // len(named))
    heights = axes.apart(
        [view.y(float(price)) for price, _, _ in named], gap, axes.TOP + gap // 2, axes.BOTTOM - gap // 2
    )
    left = view.x(len(view.series)) + 4
    for (_, text, colour), y in zip(named, heights, strict=True):
        size = ink.fitting(text, gap - 8, view.right - left - 12)
        ink.pill(picture, (left, y - gap // 2 + 2, left + ink.width(text, size) + 12, y + gap // 2 - 1), ink.GROUND, 6)
        ink.write(picture, (left + 6, y), text, size, colour, anchor="lm")


def _draw_marker(picture: Image.Image, view: axes.View, chart: Chart) -> None:
    x, series, i = view.x(view.opened), view.series, view.opened
    if chart.is_long:
        ink.arrow(picture, (x, view.y(float(series.low[i])) + 20), 24, ink.BRIGHT, up=True)
    else:
        ink.arrow(picture, (x, view.y(float(series.high[i])) - 20), 24, ink.BRIGHT, up=False)


def _tags(chart: Chart, view: axes.View) -> list[_Tag]:
    wanted = [(chart.stop_now, ink.DOWN), (chart.entry, ink.BRIGHT)]
    wanted += [(price, ink.UP) for price in [price for price, _ in chart.targets] or [chart.target]]
    if chart.exit_price is not None:
        wanted.append((chart.exit_price, ink.EXIT))
    # Of two that stand at one price, the first is shown.
    shown = sorted(dict(reversed(wanted)).items(), key=lambda tag: -tag[0])
    heights = [view.y(float(price)) for price, _ in shown]
    tall = min(_TAG_HEIGHT, (axes.BOTTOM - axes.TOP) // len(shown) - 4)
    placed = axes.apart(heights, tall + 4, axes.TOP + tall // 2, axes.BOTTOM - tall // 2)
    return [
        _Tag(height, place, tall, axes.price_text(price), colour)
        for height, place, (price, colour) in zip(heights, placed, shown, strict=True)
    ]


def _draw_tags(picture: Image.Image, view: axes.View, tags: list[_Tag]) -> None:
    pen = ImageDraw.Draw(picture)
    left = view.right + 12
    for tag in tags:
        half = tag.tall // 2
        pen.line((view.right, tag.height, left, tag.place), tag.colour, 2)
        ink.pill(picture, (left, tag.place - half, ink.SIZE[0] - 8, tag.place + half), tag.colour, 8)
        size = ink.fitting(tag.text, min(ink.LABEL, tag.tall - 6), ink.SIZE[0] - 17 - left)
        ink.write(picture, (left + 9, tag.place), tag.text, size, ink.DARK, anchor="lm")


def _draw_header(picture: Image.Image, chart: Chart) -> None:
    """Direction and, when it has ended, outcome on the right; the pair and timeframe in the room that is left."""
    colour = ink.UP if chart.is_long else ink.DOWN
    left = _badge(picture, ink.SIZE[0] - 20, chart.direction.upper(), colour, arrow=chart.is_long)
    if chart.outcome:
        result = chart.result or ("" if chart.exit_price is None else chart.gain(chart.exit_price))
        won = ink.UP if result.startswith("+") else ink.DOWN
        left = _badge(picture, left - 12, f"{chart.outcome.capitalize()} {result}".strip(), won, arrow=None)
    timeframe = ink.written(chart.timeframe)
    room = left - axes.LEFT - 34 - ink.width(timeframe, 34)
    symbol = ink.written(chart.symbol)
    size = ink.fitting(symbol, 46, room)
    ink.write(picture, (axes.LEFT, 66), symbol, size, ink.BRIGHT, anchor="ls")
    ink.write(picture, (axes.LEFT + ink.width(symbol, size) + 16, 66), timeframe, 34, ink.QUIET, anchor="ls")


def _badge(picture: Image.Image, right: int, text: str, colour: ink.Colour, *, arrow: bool | None) -> int:
    """A badge that ends at `right`, filled when it carries an arrow; gives back where it begins."""
    text, lead = ink.written(text), 0 if arrow is None else 34
    left = right - ink.width(text, 32) - 36 - lead
    ink.pill(picture, (left, 24, right, 80), colour, 12)
    if arrow is None:
        ink.pill(picture, (left + 2, 26, right - 2, 78), ink.GROUND, 10)
    else:
        ink.arrow(picture, (left + 30, 52), 24, ink.DARK, up=arrow)
    ink.write(picture, (left + 18 + lead, 52), text, 32, colour if arrow is None else ink.DARK, anchor="lm")
    return left


def _draw_footer(picture: Image.Image, chart: Chart) -> None:
    ink.write(
        picture,
        (axes.LEFT, 578),
        f"Signal candle {chart.opened_at:%d %b %Y, %H:%M} UTC",
        ink.SMALL,
        ink.QUIET,
        anchor="lm",
    )
    note = ink.written(chart.note)
    size = ink.fitting(note, ink.SMALL, 400)
    ink.write(picture, (ink.SIZE[0] - 20, 578), note, size, ink.WARNING, anchor="rm")
