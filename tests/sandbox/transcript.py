"""Chats as plain text: who said what, with buttons, pictures and what a message answers."""

import textwrap
from collections.abc import Iterable
from datetime import datetime

from tests.sandbox import discord, discord_components, discord_interactions, discord_posts, discord_text, telegram

_WIDTH = 92
_NAMES = 12
_BOT = "SignalStack"


# --- Telegram


def chat(world: telegram.Telegram, user: int, about: str) -> str:
    """The whole private chat of this person with the bot, oldest message first."""
    person = world.people[user]
    head = f"── {person.first_name} ({about}) "
    shown = [_message(message, person.first_name) for message in world.chat(user) if not message.deleted]
    return _whole(head, shown)


def place(world: telegram.Telegram, chat_id: int) -> str:
    """Everything in this group or channel, oldest first."""
    posts = [message for message in world.chat(chat_id) if not message.deleted]
    people = {user: person.first_name for user, person in world.people.items()}
    shown = [_message(post, people.get(post.sender["id"], "?") if post.sender else _BOT) for post in posts]
    return _whole(f"── {world.chats[chat_id].title} on Telegram ", shown)


def _message(message: telegram.Message, person: str) -> str:
    lines = [f"↪ “{_first(message.reply_to.text)}”"] if message.reply_to else []
    if message.photo:
        largest = message.photo_sizes[-1]
        lines.append(f"[chart {largest['width']}×{largest['height']}]")
    lines += _wrapped(message.text)
    lines += [" ".join(f"[{button['text']}]" for button in row) for row in message.buttons]
    return _row(message.date, _BOT if message.from_bot else person, lines)


# --- Discord


def channel(world: discord.Discord, channel_id: int) -> str:
    """Everything that lies in this channel of a server, oldest first."""
    found = world.channels[channel_id]
    shown = [_post(post) for post in world.messages(channel_id) if not post.deleted and not post.loading]
    return _whole(f"── #{found.name} on Discord ", shown)


def person(world: discord.Discord, user: int, about: str) -> str:
    """What this person asked on Discord, and what they alone see there: answers and the private chat."""
    asked = [one for one in world.interactions.values() if one.user.id == user]
    commands = (one for one in asked if one.kind == discord_interactions.COMMAND)
    name = world.users[user].name
    rows = [(one.id, _row(one.made, name, [f"/{one.name}"])) for one in commands]
    seen = {post.id: post for post in (*world.dm(user), *world.whispers(user)) if not post.deleted and not post.loading}
    rows += [(post.id, _post(post)) for post in seen.values()]
    return _whole(f"── {name} on Discord ({about}) ", [row for _, row in sorted(rows)])


def _post(post: discord.Message) -> str:
    answered = post.channel.messages.get(post.reply_to) if post.reply_to else None
    lines = [f"↪ “{_first(discord_text.plain(answered.text))}”"] if answered else []
    lines += ["(only for their eyes)"] if post.ephemeral else []
    pictures = (file for file in post.files.values() if file.width)
    lines += [f"[chart {file.width}×{file.height}]" for file in pictures]
    lines += _wrapped(discord_text.plain(post.text))
    lines += [" ".join(_parts(row)) for row in post.components if row["type"] == discord_components.ROW]
    return _row(post.sent, post.author.name, lines)


def _parts(row: discord_posts.Json) -> Iterable[str]:
    for part in row["components"]:
        yield f"[{part['label']}]" if "label" in part else f"[{part.get('placeholder', 'Choose')} ▾]"


# --- both


def _whole(head: str, shown: Iterable[str]) -> str:
    return "\n".join([head + "─" * (_WIDTH - len(head)), *shown])


def _row(seconds: float, who: str, lines: list[str]) -> str:
    at = datetime.fromtimestamp(seconds).astimezone()
    indent = " " * (_NAMES + 10)
    return f"{at:%H:%M:%S}  {who:<{_NAMES}}" + f"\n{indent}".join(lines)


def _wrapped(text: str) -> list[str]:
    return [part for line in text.splitlines() for part in textwrap.wrap(line, _WIDTH - _NAMES - 10) or [""]]


def _first(text: str) -> str:
    return text.partition("\n")[0]
