"""Text and smooth shapes on a picture: Pillow's own font and masks, made once and kept."""

from __future__ import annotations

import functools

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

SIZE = (1000, 600)

# The card brings its own dark ground, so light and dark chats frame it alike.
GROUND, GRID, QUIET, BRIGHT = (16, 22, 34), (31, 40, 57), (139, 151, 173), (236, 240, 247)
UP, DOWN = (38, 194, 139), (246, 84, 96)
UP_ZONE, DOWN_ZONE = (19, 55, 54), (58, 33, 46)
UP_VOLUME, DOWN_VOLUME = (24, 52, 58), (49, 36, 49)
EXIT, WARNING, DARK = (120, 170, 255), (255, 190, 92), (10, 15, 24)

# Telephones show the picture at about 390 pixels: letters of 26 become letters of 10.
LABEL, SMALL = 26, 24

# What the font has beside ASCII, as far as we write it.
_ALSO = "·…’“”"

# Pillow draws shapes with hard edges; they are drawn this much larger and then made small.
_FINER = 4


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes inside Pillow (Aileron, Latin letters only), so that no system font is needed."""
    found = ImageFont.load_default(size)
    if not isinstance(found, ImageFont.FreeTypeFont):
        raise TypeError("this build of Pillow has no FreeType")
    return found


def written(text: str) -> str:
    """The text without letters that the font lacks: each becomes a question mark instead of an empty box."""
    return "".join(letter if letter.isascii() or letter in _ALSO else "?" for letter in text)


def width(text: str, size: int) -> int:
    """How many pixels wide the text is."""
    return round(font(size).getlength(text))


def fitting(text: str, size: int, room: int) -> int:
    """The greatest font size up to `size` at which the text is at most `room` pixels wide."""
    return size if width(text, size) <= room else max(12, int(size * room / width(text, size)))


def write(picture: Image.Image, at: tuple[float, float], text: str, size: int, colour: Colour, *, anchor: str) -> None:
    """The text stands at `at`, an anchor in Pillow's two letters (such as "lm": left, middle)."""
    if anchor[1] == "m":
        # Pillow centres between ascender and descender; digits and capitals, which have none, would hang low.
        at = (at[0], at[1] - size * 0.06)
    ImageDraw.Draw(picture).text(at, text, colour, font(size), anchor)


def pill(picture: Image.Image, box: tuple[int, int, int, int], colour: Colour, radius: int) -> None:
    """A filled box with smooth round corners; `box` is left, top, right, bottom."""
    left, top, right, bottom = box
    picture.paste(colour, (left, top), _pill(right - left, bottom - top, radius))


def dot(picture: Image.Image, centre: tuple[int, int], radius: int, colour: Colour) -> None:
    """A filled circle around `centre`."""
    x, y = centre
    pill(picture, (x - radius, y - radius, x + radius + 1, y + radius + 1), colour, radius)


def arrow(picture: Image.Image, centre: tuple[int, int], size: int, colour: Colour, *, up: bool) -> None:
    """A filled triangle of `size` pixels around `centre`."""
    picture.paste(colour, (centre[0] - size // 2, centre[1] - size // 2), _arrow(size, up))


def dashes(picture: Image.Image, start: int, end: int, y: int, colour: Colour) -> None:
    """A dashed level line, two pixels thick."""
    pen = ImageDraw.Draw(picture)
    for x in range(start, end, 12):
        pen.rectangle((x, y - 1, min(x + 6, end), y), colour)


@functools.lru_cache(64)
def _pill(across: int, down: int, radius: int) -> Image.Image:
    mask = Image.new("L", (across * _FINER, down * _FINER))
    shape = (0, 0, across * _FINER - 1, down * _FINER - 1)
    ImageDraw.Draw(mask).rounded_rectangle(shape, radius * _FINER, 255)
    return mask.reduce(_FINER)


@functools.lru_cache(16)
def _arrow(size: int, up: bool) -> Image.Image:
    far = size * _FINER
    mask = Image.new("L", (far, far))
    base, tip = (far * 7 // 8, far // 8) if up else (far // 8, far * 7 // 8)
    ImageDraw.Draw(mask).polygon([(0, base), (far, base), (far // 2, tip)], 255)
    return mask.reduce(_FINER)
