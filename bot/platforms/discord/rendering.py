"""Messages as Discord's embeds: the first line as title, the risk text as footer, the rest in Discord's markdown.

Discord hides a backslash before a sign and then shows the sign itself, so text that is dead has one before each sign
that could begin something. Lengths are counted in UTF-16 units, which are never fewer than Discord's own count.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import discord.utils

from bot import commands, messages
from bot.messages import Message, Span, text

Json = dict[str, Any]

TITLE, DESCRIPTION, FOOTER, TOTAL, CONTENT = 256, 4096, 2048, 6000, 2000
PICTURE = "chart.png"
_LINE = 1900  # units of a line before signs are escaped, which doubles it at most
_GREEN, _RED, _GREY = 0x2E9E5B, 0xC8403A, 0x7A828C
_COLOURS = {"▲": _GREEN, "✓": _GREEN, "▼": _RED, "✕": _RED, "○": _GREY}
_MARKS = {"b": "**", "i": "*"}
_SIGNS = re.compile(r"[\\*_~`|<\[\]]|:(?=\w+:)")
_BULLET = re.compile(r"^(\s*)([-+](?=\s|#|$)|[#>]|(\d+)([.)])(?=\s|$))")
_URL = re.compile(r"https?://\S+")
_MASKED = str.maketrans({"(": "%28", ")": "%29", " ": "%20", "\\": "%5C", "<": "%3C", ">": "%3E"})


def escaped(words: str) -> str:
    """The words as they are, whatever signs are in them."""
    return _SIGNS.sub(r"\\\g<0>", words)


@lru_cache(maxsize=64)
def _parts(message: Message) -> tuple[str, tuple[str, ...], str]:
    """The title, the lines, and the footer, each as Discord takes it; cheap for the same message again."""
    lines = list(message.lines)
    title = footer = ""
    if lines and (first := [span for span in lines[0] if span.shown.strip()]) and first[0].style == "b":
        title = _titled("".join(_spoken(span) for span in lines.pop(0)).strip())
    last = next((n for n in range(len(lines) - 1, -1, -1) if any(span.shown.strip() for span in lines[n])), -1)
    if last >= 0 and all(span.style == "i" for span in lines[last] if span.shown.strip()):
        footer = text.shortened("".join(span.shown for span in lines[last]).strip(), FOOTER)
        lines = lines[:last]
    return title, tuple(rendered for line in lines for rendered in _rendered(line)), footer


def embeds(message: Message, *, picture: bool = False) -> list[Json]:
    """The message as embeds, mostly one; what is beyond Discord's limit for all of them is cut."""
    title, lines, footer = _parts(message)
    room = TOTAL - messages.units(title) - messages.units(footer)
    bodies = _filled(list(lines), room) or [""]
    made: list[Json] = [{"description": body} if body else {} for body in bodies]
    if title:
        made[0] = {"title": title} | made[0]
    if colour := _COLOURS.get(message.plain[:1]):
        made[0]["color"] = colour
    if picture:
        made[0]["image"] = {"url": f"attachment://{PICTURE}"}
    if footer:
        made[-1]["footer"] = {"text": footer}
    return made


def _filled(lines: list[str], room: int) -> list[str]:
    """The lines in texts that are as long as a description may be, together not longer than `room`."""
    bodies: list[list[str]] = [[]]
    used = 0
    for line in lines:
        size = messages.units(line) + 1
        if used + size > room:
            bodies[-1].append("…")
            break
        if sum(messages.units(one) + 1 for one in bodies[-1]) + size > DESCRIPTION - 2:
            bodies.append([])
        bodies[-1].append(line)
        used += size
    return [body for body in ("\n".join(lines).strip() for lines in bodies) if body]


def _titled(words: str) -> str:
    """The words as a title: whole, or as many as fit once they are escaped."""
    for length in range(TITLE, 0, -8):
        title = escaped(text.shortened(words, length))
        if messages.units(title) <= TITLE:
            return title
    return ""


def _rendered(line: tuple[Span, ...]) -> Iterator[str]:
    """The line in Discord's markdown, in pieces when it is very long."""
    [*pieces] = messages.split(Message((line,)), _LINE) if _length(line) > _LINE else [Message((line,))]
    for piece in pieces:
        for part in piece.lines or ((),):
            yield _BULLET.sub(_unlisted, "".join(_span(span) for span in _joined(part)))


def _length(line: tuple[Span, ...]) -> int:
    return sum(messages.units(span.shown) for span in line)


def _unlisted(found: re.Match[str]) -> str:
    """The beginning of a line that would become a list, a heading or a quotation."""
    if found[3]:
        return f"{found[1]}{found[3]}\\{found[4]}"
    return f"{found[1]}\\{found[2]}"


def _joined(line: tuple[Span, ...]) -> list[Span]:
    """Neighbours of one style are one piece: marks that touch would be taken for others."""
    made: list[Span] = []
    for span in line:
        before = made[-1] if made else None
        alike = before and span.style and (before.style, before.url, before.live) == (span.style, span.url, span.live)
        if before and alike:
            made[-1] = Span(before.text + span.text, span.style, span.url, span.live)
        else:
            made.append(span)
    return made


def _span(span: Span) -> str:
    if span.style == "code":
        return _code(span.shown)
    words = _live(_spoken(span)) if span.live else escaped(span.shown)
    bare = words.strip()
    if span.url and bare:
        bare = f"[{bare}]({span.url.translate(_MASKED)})"
    if mark := _MARKS.get(span.style):
        bare = f"{mark}{bare}{mark}" if bare else ""
    before, after = len(words) - len(words.lstrip()), len(words) - len(words.rstrip())
    return f"{words[:before]}{bare}{words[len(words) - after :]}" if words.strip() else words


def _code(words: str) -> str:
    shown = words.replace("`", "ˋ").strip()
    return f"`{shown}`" if shown else ""


def _spoken(span: Span) -> str:
    """The text of the span; a command under the name that it has on Discord."""
    if not (span.live and span.text.startswith("/")):
        return span.shown
    name, _, rest = span.shown[1:].partition(" ")
    known = commands.BY_NAME.get(name)
    return f"/{known.slash or known.name} {rest}".strip() if known else span.shown


def _live(words: str) -> str:
    """The operator's own words: links work, everything else is shown as it is written."""
    made, at = [], 0
    for link in _URL.finditer(words):
        made += [escaped(words[at : link.start()]), link[0]]
        at = link.end()
    return "".join([*made, escaped(words[at:])])


def bare(message: Message) -> str:
    """The words alone, with the addresses of buttons in words too."""
    links = [f"{button.text}: {button.url}" for row in message.buttons for button in row if button.url]
    return text.shortened("\n".join([escaped(message.plain), *links]), CONTENT - 100)[:CONTENT]


def mentions() -> Json:
    """Nobody is mentioned, whatever a message says."""
    allowed: Json = dict(discord.AllowedMentions.none().to_dict())
    return allowed
