"""Messages in Telegram's HTML, and their buttons."""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from bot import messages
from bot.messages import Button, Message, Span

TEXT, CAPTION, DATA = 4096, 1024, 64
_TAGS = {"b": "b", "i": "i", "code": "code"}
_PAYLOAD = re.compile(r"[A-Za-z0-9_-]{1,64}")
Ways = Mapping[str, str]
"""The addresses that lead the reader of a message into places, by the places' keys."""
NO_WAYS: Ways = MappingProxyType({})


def escaped(text: str) -> str:
    """The text as Telegram's HTML, also inside of a quoted attribute."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


@lru_cache(maxsize=64)
def formatted(message: Message) -> tuple[str, int]:
    """The whole message in Telegram's HTML, and its length as Telegram counts it; cheap for the same message again."""
    return html(message), messages.units(message.plain)


def html(message: Message) -> str:
    """The whole message in Telegram's HTML."""
    return "\n".join("".join(_span(span) for span in line) for line in message.lines)


def _span(span: Span) -> str:
    text = escaped(span.shown)
    tag = _TAGS.get(span.style)
    if tag and text:
        text = f"<{tag}>{text}</{tag}>"
    return f'<a href="{escaped(span.url)}">{text}</a>' if span.url and text else text


def bare(message: Message, username: str, ways: Ways = NO_WAYS) -> str:
    """The words alone, with the addresses of buttons in words too."""
    links = [f"{button.text}: {_address(button, username, ways)}" for row in message.buttons for button in row]
    return "\n".join([message.plain, *(link for link in links if not link.endswith(": "))])


def _address(button: Button, username: str, ways: Ways) -> str:
    if button.place:
        return ways.get(button.place, "")
    if button.start:
        payload = button.start if _PAYLOAD.fullmatch(button.start) else "hello"
        return f"https://t.me/{username}?start={payload}"
    return button.url


def keyboard(message: Message, username: str, ways: Ways = NO_WAYS, *, shared: bool = False) -> dict[str, Any] | None:
    """The buttons as an inline keyboard; what Telegram would not take is left out.

    Where a message is `shared` by many readers, a button with a command would act for whoever presses it, so there are
    none.
    """
    if not message.buttons:
        return None
    rows = [
        [made for button in row if not (shared and button.data) and (made := _button(button, username, ways))]
        for row in message.buttons
    ]
    kept = [row for row in rows if row]
    return {"inline_keyboard": kept} if kept else None


def _button(button: Button, username: str, ways: Ways) -> dict[str, str] | None:
    text = messages.text.clean(button.text).strip()
    if not text:
        return None
    if button.data:
        return {"text": text, "callback_data": button.data} if len(button.data.encode()) <= DATA else None
    address = _address(button, username, ways)
    return {"text": text, "url": address} if address else None
