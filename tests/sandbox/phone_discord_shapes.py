"""What a Discord client shows of messages and commands, as JSON for the phone page.

Ids are texts: they are larger than the page's numbers can be.
"""

from collections.abc import Callable, Iterable

from tests.sandbox import discord, discord_commands, discord_components, discord_posts, phone_wire

Json = phone_wire.Json
Kept = Callable[[discord_posts.Attachment], str]
"""Gives a file's address on the page."""

_PEOPLE, _ROLES, _BOTH, _CHANNELS = 5, 6, 7, 8


def message(one: discord.Message, where: str, world: discord.Discord, kept: Kept) -> Json:
    """The message in the channel that the page knows as `where`."""
    return {
        "id": str(one.id),
        "channel": where,
        "at": one.sent,
        "author": {"name": one.author.name, "bot": one.author.bot},
        "text": _content(one),
        "embeds": [_embed(embed, one, kept) for embed in one.embeds],
        "files": [_file(file, kept) for file in one.attachments],
        "rows": [_row(row, one, world) for row in one.components if row["type"] == discord_components.ROW],
        "reply": str(one.reply_to) if one.reply_to else None,
        "only": one.ephemeral,
        "command": _command(one, world),
        "thinking": one.loading,
        "edited": one.edited is not None,
        "deleted": one.deleted,
    }


def _content(one: discord.Message) -> str:
    """The text, and that of a layout, which has no other content."""
    told = [str(part["content"]) for part in discord_posts.parts(one.components) if part["type"] == 10]
    return "\n".join(part for part in (one.content, *told) if part)


def _command(one: discord.Message, world: discord.Discord) -> Json | None:
    """Who asked for this answer, and with which command."""
    asked = world.interactions.get(int(one.interaction["id"])) if one.interaction else None
    if asked is None or asked.source is not None or one is not asked.original:
        return None
    return {"who": asked.user.name, "words": asked.name}


def _embed(embed: Json, one: discord.Message, kept: Kept) -> Json:
    return {
        "title": embed.get("title", ""),
        "url": embed.get("url"),
        "text": embed.get("description", ""),
        "colour": embed.get("color"),
        "fields": embed.get("fields", []),
        "footer": embed.get("footer", {}).get("text", ""),
        "author": embed.get("author", {}).get("name", ""),
        "image": _picture(embed.get("image"), one, kept),
        "thumbnail": _picture(embed.get("thumbnail"), one, kept),
    }


def _picture(part: Json | None, one: discord.Message, kept: Kept) -> Json | None:
    """The picture, when it lies in the message: the page shows nothing from elsewhere."""
    file = next((file for file in one.files.values() if part and file.url == part["url"]), None)
    return _file(file, kept) if file else None


def _file(file: discord_posts.Attachment, kept: Kept) -> Json:
    shown: Json = {"url": kept(file), "name": file.filename, "alt": file.description or ""}
    return shown | {"width": file.width, "height": file.height, "picture": file.content_type.startswith("image/")}


# --- buttons and menus


def _row(row: Json, one: discord.Message, world: discord.Discord) -> list[Json]:
    return [_part(part, one, world) for part in row["components"]]


def _part(part: Json, one: discord.Message, world: discord.Discord) -> Json:
    shown: Json = {"id": part.get("custom_id"), "off": bool(part.get("disabled"))}
    if part["type"] == discord_components.BUTTON:
        emoji = (part.get("emoji") or {}).get("name") or ""
        return shown | {"text": part.get("label", ""), "emoji": emoji, "style": part["style"], "url": part.get("url")}
    options = part.get("options") or _offered(part["type"], one.channel, world)
    return shown | {"hint": part.get("placeholder", ""), "options": options, "most": part["max_values"]}


def _offered(kind: int, channel: discord.Channel, world: discord.Discord) -> list[Json]:
    """What a menu of people, roles or channels has."""
    guild = channel.guild
    if guild is None:
        return []
    people = [(user, member.user.name) for user, member in guild.members.items()]
    roles = [(role.id, f"@{role.name}") for role in guild.ordered_roles() if role.id != guild.id]
    channels = [(one.id, f"#{one.name}") for one in guild.channels.values()]
    chosen = {_PEOPLE: people, _ROLES: roles, _BOTH: people + roles, _CHANNELS: channels}.get(kind, [])
    return [{"label": name, "value": str(number)} for number, name in chosen]


# --- commands


def commands(told: Iterable[Json], guild_id: int | None, world: discord.Discord) -> list[Json]:
    """Everything that can be said there, one row for each command or subcommand."""
    rows = []
    for command in told:
        if command["type"] == 1 and discord_commands.offered(command, guild_id):
            rows += _leaves(command, command["name"], world, guild_id)
    return sorted(rows, key=lambda row: (row["group"] != "", str(row["words"])))


def _leaves(command: Json, words: str, world: discord.Discord, guild_id: int | None, group: str = "") -> list[Json]:
    inner = [one for one in command.get("options", []) if one["type"] in {1, 2}]
    if inner:
        about = command["description"]
        return [row for one in inner for row in _leaves(one, f"{words} {one['name']}", world, guild_id, about)]
    options = [_option(option, world, guild_id) for option in command.get("options", [])]
    return [{"words": words, "about": command["description"], "group": group, "options": options}]


def _option(option: Json, world: discord.Discord, guild_id: int | None) -> Json:
    choices = [{"name": one["name"], "value": one["value"]} for one in option.get("choices", [])]
    guild = world.guilds.get(guild_id) if guild_id else None
    if option["type"] == discord_commands.BOOLEAN:
        choices = [{"name": "Yes", "value": True}, {"name": "No", "value": False}]
    elif option["type"] == discord_commands.USER and guild:
        choices = [{"name": member.user.name, "value": str(user)} for user, member in guild.members.items()]
    elif option["type"] == discord_commands.ROLE and guild:
        choices = [{"name": f"@{role.name}", "value": str(role.id)} for role in guild.ordered_roles()]
    elif option["type"] == discord_commands.CHANNEL and guild:
        choices = [{"name": f"#{one.name}", "value": str(one.id)} for one in guild.channels.values()]
    return {
        "name": option["name"],
        "about": option["description"],
        "required": bool(option.get("required")),
        "number": option["type"] in {discord_commands.INTEGER, discord_commands.NUMBER},
        "choices": choices,
        "suggests": bool(option.get("autocomplete")),
    }
