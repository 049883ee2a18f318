"""One picture of one signal: candles, entry, target and stop, readable on a phone in a light and in a dark chat."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

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
    stop: Decimal
    opened_at: datetime
    """Open time of the deciding candle, UTC."""
    exit_price: Decimal | None = None
    exit_at: datetime | None = None
    outcome: str | None = None
    """"target hit", "stopped" or "expired"."""
    note: str = ""
    """A warning for the foot of the picture, such as "simulated market"."""

    @property
    def is_long(self) -> bool:
        return self.direction == "long"

    def gain(self, price: Decimal) -> str:
        """What leaving at `price` would bring, in percent of the entry."""
        change = (price / self.entry - 1) * (100 if self.is_long else -100)
        return f"{round(change, 2) + 0:+.2f}%"  # adding nothing turns -0.00 into 0.00


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
    _draw_grid(picture, view, chart, [place for _, place, _, _ in tags])
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
    return [chart.entry, chart.target, chart.stop, *ended]


def _draw_zones(picture: Image.Image, view: axes.View, chart: Chart) -> None:
    pen = ImageDraw.Draw(picture)
    start, end = view.zone
    entry = view.y(float(chart.entry))
    for price, colour in ((chart.target, ink.UP_ZONE), (chart.stop, ink.DOWN_ZONE)):
        top, bottom = sorted((entry, view.y(float(price))))
        pen.rectangle((start, top, end, bottom), colour)


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
    """The three lines of the signal, their names, the deciding candle and the exit."""
    pen = ImageDraw.Draw(picture)
    start, end = view.zone
    entry = view.y(float(chart.entry))
    pen.rectangle((start, entry - 1, view.right, entry), ink.BRIGHT)
    words = view.x(len(view.series)) + 10
    for name, price, colour, above in (
        ("Target", chart.target, ink.UP, chart.is_long),
        ("Stop", chart.stop, ink.DOWN, not chart.is_long),
    ):
        y = view.y(float(price))
        ink.dashes(picture, start, view.right, y, colour)
        text = f"{name} {chart.gain(price)}"
        size = ink.fitting(text, ink.LABEL, view.right - words)
        ink.write(picture, (words, y - 8 if above else y + 8), text, size, colour, anchor="lb" if above else "lt")
    if 0 <= view.opened < len(view.series):
        _draw_marker(picture, view, chart)
    if view.exited is not None and chart.exit_price is not None:
        x, y = end, view.y(float(chart.exit_price))
        ink.pill(picture, (x - 11, y - 12, x + 12, y + 11), ink.GROUND, 11)
        ink.pill(picture, (x - 8, y - 9, x + 9, y + 8), ink.EXIT, 8)


def _draw_marker(picture: Image.Image, view: axes.View, chart: Chart) -> None:
    x, series, i = view.x(view.opened), view.series, view.opened
    if chart.is_long:
        ink.arrow(picture, (x, view.y(float(series.low[i])) + 20), 24, ink.BRIGHT, up=True)
    else:
        ink.arrow(picture, (x, view.y(float(series.high[i])) - 20), 24, ink.BRIGHT, up=False)


def _tags(chart: Chart, view: axes.View) -> list[tuple[int, int, str, ink.Colour]]:
    """For each price tag on the right: the height of its price, its own height, its text and its colour."""
    wanted = [(chart.target, ink.UP), (chart.stop, ink.DOWN), (chart.entry, ink.BRIGHT)]
    if chart.exit_price is not None and chart.exit_price not in (chart.target, chart.stop, chart.entry):
        wanted.append((chart.exit_price, ink.EXIT))
    wanted.sort(key=lambda tag: -tag[0])
    heights = [view.y(float(price)) for price, _ in wanted]
    placed = axes.apart(heights, _TAG_HEIGHT + 4, axes.TOP + _TAG_HEIGHT // 2, axes.BOTTOM - _TAG_HEIGHT // 2)
    return [
        (height, place, axes.price_text(price), colour)
        for height, place, (price, colour) in zip(heights, placed, wanted, strict=True)
    ]


def _draw_tags(picture: Image.Image, view: axes.View, tags: list[tuple[int, int, str, ink.Colour]]) -> None:
    pen = ImageDraw.Draw(picture)
    left, half = view.right + 12, _TAG_HEIGHT // 2
    for height, place, text, colour in tags:
        pen.line((view.right, height, left, place), colour, 2)
        ink.pill(picture, (left, place - half, ink.SIZE[0] - 8, place + half), colour, 8)
        size = ink.fitting(text, ink.LABEL, ink.SIZE[0] - 17 - left)
        ink.write(picture, (left + 9, place), text, size, ink.DARK, anchor="lm")


def _draw_header(picture: Image.Image, chart: Chart) -> None:
    """Direction and, when it has ended, outcome on the right; the pair and timeframe in the room that is left."""
    colour = ink.UP if chart.is_long else ink.DOWN
    left = _badge(picture, ink.SIZE[0] - 20, chart.direction.upper(), colour, arrow=chart.is_long)
    if chart.outcome:
        won = chart.exit_price is not None and chart.gain(chart.exit_price).startswith("+")
        gain = "" if chart.exit_price is None else f" {chart.gain(chart.exit_price)}"
        left = _badge(
            picture, left - 12, f"{chart.outcome.capitalize()}{gain}", ink.UP if won else ink.DOWN, arrow=None
        )
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
