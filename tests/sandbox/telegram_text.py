"""Telegram's reading of a text: HTML parsed as strictly as the real server does, entities counted in UTF-16 units."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from tests.sandbox import telegram_call

Entity = dict[str, Any]

_TYPES = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline",
    "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "tg-spoiler": "spoiler", "span": "spoiler",
    "code": "code", "pre": "pre", "a": "text_link", "blockquote": "blockquote",
}  # fmt: skip
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_SPECIAL = re.compile(r"[<&]")
_REFERENCE = re.compile(r"&(?:#x([0-9a-fA-F]+)|#([0-9]+)|([a-zA-Z]+));?")
_TAG_NAME = re.compile(r"[^\s>]*")
_ATTRIBUTE_NAME = re.compile(r"[^\s=>/\"']*")
_BARE_VALUE = re.compile(r"[A-Za-z0-9.-]*")
_SPACES = re.compile(r"\s*")
_AUTOMATIC = re.compile(
    r"(?P<url>https?://[^\s<>\"]*[\w/])"
    r"|(?<![\w.+-])(?P<email>[\w.+-]+@[\w-]+\.[A-Za-z]{2,})"
    r"|(?<![\w/<>])(?P<bot_command>/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?)(?![\w/@])"
    r"|(?<![\w@])(?P<mention>@[A-Za-z0-9_]{4,32})(?!\w)"
    r"|(?<!\w)(?P<hashtag>#(?=\w*[^\W\d])\w{1,256})"
    r"|(?<![\w$])(?P<cashtag>\$[A-Z]{1,8})(?!\w)"
)
_HINT = re.compile(r"[/@#$]")
_OPAQUE = {"code", "pre", "text_link", "text_mention"}


class Unparsable(telegram_call.Refused):
    def __init__(self, problem: str) -> None:
        super().__init__(400, f"Bad Request: can't parse entities: {problem}")


def units(text: str) -> int:
    """The length of the text in UTF-16 code units, as Telegram counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def formatted(text: str, parse_mode: str, entities: list[Entity] | None) -> tuple[str, list[Entity]]:
    """The plain text as it will lie in the chat, with given, parsed and automatic entities; or refused with 400."""
    if parse_mode:
        if parse_mode.lower() != "html":
            raise telegram_call.bad("unsupported parse_mode")  # this stand-in knows HTML only
        text, found = html(text)
    else:
        found = [_checked(entity, units(text)) for entity in entities or []]
    text, found = _trimmed(text, found)
    found += [entity for entity in automatic(text) if not _hidden(entity, found)]
    return text, sorted(found, key=lambda entity: (entity["offset"], -entity["length"]))


def html(source: str) -> tuple[str, list[Entity]]:
    """The text without its markup, and the entities of the markup. Raises `Unparsable` with the real server's words."""
    return (source, []) if _SPECIAL.search(source) is None else _Html(source).parse()


def automatic(text: str) -> list[Entity]:
    """The links, mentions, hashtags, cashtags, e-mail addresses and commands that Telegram finds by itself."""
    if not _HINT.search(text):
        return []
    return [
        {"type": found.lastgroup, "offset": units(text[: found.start()]), "length": units(found.group())}
        for found in _AUTOMATIC.finditer(text)
    ]


def url(given: str) -> str | None:
    """The address as Telegram keeps it, None when Telegram would not take it as one.

    The real server refuses names without a dot, such as localhost; here addresses of this machine are welcome.
    """
    parts = urlsplit(given.strip() if "://" in given else f"http://{given.strip()}")
    if parts.scheme == "tg":
        return urlunsplit(parts)
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", given.strip()):
        return None
    if "." not in parts.hostname and parts.hostname != "localhost":
        return None
    return urlunsplit(SplitResult(parts.scheme, parts.netloc.lower(), parts.path or "/", parts.query, parts.fragment))


def _checked(entity: Entity, length: int) -> Entity:
    if not isinstance(entity, dict) or not {"type", "offset", "length"} <= entity.keys():
        raise telegram_call.bad("can't parse MessageEntity")
    if entity["offset"] < 0 or entity["length"] < 0 or entity["offset"] + entity["length"] > length:
        raise telegram_call.bad("ENTITY_BOUNDS_INVALID")
    return dict(entity)


