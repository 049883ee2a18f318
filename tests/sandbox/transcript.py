"""Chats as plain text: who said what, with buttons, pictures and what a message answers."""

import textwrap
from datetime import datetime

from tests.sandbox import telegram

_WIDTH = 92
_NAMES = 12


def chat(world: telegram.Telegram, user: int, about: str) -> str:
    """The whole private chat of this person with the bot, oldest message first."""
    person = world.people[user]
    head = f"── {person.first_name} ({about}) "
    shown = [_message(message, person.first_name) for message in world.chat(user) if not message.deleted]
    return "\n".join([head + "─" * (_WIDTH - len(head)), *shown])


def _message(message: telegram.Message, person: str) -> str:
    who = "SignalStack" if message.from_bot else person
    at = datetime.fromtimestamp(message.date).astimezone()
    lines = [f"↪ “{_first(message.reply_to)}”"] if message.reply_to else []
    if message.photo:
        largest = message.photo_sizes[-1]
        lines.append(f"[chart {largest['width']}×{largest['height']}]")
    for line in message.text.splitlines():
        lines += textwrap.wrap(line, _WIDTH - _NAMES - 10) or [""]
    lines += [" ".join(f"[{button['text']}]" for button in row) for row in message.buttons]
    indent = " " * (_NAMES + 10)
    return f"{at:%H:%M:%S}  {who:<{_NAMES}}" + f"\n{indent}".join(lines)


def _first(message: telegram.Message) -> str:
    return message.text.partition("\n")[0]
