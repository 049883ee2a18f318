"""How an operator's pages look: colours in which text can be read, and a logo that can be shown.

Contrast is that of WCAG 2.2, https://www.w3.org/TR/WCAG22/#contrast-minimum.
"""

import re
from pathlib import Path

from core import errors

READABLE = 4.5
"""The contrast that text needs at least (level AA)."""
LIGHT = ("#faf9f6", "#ffffff", "#eef4f1")
DARK = ("#111417", "#191d21", "#1b2724")
"""What text stands on in the pages, by scheme; the same as in site.css."""
LOGO_BYTES = 20 * 1024
_INKS = ("#ffffff", "#000000")


def contrast(one: str, other: str) -> float:
    """The contrast between two colours written as #rrggbb, from 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def ink(ground: str) -> str:
    """White or black, whichever is read better on this ground."""
    return max(_INKS, key=lambda ink: contrast(ink, ground))


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def light(colour: str) -> str:
    """The colour, in which links on light pages can be read; raises ValueError with what to do otherwise."""
    return _checked(colour, LIGHT, "darker")


def dark(colour: str) -> str:
    """The colour, in which links on dark pages can be read; raises ValueError with what to do otherwise."""
    return _checked(colour, DARK, "lighter")


def _checked(colour: str, grounds: tuple[str, ...], way: str) -> str:
    if not re.fullmatch("#[0-9A-Fa-f]{6}", colour):
        raise ValueError("write the colour as #rrggbb, such as #0b6b5b")
    if (least := min(contrast(colour, ground) for ground in grounds)) < READABLE:
        raise ValueError(
            f"{colour} cannot be read on our pages (its contrast is {least:.1f}, at least {READABLE} is needed); "
            f"choose a {way} colour"
        )
    return colour.lower()


def logo(path: Path) -> tuple[str, bytes]:
    """The media type and the bytes of this logo; raises ConfigError with what to do when it cannot be shown."""
    try:
        with path.open("rb") as file:
            data = file.read(LOGO_BYTES + 1)
    except OSError as error:
        raise errors.ConfigError(f"service.logo: the file {path} cannot be read: {error.strerror}.") from error
    if len(data) > LOGO_BYTES:
        raise errors.ConfigError(f"service.logo: {path} is too large; at most {LOGO_BYTES // 1024} kB are allowed.")
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png", data
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp", data
    raise errors.ConfigError(f"service.logo: {path} is neither a PNG nor a WebP picture; save it as one of these.")
