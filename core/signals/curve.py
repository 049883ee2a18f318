"""One picture of many results: what they add up to in R over time, and how far that fell back on the way."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from core.signals import axes, ink

_LEFT, _RIGHT, _TOP, _BOTTOM = axes.LEFT, 862, 124, 512
# Room between the frame and the first and last result, so that their dots are whole.
_INSET = 10
_THICK = 3

_Floats = NDArray[np.float64]
_T = TypeVar("_T", float, _Floats)


@dataclass(frozen=True, slots=True)
class _Plot:
    """Results where they lie on the picture: `x` from left to right, `y` downwards, `zero` the height of nought."""

    times: tuple[int, int]
    low: float
    high: float
    x: _Floats
    y: _Floats

    @property
    def zero(self) -> float:
        return _height(0.0, self.low, self.high)

    @property
    def moments(self) -> list[tuple[int, str]]:
        """Places of round times with their names; only the middle where all results are of one moment."""
        first, last = self.times
        if first == last:
            return [((_LEFT + _RIGHT) // 2, axes.day_text(first))]
        return [(round(_across(at, first, last)), text) for at, text in axes.round_moments(first, last)]


def draw(
    points: Sequence[tuple[int, float]], *, title: str, subtitle: str = "", note: str = "", fall: float | None = None
) -> bytes:
    """A PNG of 1000 by 600 pixels: results added up in R, as (epoch milliseconds, R so far) in the order of time.

    Any number of points can be drawn; the sum begins at nought. `fall` is the maximum drawdown (nought or less) where
    the points are too few to show it. Pure: the same arguments give the same bytes.
    """
    picture = Image.new("RGB", ink.SIZE, ink.GROUND)
    total = np.array([value for _, value in points], dtype=np.float64)
    if points:
        shown = _plot(np.array([at for at, _ in points], dtype=np.float64), total)
        x, y = thinned(np.r_[shown.x[0], shown.x], np.r_[shown.zero, shown.y])
        _shade_falls(picture, x, y)
        _draw_grid(picture, shown)
        _draw_steps(picture, x, y)
        _draw_drawdown(picture, shown, total, fall)
    else:
        middle = (_TOP + _BOTTOM) // 2
        ImageDraw.Draw(picture).rectangle((_LEFT, middle, ink.SIZE[0] - 20, middle + 1), ink.GRID)
        ink.write(picture, (ink.SIZE[0] // 2, middle - 24), "No closed signal yet", 34, ink.QUIET, anchor="ms")
    _draw_header(picture, title, subtitle, float(total[-1]) if points else None)
    warning = ink.written(note)
    ink.write(picture, (ink.SIZE[0] - 20, 578), warning, ink.fitting(warning, ink.SMALL, 460), ink.WARNING, anchor="rm")
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=6)
    return file.getvalue()


def drawdown(total: _Floats) -> tuple[float, int]:
    """How far the sum fell from its highest point so far, at most (nought or less), and at which index."""
    fallen = total - np.maximum.accumulate(np.maximum(total, 0.0))
    lowest = int(fallen.argmin())
    return float(fallen[lowest]), lowest


def thinned(x: _Floats, y: _Floats) -> tuple[_Floats, _Floats]:
    """Of the points in each whole `x` the first, the lowest, the highest and the last, in their order."""
    column = np.floor(x)
    starts = np.flatnonzero(np.r_[True, column[1:] != column[:-1]])
    if len(x) <= 4 * len(starts):
        return x, y
    ends = np.r_[starts[1:], len(x)] - 1
    order = np.lexsort((y, np.repeat(np.arange(len(starts)), ends - starts + 1)))
    kept = np.unique(np.concatenate([starts, order[starts], order[ends], ends]))
    return x[kept], y[kept]


def in_r(value: float) -> str:
    """The value in R with its sign, as the picture says it; what rounds to nothing has no sign."""
    text = f"{value:+,.2f}".replace(",", " ")
    return f"{text if text.strip('+-0.') else text[1:]} R"


def _plot(at: _Floats, total: _Floats) -> _Plot:
    low, high = min(0.0, float(total.min())), max(0.0, float(total.max()))
    room = (high - low) * 0.06 or 1.0
    low, high = low - room, high + room
    first, last = int(at[0]), int(at[-1])
    x = _across(at, first, last) if last > first else np.full(len(at), (_LEFT + _RIGHT) / 2)
    return _Plot((first, last), low, high, x, _height(total, low, high))


def _across(at: _T, first: int, last: int) -> _T:
    return _LEFT + _INSET + (at - first) * ((_RIGHT - _LEFT - 2 * _INSET) / (last - first))


def _height(total: _T, low: float, high: float) -> _T:
    return _BOTTOM - (total - low) * ((_BOTTOM - _TOP) / (high - low))


def _draw_grid(picture: Image.Image, shown: _Plot) -> None:
    """Level lines with their R, the one of nought brighter, and upright ones with dates."""
    pen = ImageDraw.Draw(picture)
    free = _LEFT
    for x, text in shown.moments:
        wide = ink.width(text, ink.SMALL)
        begin = max(x - wide // 2, _LEFT)
        pen.line((x, _TOP, x, _BOTTOM), ink.GRID)
        if begin >= free and begin + wide < ink.SIZE[0] - 20:
            ink.write(picture, (begin, _BOTTOM + 12), text, ink.SMALL, ink.QUIET, anchor="lt")
            free = begin + wide + 16
    for value, text in axes.round_prices(shown.low, shown.high, 0):
        y = round(_height(value, shown.low, shown.high))
        pen.rectangle((_LEFT, y, _RIGHT, y + (value == 0)), ink.QUIET if value == 0 else ink.GRID)
        label = f"{text} R"
        size = ink.fitting(label, ink.SMALL, ink.SIZE[0] - _RIGHT - 22)
        ink.write(picture, (_RIGHT + 12, y), label, size, ink.QUIET, anchor="lm")


def _shade_falls(picture: Image.Image, x: _Floats, y: _Floats) -> None:
    """What the sum lies below its peak is shaded."""
    pen = ImageDraw.Draw(picture)
    peak = np.minimum.accumulate(y)  # upwards is less
    ends = [*x[1:].tolist(), float(x[-1])]
    for left, right, top, bottom in zip(x.tolist(), ends, peak.tolist(), y.tolist(), strict=True):
        if bottom > top and round(right) > round(left):
            pen.rectangle((round(left), round(top), round(right), round(bottom)), ink.DOWN_ZONE)


def _draw_steps(picture: Image.Image, x: _Floats, y: _Floats) -> None:
    """The sum as steps, since between two results it stays the same; its last value has a dot."""
    corners = [(round(x[0]), round(y[0]))]
    for across, height in zip(x[1:].tolist(), y[1:].tolist(), strict=True):
        corners += [(round(across), corners[-1][1]), (round(across), round(height))]
    ImageDraw.Draw(picture).line(corners, ink.EXIT, _THICK)
    _draw_dot(picture, corners[-1], ink.EXIT)


def _draw_drawdown(picture: Image.Image, shown: _Plot, total: _Floats, known: float | None) -> None:
    """The greatest fall from a peak is named at the foot and has its dot."""
    fall, lowest = drawdown(total)
    fall = fall if known is None else known
    text = f"Max. drawdown {in_r(fall)}" if fall < 0 else "No drawdown"
    ink.write(picture, (_LEFT, 578), text, ink.SMALL, ink.DOWN if fall < 0 else ink.QUIET, anchor="lm")
    if fall < 0:
        _draw_dot(picture, (round(shown.x[lowest]), round(shown.y[lowest])), ink.DOWN)


def _draw_dot(picture: Image.Image, at: tuple[int, int], colour: ink.Colour) -> None:
    ink.dot(picture, at, 11, ink.GROUND)
    ink.dot(picture, at, 8, colour)


def _draw_header(picture: Image.Image, title: str, subtitle: str, last: float | None) -> None:
    """The title with the sum of all results beside it, and the subtitle below."""
    right = ink.SIZE[0] - 20
    if last is not None:
        colour = ink.UP if last > 0 else ink.DOWN if last < 0 else ink.QUIET
        text = in_r(last)
        size = ink.fitting(text, 46, 380)
        ink.write(picture, (right, 62), text, size, colour, anchor="rs")
        right -= ink.width(text, size) + 24
    _write(picture, title, 62, 42, ink.BRIGHT, right)
    _write(picture, subtitle, 100, ink.SMALL, ink.QUIET, ink.SIZE[0] - 20)


def _write(picture: Image.Image, text: str, bottom: int, size: int, colour: ink.Colour, right: int) -> None:
    text = ink.written(text)
    ink.write(picture, (_LEFT, bottom), text, ink.fitting(text, size, right - _LEFT), colour, anchor="ls")
