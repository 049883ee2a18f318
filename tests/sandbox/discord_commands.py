"""The slash commands an application has registered, and what people's clients make of them."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.sandbox import discord_wire

Json = dict[str, Any]

SUBCOMMAND, GROUP = 1, 2
STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, MENTIONABLE, NUMBER = 3, 4, 5, 6, 7, 8, 9, 10
IN_GUILD, IN_BOT_DM = 0, 1
MOST_COMMANDS, MOST_OPTIONS, MOST_CHOICES = 100, 25, 25
DAY, CREATES_A_DAY = 86_400, 200
NAME = re.compile(r"[-_'\w]{1,32}")


class Commands:
    """The registered commands of every scope (None: everywhere, else a guild's id)."""

    def __init__(self, new_id: Callable[[], int], now: Callable[[], float]) -> None:
        self._new_id, self._now = new_id, now
        self._scopes: dict[int | None, list[Json]] = {}
        self._created: dict[int | None, list[float]] = {}

    def of(self, guild_id: int | None) -> list[Json]:
        """The commands of one scope, as the API answers them."""
        return self._scopes.get(guild_id, [])

    def replace(self, application_id: int, guild_id: int | None, given: list[Json]) -> tuple[list[Json], int]:
        """The scope has exactly these commands; returned with the number of those that are new. A known name keeps its
        id. Refused with 50035, or 30034 after 200 new ones in a day."""
        _check_all(given)
        known = {(command["type"], command["name"]): command for command in self.of(guild_id)}
        made = []
        for command in given:
            body = _complete(command)
            old = known.get((body["type"], body["name"]))
            body |= {"id": old["id"] if old else str(self._new_id()), "application_id": str(application_id)}
            body["version"] = str(self._new_id())
            made.append(body | {"guild_id": str(guild_id)} if guild_id is not None else body)
        new = sum((command["type"], command["name"]) not in known for command in made)
        self._count(guild_id, new)
        self._scopes[guild_id] = made
        return made, new

    def _count(self, guild_id: int | None, new: int) -> None:
        today = [moment for moment in self._created.get(guild_id, []) if moment > self._now() - DAY]
        if len(today) + new > CREATES_A_DAY:
            raise discord_wire.refused(30034)
        self._created[guild_id] = today + [self._now()] * new

    def find(self, guild_id: int | None, words: str) -> tuple[Json, list[Json], list[Json]]:
        """The command, the group and subcommand on the way, and the options of what the words name.

        Raises ValueError when no such command is offered there.
        """
        name, *rest = words.split()
        told = [*self.of(guild_id), *self.of(None)] if guild_id is not None else self.of(None)
        command = next((one for one in told if one["name"] == name and one["type"] == 1), None)
        if command is None or not offered(command, guild_id):
            raise ValueError(f"no command /{name} is offered there")
        path, options = [], command.get("options", [])
        for word in rest:
            inner = next((one for one in options if one["name"] == word and one["type"] in {SUBCOMMAND, GROUP}), None)
            if inner is None:
                raise ValueError(f"/{words}: there is no {word}")
            path.append(inner)
            options = inner.get("options", [])
        if any(option["type"] in {SUBCOMMAND, GROUP} for option in options):
            raise ValueError(f"/{words} names a group, not a command")
        return command, path, options


def offered(command: Json, guild_id: int | None) -> bool:
    contexts = command.get("contexts")
    if contexts is not None:
        return (IN_BOT_DM if guild_id is None else IN_GUILD) in contexts
    return guild_id is not None or command.get("dm_permission", True)


def _complete(command: Json) -> Json:
    """The command with the fields Discord adds."""
    body = {name: value for name, value in command.items() if value is not None}
    body |= {"type": body.get("type", 1), "nsfw": body.get("nsfw", False), "description": body.get("description", "")}
    rights = command.get("default_member_permissions")
    body["default_member_permissions"] = None if rights is None else str(rights)
    body.setdefault("integration_types", [0])
    body["contexts"] = command.get("contexts")
    if "options" in body:
        body["options"] = [_option(option) for option in body["options"]]
    return body


def _option(option: Json) -> Json:
    body = {name: value for name, value in option.items() if value is not None and value != []}
    if body["type"] in {SUBCOMMAND, GROUP}:
        body.pop("required", None)
        body["options"] = [_option(inner) for inner in body.get("options", [])]
    return body


def _check_all(commands: list[Json]) -> None:
    if len(commands) > MOST_COMMANDS:
        raise discord_wire.too_long("_", MOST_COMMANDS)
    names = [(command.get("type", 1), command.get("name")) for command in commands]
    for n, command in enumerate(commands):
        if names.index(names[n]) != n:
            text = "Application command names must be unique"
            raise discord_wire.invalid(f"{n}.name", "APPLICATION_COMMANDS_DUPLICATE_NAME", text)
        if command.get("type", 1) == 1:
            _check(command, str(n))


def _check(command: Json, path: str) -> None:
    name, about = str(command.get("name") or ""), str(command.get("description") or "")
    if not NAME.fullmatch(name) or name != name.lower():
        text = "Command name is invalid"
        raise discord_wire.invalid(f"{path}.name", "APPLICATION_COMMAND_INVALID_NAME", text)
    if not 1 <= len(about) <= 100:
        text = "Must be between 1 and 100 in length."
        raise discord_wire.invalid(f"{path}.description", "BASE_TYPE_BAD_LENGTH", text)
    options = command.get("options") or []
    if len(options) > MOST_OPTIONS:
        raise discord_wire.too_long(f"{path}.options", MOST_OPTIONS)
    required = [bool(option.get("required")) for option in options if option.get("type") not in {SUBCOMMAND, GROUP}]
    if required != sorted(required, reverse=True):
        text = "Required options must be placed before non-required options"
        raise discord_wire.invalid(f"{path}.options", "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", text)
    for n, option in enumerate(options):
        if len(option.get("choices") or []) > MOST_CHOICES:
            raise discord_wire.too_long(f"{path}.options.{n}.choices", MOST_CHOICES)
        _check(option, f"{path}.options.{n}")


def all_options(command: Json) -> Iterator[Json]:
    """Every option of the command and of its subcommands."""
    for option in command.get("options", []):
        yield option
        yield from all_options(option)


def checked_value(option: Json, value: Any) -> Any:
    """The value as a client would send it. Raises ValueError where a client would not let the person send."""
    kind, name = option["type"], option["name"]
    if kind == STRING:
        value = str(value)
        _within(option, len(value), "min_length", "max_length")
    elif kind in {INTEGER, NUMBER}:
        value = int(value) if kind == INTEGER else float(value)
        _within(option, value, "min_value", "max_value")
    elif kind == BOOLEAN:
        value = bool(value)
    else:
        value = str(int(value))
    choices = option.get("choices")
    if choices and value not in [choice["value"] for choice in choices]:
        named = [choice["value"] for choice in choices if choice["name"] == value]
        if not named:
            raise ValueError(f"{name} has no choice {value!r}")
        value = named[0]
    return value


def _within(option: Json, value: float, low: str, high: str) -> None:
    if not option.get(low, value) <= value <= option.get(high, value):
        raise ValueError(f"{option['name']}: {value} is not between {option.get(low)} and {option.get(high)}")
