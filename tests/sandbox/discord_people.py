"""What people do with a bot on Discord: commands, suggestions while typing, buttons, menus and forms."""

import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.sandbox import discord_commands as commands
from tests.sandbox import discord_components, discord_interactions, discord_places, discord_posts
from tests.sandbox import discord_permissions as may

if TYPE_CHECKING:
    from tests.sandbox import discord_world

Json = dict[str, Any]
Channel = discord_places.Channel
Interaction = discord_interactions.Interaction
Message = discord_posts.Message

FILE_LIMIT = 10 * 1024 * 1024
RESOLVED = {
    commands.USER: "users", commands.ROLE: "roles", commands.CHANNEL: "channels",
    5: "users", 6: "roles", 8: "channels",
}  # fmt: skip


def command(
    world: "discord_world.World",
    user_id: int,
    words: str,
    options: Mapping[str, Any],
    place: Channel,
    *,
    focused: str | None = None,
    value: str = "",
) -> Interaction:
    """The person has sent the command (or, with `focused`, types this value into an option of it).

    Raises ValueError where a person's client would not let them.
    """
    chosen, path, known = world.commands.find(place.guild_id, words)
    _check_rights(chosen, place, user_id)
    resolved: Json = {}
    sent = _options(world, place, known, options, resolved, complete=focused is None)
    if focused is not None:
        option = _named(known, focused, words)
        if not option.get("autocomplete"):
            raise ValueError(f"/{words}: {focused} makes no suggestions")
        sent.append({"name": focused, "type": option["type"], "value": value, "focused": True})
    for inner in reversed(path):
        sent = [{"name": inner["name"], "type": inner["type"], "options": sent}]
    data: Json = {"id": chosen["id"], "name": chosen["name"], "type": 1, "options": sent}
    if "guild_id" in chosen:
        data["guild_id"] = chosen["guild_id"]
    if resolved:
        data["resolved"] = resolved
    kind = discord_interactions.COMMAND if focused is None else discord_interactions.AUTOCOMPLETE
    return _send(world, kind, user_id, place, data, words)


def use(
    world: "discord_world.World", user_id: int, message: Message, custom_id: str, values: Sequence[Any] | None = None
) -> Interaction:
    """The person has pressed the button, or chosen these values in the menu.

    Raises ValueError when they do not see the message, or it has no such component, or it is switched off.
    """
    seen = message.seen_by == user_id if message.ephemeral else world.can_see(message.channel.id, user_id)
    part = message.part(custom_id)
    if message.deleted or not seen or part is None or part.get("disabled"):
        raise ValueError(f"user {user_id} finds nothing to use with the custom_id {custom_id!r}")
    if (part["type"] == discord_components.BUTTON) != (values is None):
        raise ValueError("buttons are pressed, and in menus something is chosen")
    data: Json = {"custom_id": custom_id, "component_type": part["type"], "id": part["id"]}
    if values is not None:
        data |= _chosen(world, message.channel, part, values)
    return _send(world, discord_interactions.COMPONENT, user_id, message.channel, data, custom_id, source=message)


def submit(world: "discord_world.World", user_id: int, custom_id: str, fields: Mapping[str, Any]) -> Interaction:
    """The person has sent the form they were shown last under this custom_id."""
    shown = (one for one in reversed(world.interactions.values()) if one.user.id == user_id and one.modal)
    before = next((one for one in shown if one.modal and one.modal["custom_id"] == custom_id), None)
    if before is None or before.modal is None:
        raise ValueError(f"user {user_id} was shown no form {custom_id!r}")
    rows = [_filled(row, fields) for row in before.modal["components"]]
    data = {"custom_id": custom_id, "components": rows}
    kind = discord_interactions.MODAL_SUBMIT
    return _send(world, kind, user_id, before.channel, data, custom_id, source=before.source)


def place(world: "discord_world.World", user_id: int, guild_id: int | None, channel_id: int | None) -> Channel:
    """Where the person is: the channel, else the first of the guild in which they may use commands, else their private
    chat with the bot. Raises ValueError when there is none."""
    if channel_id is not None:
        channels = [world.channels[channel_id]]
    elif guild_id is not None:
        channels = [one for one in world.guilds[guild_id].channels.values() if one.kind == discord_places.TEXT]
    else:
        return world.open_dm(user_id)
    wanted = may.VIEW_CHANNEL | may.USE_APPLICATION_COMMANDS
    for channel in channels:
        reached = channel.guild is None or world.bot.id in channel.guild.members
        if reached and not channel.deleted and may.in_channel(channel, user_id) & wanted == wanted:
            return channel
    raise ValueError(f"user {user_id} can use no command there")


def _check_rights(command: Json, where: Channel, user_id: int) -> None:
    """Commands that need permissions are shown to who has them; administrators see all."""
    needed = command.get("default_member_permissions")
    if needed is None or where.guild is None:
        return
    bits = may.of_member(where.guild, user_id)
    if bits != may.ALL and (int(needed) == 0 or bits & int(needed) != int(needed)):
        raise ValueError(f"/{command['name']} is not offered to user {user_id}")


