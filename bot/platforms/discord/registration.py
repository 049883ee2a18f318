"""Our commands as Discord's slash commands: one table for all platforms, told to Discord when it has changed.

Discord allows few changes a day, so what was told last is kept as a fingerprint, whichever process told it.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from bot import commands
from core import catalogue, strategies
from core.market import timeframes

Json = dict[str, Any]

SETUP = "setup"
NESTED = frozenset({1, 2})
"""The types of options that are subcommands and groups of them."""
_SUBCOMMAND, _TEXT, _WHOLE, _PERSON, _CHANNEL, _ROLE = 1, 3, 4, 6, 7, 8
_KINDS = {"number": _WHOLE, "user": _PERSON}
"""What is not written as text."""
_ON_SERVERS, _IN_PRIVATE = 0, 1
_NOBODY = "0"
"""The permissions that hide a command from everybody but a server's administrators; who may use it, we check."""
_MOST_CHOICES, _LONGEST = 25, 100
_GROUPS = {
    "signals": "Signals and how they ended",
    "membership": "Your plan, your payments, your access",
    "settings": "What reaches you, and how",
    "privacy": "What we know about you",
    "admin": "For the operators of this service",
}


def by_words(words: str) -> commands.Command | None:
    """The command that has this place among Discord's commands."""
    return next((row for row in commands.COMMANDS if (row.slash or row.name) == words), None)


def table(book: catalogue.Catalogue) -> list[Json]:
    """Every command as Discord is told of it."""
    rows: dict[str, list[commands.Command]] = {}
    for row in commands.COMMANDS:
        rows.setdefault((row.slash or row.name).split()[0], []).append(row)
    return [*(_command(name, alike, book) for name, alike in sorted(rows.items())), _setup(book)]


def fingerprint(told: Sequence[Json]) -> str:
    """Equal for equal tables."""
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def _command(name: str, rows: list[commands.Command], book: catalogue.Catalogue) -> Json:
    flat = rows[0] if len(rows) == 1 and (rows[0].slash or rows[0].name) == name else None
    made: Json = {"type": 1, "name": name, "contexts": [_ON_SERVERS, _IN_PRIVATE], "integration_types": [0]}
    if all(row.operator for row in rows):
        made["default_member_permissions"] = _NOBODY
    if flat:
        return made | {"description": flat.description[:_LONGEST], "options": _options(flat, book)}
    inner = [
        {
            "type": _SUBCOMMAND,
            "name": row.slash.split()[-1],
            "description": row.description[:_LONGEST],
            "options": _options(row, book),
        }
        for row in rows
        if len(row.slash.split()) > 1
    ]
    return made | {"description": _GROUPS.get(name, f"All about {name}"), "options": inner}


def _options(row: commands.Command, book: catalogue.Catalogue) -> list[Json]:
    """What is asked for; Discord wants what is required first."""
    return [_option(option, book) for option in sorted(row.options, key=lambda option: not option.required)]


def _option(option: commands.Option, book: catalogue.Catalogue) -> Json:
    made: Json = {
        "type": _KINDS.get(option.kind, _TEXT),
        "name": option.name,
        "description": option.description[:_LONGEST],
    }
    if option.required:
        made["required"] = True
    named = _named(option, book)
    if option.kind == "pair" or len(named) > _MOST_CHOICES:
        made["autocomplete"] = True
    elif named:
        made["choices"] = [{"name": name[:_LONGEST], "value": value} for value, name in named.items()]
    return made


def _named(option: commands.Option, book: catalogue.Catalogue) -> dict[str, str]:
    """What can be said there and how each is called, where that is known."""
    match option.kind:
        case "pair":
            return {symbol: symbol for symbol in sorted({watch.symbol for watch in book.watches})}
        case "plan":
            return {plan.key: plan.name for plan in book.plans}
        case "strategy":
            return {name: name.replace("_", " ") for name in strategies.names()}
        case "timeframe":
            found = {watch.timeframe for watch in book.watches}
            return {name: name for name in sorted(found, key=timeframes.seconds)}
        case _:
            return {choice: choice for choice in option.choices}


def _setup(book: catalogue.Catalogue) -> Json:
    place: Json = {"type": _TEXT, "name": "place", "description": "Which place, where there are several"}
    known = [one for one in book.places if one.platform == "discord"][:_MOST_CHOICES]
    if known:
        place["choices"] = [{"name": one.name[:_LONGEST], "value": one.key} for one in known]
    channel = {
        "type": _CHANNEL,
        "name": "channel",
        "description": "The channel to post in; without it one is made",
        "channel_types": [0, 5],
    }
    role = {"type": _ROLE, "name": "role", "description": "The role of subscribers; without it one is made"}
    verbs: list[tuple[str, str, list[Json]]] = [
        ("channels", "Choose or make the channel in which signals are posted", [channel, place]),
        ("roles", "Choose or make the role that subscribers get", [role, place]),
        ("check", "Say what is still missing on this server", []),
    ]
    inner = [
        {"type": _SUBCOMMAND, "name": name, "description": about, "options": options} for name, about, options in verbs
    ]
    return {
        "type": 1,
        "name": SETUP,
        "description": "Prepare this server for paid signals (operators only)",
        "contexts": [_ON_SERVERS],
        "integration_types": [0],
        "default_member_permissions": _NOBODY,
        "options": inner,
    }


def suggestions(words: str, options: Sequence[Json], book: catalogue.Catalogue) -> list[Json]:
    """What completes what is being typed, out of what everybody may know, such as watched pairs and plans."""
    typing = next((option for option in options if option.get("focused")), None)
    command = by_words(words)
    known = next((one for one in command.options if typing and one.name == typing["name"]), None) if command else None
    if typing is None or known is None:
        return []
    named = _named(known, book)
    typed = str(typing.get("value") or "").strip().lower()
    fit = [(value, name) for value, name in named.items() if typed in value.lower() or typed in name.lower()]
    return [{"name": name[:_LONGEST], "value": value} for value, name in fit[:_MOST_CHOICES]]
