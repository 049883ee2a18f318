"""Buttons of our messages as Discord's components; a press comes back with the command line that it stands for."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from bot import messages
from bot.messages import Button, Message

Json = dict[str, Any]

ROWS, ACROSS, LABEL, NAME, URL, CHOICES = 5, 5, 80, 100, 512, 25
_ROW, _BUTTON, _MENU, _PLAIN, _LINK = 1, 2, 3, 2, 5
_ALIKE = 5
"""More buttons than this that ask the same about different things become a menu."""
MENU = "menu:"
"""How the name of a menu begins; what was chosen in it is a whole command line."""


def of(message: Message, places: Mapping[str, str]) -> list[Json]:
    """The message's buttons; `places` are the addresses of gated places by their keys. What Discord would not take is
    left out. What would open a private chat elsewhere is asked here: nobody else sees the answer.
    """
    asked = [[_here(button) for button in row] for row in message.buttons]
    buttons = [button for row in asked for button in row]
    menus = _menus(buttons)
    rows: list[list[Json]] = []
    named: set[str] = set()
    for row in asked:
        made = [one for button in row if not _in_menu(button, menus) for one in _button(button, places, named)]
        rows += [made[at : at + ACROSS] for at in range(0, len(made), ACROSS)]
    rows = [*([_menu(word, alike)] for word, alike in menus.items()), *rows]
    return [{"type": _ROW, "components": row} for row in rows[:ROWS]]


def _here(button: Button) -> Button:
    return replace(button, data=f"/start {button.start}", start="") if button.start else button


def _menus(buttons: list[Button]) -> dict[str, list[Button]]:
    """The buttons that are too many alike, by the first word of their command lines."""
    by_word: dict[str, list[Button]] = {}
    for button in buttons:
        word, _, rest = button.data.partition(" ")
        if rest and len(button.data) <= NAME:
            by_word.setdefault(word, []).append(button)
    return {word: alike for word, alike in by_word.items() if len(alike) > _ALIKE}


def _in_menu(button: Button, menus: Mapping[str, list[Button]]) -> bool:
    return any(button in alike for alike in menus.values())


def _menu(word: str, alike: list[Button]) -> Json:
    chosen = {button.data: button for button in alike}  # values are unique
    options = [{"label": _label(button)[:LABEL], "value": line} for line, button in list(chosen.items())[:CHOICES]]
    return {"type": _MENU, "custom_id": f"{MENU}{word}", "placeholder": "Choose one", "options": options}


def _label(button: Button) -> str:
    return messages.text.shortened(messages.text.clean(button.text).strip(), LABEL) or "…"


def _button(button: Button, places: Mapping[str, str], named: set[str]) -> Iterator[Json]:
    label = messages.text.clean(button.text).strip()
    url = places.get(button.place, "") if button.place else button.url
    if not label:
        return
    if url and len(url) <= URL:
        yield {"type": _BUTTON, "style": _LINK, "label": _label(button), "url": url}
    elif 0 < len(button.data) <= NAME and button.data not in named:
        named.add(button.data)
        yield {"type": _BUTTON, "style": _PLAIN, "label": _label(button), "custom_id": button.data}
