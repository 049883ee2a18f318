"""Messages before any platform formats them: lines of spans, rows of buttons, and how to keep them within a limit.

Text is dead unless a span is `live`: what looks like a link, a mention or a command in it is broken by a word joiner,
so that nobody's name and no exchange's symbol can put a link into our mouth. Lengths are UTF-16 units of what is shown.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

_JOINER = "\u2060"
_LINKS = re.compile(r"@(?=\w)|(?<!\w)/(?=\w)|#(?=\w*[^\W\d])|\$(?=[A-Za-z])|:(?=//)|\.(?=[^\W\d_])|\.(?=\d+\.)")
# Control characters, lone surrogates, and the marks that turn the writing direction of everything after them.
_UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAKS = re.compile(r"[\t\n\u2028\u2029]+")


def clean(text: str) -> str:
    """The text on one line, without characters that cannot be shown, stored, or trusted."""
    return _BREAKS.sub(" ", _UNSHOWABLE.sub("", text))


def units(text: str) -> int:
    """The length in UTF-16 code units, as the chat platforms count."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line; style is "", "b", "i" or "code"; a `url` makes it a link."""

    text: str
    style: str = ""
    url: str = ""
    live: bool = False

    @property
    def shown(self) -> str:
        """The text as it appears in a chat, before the platform escapes it."""
        text = clean(self.text)
        return text if self.live or self.url or self.style == "code" else _LINKS.sub(rf"\g<0>{_JOINER}", text)


Line = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Button:
    """A button with one of: `data` (a command line), `url`, `start` (opens the private chat with this payload), or
    `place` (leads into this gated place, by a way that the platform finds for whoever gets the message).
    """

    text: str
    data: str = ""
    url: str = ""
    start: str = ""
    place: str = ""


Rows = tuple[tuple[Button, ...], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """What we say once; `picture`: one belongs to it, in an answer the one that `about` names: "signal:12"
    is its chart, "backtest:3" what its trades add up to.

    `paid`: it is for its reader alone, so that a platform which can forbid forwarding does.
    """

    lines: tuple[Line, ...]
    buttons: Rows = ()
    picture: bool = False
    paid: bool = False
    about: str = ""

    @property
    def plain(self) -> str:
        """The text without any formatting."""
        return "\n".join("".join(span.shown for span in line) for line in self.lines)

    def as_dict(self) -> dict[str, Any]:
        """The message as JSON values; `from_dict` reads them."""
        return {
            "lines": [[[span.text, span.style, span.url, span.live] for span in line] for line in self.lines],
            "buttons": [[[b.text, b.data, b.url, b.start, b.place] for b in row] for row in self.buttons],
            "picture": self.picture,
            "paid": self.paid,
            "about": self.about,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The message that `as_dict` wrote down."""
        lines = tuple(tuple(Span(*span) for span in line) for line in data["lines"])
        buttons = tuple(tuple(Button(*button) for button in row) for row in data["buttons"])
        return cls(lines, buttons, bool(data["picture"]), bool(data.get("paid")), data.get("about") or "")


def line(*pieces: str | Span) -> Line:
    """A line of these pieces; strings are plain text."""
    return tuple(Span(piece) if isinstance(piece, str) else piece for piece in pieces)


BLANK: Line = ()


def bold(text: str) -> Span:
    """Bold text."""
    return Span(text, "b")


def italic(text: str) -> Span:
    """Italic text."""
    return Span(text, "i")


def command(name: str) -> Span:
    """A command that can be tapped, such as /plans."""
    return Span(name, live=True)


def paragraphs(text: str) -> list[Line]:
    """The operator's own words, line by line, links and mentions included."""
    return [(Span(row, live=True),) if row.strip() else BLANK for row in text.strip().splitlines()]


def message(
    *lines: Line | str,
    buttons: Iterable[Sequence[Button]] = (),
    picture: bool = False,
    paid: bool = False,
    about: str = "",
) -> Message:
    """A message of these lines and rows of buttons."""
    rows = tuple(tuple(row) for row in buttons if row)
    return Message(tuple(line(one) if isinstance(one, str) else one for one in lines), rows, picture, paid, about)


def repeated(whole: Message) -> Message:
    """The message, whose first line says that it may already have arrived."""
    return replace(whole, lines=((*whole.lines[0], bold(" (repeat)")), *whole.lines[1:]))


def shortened(text: str, limit: int) -> str:
    """The text itself, or as much of it as fits into `limit` units together with an ellipsis."""
    if units(Span(text).shown) <= limit:
        return text
    if limit < 1:
        return ""
    return text[: _cut(Span(text), limit - 1)].rstrip() + "…"


def split(whole: Message, limit: int) -> list[Message]:
    """Messages of at most `limit` units, broken between lines where possible; the last one has the buttons."""
    parts: list[list[Line]] = [[]]
    room = limit
    for row in (piece for one in whole.lines for piece in _broken(one, limit)):
        size = sum(units(span.shown) for span in row) + bool(parts[-1])
        if size > room:
            parts.append([])
            room, size = limit, size - 1
        parts[-1].append(row)
        room -= size
    trimmed = [tuple(_without_blank_ends(part)) for part in parts]
    kept = [Message(lines, paid=whole.paid) for lines in trimmed if lines] or [Message((), paid=whole.paid)]
    kept[0] = replace(kept[0], picture=whole.picture, about=whole.about)
    kept[-1] = replace(kept[-1], buttons=whole.buttons)
    return kept


def _without_blank_ends(lines: list[Line]) -> list[Line]:
    """No chat shows blank lines at the ends, and a message of nothing else is refused."""
    filled = [index for index, one in enumerate(lines) if any(span.shown.strip() for span in one)]
    return lines[filled[0] : filled[-1] + 1] if filled else []


def _broken(whole: Line, limit: int) -> list[Line]:
    """The line itself, or lines of at most `limit` units, each span keeping its style on both sides of a break."""
    if sum(units(span.shown) for span in whole) <= limit:
        return [whole]
    pieces: list[list[Span]] = [[]]
    room = limit
    for span in whole:
        rest = span
        while units(rest.shown) > room:
            at = _cut(rest, room)
            if at:
                pieces[-1].append(replace(rest, text=rest.text[:at]))
                rest = replace(rest, text=rest.text[at:].lstrip(" "))
            pieces.append([])
            room = limit
        pieces[-1].append(rest)
        room -= units(rest.shown)
    return [tuple(piece) for piece in pieces if piece]


def _cut(span: Span, room: int) -> int:
    """Where to cut the text so that what stands before fits: at a space if one is near, never inside a sign."""
    at = min(len(span.text), room)
    while at and units(replace(span, text=span.text[:at]).shown) > room:
        at -= 1
    space = span.text.rfind(" ", at // 2, at)
    if space > 0:
        return space
    whole = at
    while whole and _joined(span.text, whole):
        whole -= 1
    return whole or at


def _joined(text: str, at: int) -> bool:
    """Whether the characters around this place make one sign (combining marks, emoji sequences)."""
    after = text[at : at + 1]
    return bool(after) and (
        unicodedata.combining(after) > 0
        or after in "\u200d\ufe0e\ufe0f"
        or "\U0001f3fb" <= after <= "\U0001f3ff"
        or text[at - 1] == "\u200d"
    )
