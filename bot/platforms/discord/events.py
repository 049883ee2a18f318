"""What the gateway tells us: which of it is kept in the inbox, and what a kept item means.

Kept are questions (a command, a press), people who come, go or change their roles, and changes of a server with a
place of ours. Of each only what is needed is written down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from bot import commands, messages
from bot.platforms.discord import components, registration, sending
from core import inbox

Json = dict[str, Any]

PLATFORM = "discord"
INTERACTION, MEMBER, SERVER = "interaction", "member", "server"
LIFE = timedelta(minutes=14)
"""For so long we answer; Discord forgets what was asked after fifteen minutes."""
_COMMAND, _COMPONENT = 2, 3
_USER = 6


class MalformedError(Exception):
    """The item does not have the shape in which we keep items."""


@dataclass(frozen=True, slots=True)
class Question:
    """Somebody asks; nobody sees an answer that is given after `until`."""

    ask: commands.Ask
    until: datetime


@dataclass(frozen=True, slots=True)
class Order:
    """Somebody says /setup `verb` on the server `space` (empty: in private) with these `values`."""

    ask: commands.Ask
    until: datetime
    space: str
    verb: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """Somebody on the server has these roles now (None: they left); `joined` when they have just come."""

    space: str
    user: str
    roles: frozenset[str] | None
    bot: bool
    joined: bool


@dataclass(frozen=True, slots=True)
class Change:
    """Something on the server changed that may hinder us, or no longer does."""

    space: str


Heard = Question | Order | Standing | Change


def asked(interaction: Json, now: datetime) -> bytes:
    """What is kept of a question that came at this moment; raises KeyError or TypeError for what is none."""
    person = interaction.get("user") or interaction["member"]["user"]
    data = interaction["data"]
    kept = {name: data[name] for name in ("name", "options", "custom_id", "values") if name in data}
    who = {name: person.get(name) for name in ("id", "username", "global_name")}
    whole = {"token": interaction["token"], "type": interaction["type"], "data": kept, "user": who}
    where = {name: interaction.get(name) for name in ("guild_id", "channel_id")}
    return orjson.dumps(whole | where | {"at": now.timestamp()})


def read(item: inbox.Item) -> Heard:
    """What the kept item says to us; raises MalformedError for what is none of ours."""
    try:
        body = orjson.loads(item.body)
        if item.kind == INTERACTION:
            return _question(body)
        if item.kind == MEMBER:
            roles = None if body["roles"] is None else frozenset(map(str, body["roles"]))
            return Standing(str(body["space"]), str(body["user"]), roles, bool(body["bot"]), bool(body["joined"]))
        return Change(str(body["space"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedError(type(error).__name__) from error


def _question(body: Json) -> Question | Order:
    until = datetime.fromtimestamp(body["at"], UTC) + LIFE
    if body["type"] == _COMPONENT:
        pressed = body["data"]["custom_id"]
        chosen = body["data"].get("values") or [""]
        line = str(chosen[0]) if pressed.startswith(components.MENU) else str(pressed)
        return Question(_ask(body, data=line), until)
    words, options = spoken(body["data"])
    first, _, verb = words.partition(" ")
    if first == registration.SETUP:
        values = {str(option["name"]): str(option["value"]) for option in options}
        return Order(_ask(body, text=f"/{words}"), until, str(body.get("guild_id") or ""), verb, values)
    return Question(_ask(body, text=_line(words, options)), until)


def spoken(data: Json) -> tuple[str, Sequence[Json]]:
    """The words of the command (with its group), and the options that were given."""
    words, options = [str(data["name"])], data.get("options") or []
    while options and options[0]["type"] in registration.NESTED:
        words.append(str(options[0]["name"]))
        options = options[0].get("options") or []
    return " ".join(words), options


def _line(words: str, options: Sequence[Json]) -> str:
    """The command line that this stands for, its values in the order of our table."""
    command = registration.by_words(words)
    given = {option["name"]: option for option in options}
    order = command.options if command else ()
    values = [f"{one.word} {_value(given[one.name])}".lstrip() for one in order if one.name in given]
    return " ".join([f"/{command.name if command else words.replace(' ', '_')}", *values])


def _value(option: Json) -> str:
    return f"{PLATFORM}:{option['value']}" if option["type"] == _USER else str(option["value"])


def _ask(body: Json, *, text: str = "", data: str = "") -> commands.Ask:
    person = body["user"]
    number = str(int(person["id"]))
    username = person.get("username")
    return commands.Ask(
        platform=PLATFORM,
        external_id=number,
        chat=str(body.get("channel_id") or ""),
        home=f"{sending.PERSON}{number}",
        private=True,
        name=messages.text.clean(str(person.get("global_name") or username or number)).strip(),
        username=messages.text.clean(str(username)) if username else None,
        text=messages.text.clean(text)[: commands.LONGEST],
        data=messages.text.clean(data),
        answer_at=f"{sending.ANSWER_AT}{body['token']}",
        # Only who writes to us in private has a private chat with us for certain.
        reachable=not body.get("guild_id"),
    )