def _named(known: list[Json], name: str, words: str) -> Json:
    option = next((option for option in known if option["name"] == name), None)
    if option is None:
        raise ValueError(f"/{words} has no option {name}")
    return option


def _options(
    world: "discord_world.World",
    where: Channel,
    known: list[Json],
    given: Mapping[str, Any],
    resolved: Json,
    *,
    complete: bool,
) -> list[Json]:
    if unknown := given.keys() - {option["name"] for option in known}:
        raise ValueError(f"the command has no option {', '.join(sorted(unknown))}")
    sent = []
    for option in known:
        name = option["name"]
        if name in given:
            value = commands.checked_value(option, given[name])
            sent.append({"name": name, "type": option["type"], "value": value})
            _resolve(world, where, option["type"], value, resolved)
        elif option.get("required") and complete:
            raise ValueError(f"the option {name} is required")
    return sent


def _resolve(world: "discord_world.World", where: Channel, kind: int, value: Any, resolved: Json) -> None:
    """What the value names is written out under `resolved`."""
    if kind not in {commands.USER, commands.CHANNEL, commands.ROLE, commands.MENTIONABLE}:
        return
    number, guild = int(value), where.guild
    if kind == commands.ROLE or (kind == commands.MENTIONABLE and guild and number in guild.roles):
        if guild is None:
            raise ValueError("there are no roles in a private chat")
        resolved.setdefault("roles", {})[value] = guild.roles[number].json()
    elif kind == commands.CHANNEL:
        channel = world.channels[number]
        body: Json = {"id": value, "type": channel.kind, "name": channel.name, "flags": 0}
        body["permissions"] = str(may.in_channel(channel, world.bot.id))
        body["parent_id"] = str(channel.parent.id) if channel.parent else None
        resolved.setdefault("channels", {})[value] = body
    else:
        resolved.setdefault("users", {})[value] = world.users[number].json()
        if guild and number in guild.members:
            member = guild.members[number].json() | {"permissions": str(may.in_channel(where, number))}
            resolved.setdefault("members", {})[value] = {key: member[key] for key in member if key != "user"}


def _chosen(world: "discord_world.World", where: Channel, part: Json, values: Sequence[Any]) -> Json:
    kind, texts = part["type"], [str(value) for value in values]
    if not part["min_values"] <= len(texts) <= part["max_values"]:
        raise ValueError(f"between {part['min_values']} and {part['max_values']} values are chosen there")
    if kind == discord_components.STRING_MENU:
        if unknown := set(texts) - {option["value"] for option in part["options"]}:
            raise ValueError(f"the menu does not have {', '.join(sorted(unknown))}")
        return {"values": texts}
    option_kind = {5: commands.USER, 6: commands.ROLE, 7: commands.MENTIONABLE, 8: commands.CHANNEL}[kind]
    resolved: Json = {}
    for text in texts:
        _resolve(world, where, option_kind, text, resolved)
    return {"values": texts, "resolved": resolved}


def _filled(row: Json, fields: Mapping[str, Any]) -> Json:
    """The row of a form, or the label with one input, as it is sent."""

    def filled(part: Json) -> Json:
        body: Json = {"type": part["type"], "id": part.get("id", 0), "custom_id": part["custom_id"]}
        value = fields.get(part["custom_id"], part.get("value") or "")
        if part.get("required", True) and value == "":
            raise ValueError(f"the field {part['custom_id']} is required")
        return body | ({"values": list(value)} if part["type"] in discord_components.MENUS else {"value": value})

    body: Json = {"type": row["type"], "id": row.get("id", 0)}
    if "component" in row:
        return body | {"component": filled(row["component"])}
    return body | {"components": [filled(part) for part in row.get("components", [])]}


def _send(
    world: "discord_world.World",
    kind: int,
    user_id: int,
    where: Channel,
    data: Json,
    name: str,
    *,
    source: Message | None = None,
) -> Interaction:
    user, guild = world.users[user_id], where.guild
    one = Interaction(world.new_id(), secrets.token_urlsafe(60), kind, user, where, name, world.now(), source=source)
    world.interactions[one.id] = one
    fields = {"interaction_id": one.id, "user_id": user_id, "channel_id": where.id, "guild_id": where.guild_id}
    one.row = world.history.add("discord_interaction", **fields, kind=kind, name=name, acked=None)
    body: Json = {"id": str(one.id), "application_id": str(world.bot.id), "type": kind, "token": one.token}
    body |= {"version": 1, "data": data, "locale": "en-US", "entitlements": [], "attachment_size_limit": FILE_LIMIT}
    body |= {"channel_id": str(where.id), "channel": where.json(), "context": 0 if guild else 1}
    body["app_permissions"] = str(may.in_channel(where, world.bot.id))
    body["authorizing_integration_owners"] = {"0": str(guild.id if guild else 0)}
    if source:
        body["message"] = source.json()
    if guild:
        member = guild.members[user_id].json() | {"permissions": str(may.in_channel(where, user_id))}
        body |= {"member": member, "guild_id": str(guild.id), "guild_locale": "en-US"}
        body["guild"] = {"id": str(guild.id), "locale": "en-US", "features": []}
    else:
        body["user"] = user.json()
    world.gateway.dispatch("INTERACTION_CREATE", body, guild=guild)
    return one