def _trimmed(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    kept = text.strip()
    if kept == text:
        return text, entities
    shift, end = len(text) - len(text.lstrip()), units(kept)  # white space never needs two units
    moved = []
    for entity in entities:
        first = max(0, entity["offset"] - shift)
        last = min(end, entity["offset"] + entity["length"] - shift)
        if last > first:
            moved.append({**entity, "offset": first, "length": last - first})
    return kept, moved


def _hidden(entity: Entity, others: list[Entity]) -> bool:
    first, last = entity["offset"], entity["offset"] + entity["length"]
    return any(
        other["type"] in _OPAQUE and other["offset"] < last and first < other["offset"] + other["length"]
        for other in others
    )


@dataclass(slots=True)
class _Tag:
    name: str
    argument: str
    offset: int


class _Html:
    """One pass over the markup. Error offsets are UTF-8 bytes, entity offsets UTF-16 units, as on the real server."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._parts: list[str] = []
        self._offset = 0
        self._open: list[_Tag] = []
        self._entities: list[Entity] = []

    def parse(self) -> tuple[str, list[Entity]]:
        while found := _SPECIAL.search(self._source, self._at):
            self._put(self._source[self._at : found.start()])
            self._at = found.start()
            if found.group() == "&":
                self._put(self._reference())
            elif self._source.startswith("</", self._at):
                self._close()
            else:
                self._start()
        self._put(self._source[self._at :])
        if self._open:
            raise Unparsable(f'Can\'t find end tag corresponding to start tag "{self._open[-1].name}"')
        return "".join(self._parts), self._entities

    def _put(self, text: str) -> None:
        self._parts.append(text)
        self._offset += units(text)

    def _where(self, at: int) -> str:
        return f"at byte offset {len(self._source[:at].encode())}"

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._source, self._at)
        assert found is not None, "every pattern here also matches nothing"
        self._at = found.end()
        return found.group()

    def _reference(self) -> str:
        """The character the reference at this place stands for; an unknown one stands for its first character, `&`."""
        found = _REFERENCE.match(self._source, self._at)
        if found:
            hexadecimal, decimal, name = found.groups()
            number = int(hexadecimal, 16) if hexadecimal else int(decimal or 0)
            letter = _NAMED.get(name, "") if name else chr(number) if 0 < number < 0x10FFFF else ""
            if letter and not "\ud800" <= letter <= "\udfff":
                self._at = found.end()
                return letter
        self._at += 1
        return "&"

    def _start(self) -> None:
        begin = self._at
        self._at += 1
        name = self._take(_TAG_NAME).lower()
        if not self._peek():
            raise Unparsable(f"Unclosed start tag {self._where(begin)}")
        if name not in _TYPES:
            raise Unparsable(f'Unsupported start tag "{name}" {self._where(begin)}')
        argument = ""
        while self._next_attribute():
            argument = self._attribute(name, begin) or argument
        self._at += 1
        if name == "span" and argument != "spoiler":
            raise Unparsable(f'Tag "span" must have class "tg-spoiler" {self._where(begin)}')
        self._open.append(_Tag(name, argument, self._offset))

    def _next_attribute(self) -> bool:
        self._take(_SPACES)
        return self._peek() != ">"

    def _attribute(self, tag: str, begin: int) -> str:
        """What the next attribute means for its tag, empty when it means nothing."""
        unclosed = Unparsable(f'Unclosed start tag "{tag}" {self._where(begin)}')
        if not self._peek():
            raise unclosed
        name = self._take(_ATTRIBUTE_NAME)
        if not name:
            raise Unparsable(f'Empty attribute name in the tag "{tag}" {self._where(begin)}')
        self._take(_SPACES)
        value = ""
        if self._peek() == "=":
            self._at += 1
            self._take(_SPACES)
            value = self._value(begin, unclosed)
        elif not self._peek():
            raise unclosed
        return _meaning(tag, name, value)

    def _value(self, begin: int, unclosed: Unparsable) -> str:
        quote = self._peek()
        if not quote:
            raise unclosed
        if quote not in {'"', "'"}:
            token = self._at
            value = self._take(_BARE_VALUE).lower()
            if self._peek() != ">" and not self._peek().isspace():
                raise Unparsable(f"Unexpected end of name token {self._where(token)}")
            return value
        self._at += 1
        letters = []
        while self._peek() not in {quote, ""}:
            letters.append(self._reference() if self._peek() == "&" else self._step())
        if not self._peek() or self._at + 1 >= len(self._source):
            raise Unparsable(f"Unclosed start tag {self._where(begin)}")
        self._at += 1
        return "".join(letters)

    def _step(self) -> str:
        self._at += 1
        return self._source[self._at - 1]

    def _close(self) -> None:
        begin = self._at
        if not self._open:
            raise Unparsable(f"Unexpected end tag {self._where(begin)}")
        self._at += 2
        name = self._take(_TAG_NAME)
        self._take(_SPACES)
        if self._peek() != ">":
            raise Unparsable(f"Unclosed end tag {self._where(begin)}")
        self._at += 1
        tag = self._open.pop()
        if name and name != tag.name:  # the real server lets </> close any tag
            found = f'expected "</{tag.name}>", found "</{name}>"'
            raise Unparsable(f"Unmatched end tag {self._where(begin)}, {found}")
        if self._offset > tag.offset:
            self._note(tag)

    def _note(self, tag: _Tag) -> None:
        entity: Entity = {"type": _TYPES[tag.name], "offset": tag.offset, "length": self._offset - tag.offset}
        if tag.name == "a":
            link = url(tag.argument or "".join(self._parts)[-entity["length"] :])
            if link is None:  # no address, no link: the real server keeps the words and drops the entity
                return
            entity["url"] = link
        elif tag.name == "blockquote" and tag.argument:
            entity["type"] = "expandable_blockquote"
        elif tag.name == "code" and tag.argument and self._open and self._open[-1].name == "pre":
            self._open[-1].argument = tag.argument
            return
        elif tag.name == "pre" and tag.argument:
            entity["language"] = tag.argument
        self._entities.append(entity)


def _meaning(tag: str, name: str, value: str) -> str:
    if tag == "a" and name == "href":
        return value
    if tag == "code" and name == "class" and value.startswith("language-"):
        return value.removeprefix("language-")
    if tag == "span" and name == "class" and value.startswith("tg-"):
        return value.removeprefix("tg-")
    return "1" if tag == "blockquote" and name == "expandable" else ""
