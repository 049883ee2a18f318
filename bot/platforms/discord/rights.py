"""What somebody may do on a Discord server or in a channel of it, worked out from what the REST API says of both."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import discord

from bot.platforms.discord import api

Json = dict[str, Any]

POSTING = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "embed_links": "Embed Links",
    "attach_files": "Attach Files",
    "read_message_history": "Read Message History",
}
"""What we need in a channel, by the library's names, in the words of Discord's settings."""
POWERS = {
    "administrator": "Administrator",
    "manage_guild": "Manage Server",
    "manage_roles": "Manage Roles",
    "manage_channels": "Manage Channels",
    "ban_members": "Ban Members",
    "kick_members": "Kick Members",
}
"""What no subscriber should get with a role."""
POSTS = discord.Permissions(**dict.fromkeys(POSTING, True))
INVITED = discord.Permissions(**dict.fromkeys(POSTING, True), manage_roles=True, manage_channels=True)
"""What our invitation asks for."""


@dataclass(frozen=True, slots=True)
class House:
    """A server as the API describes it, our own member of it, and its channels by their numbers."""

    guild: Json
    me: Json
    channels: dict[str, Json]

    @property
    def roles(self) -> dict[str, Json]:
        """Roles by their numbers; @everyone has the server's own."""
        return {role["id"]: role for role in self.guild["roles"]}

    @property
    def mine(self) -> discord.Permissions:
        """What we may do on the server."""
        return of_member(self.guild, self.me)

    @property
    def own_role(self) -> Json | None:
        """Our highest role."""
        held = [role for role in self.guild["roles"] if role["id"] in self.me["roles"]]
        return max(held, key=rank, default=None)

    def below_us(self, role: Json) -> bool:
        """Whether we may give and take this role, as far as the order of roles is concerned."""
        own = self.own_role
        return self.guild["owner_id"] == self.me["user"]["id"] or (own is not None and rank(own) > rank(role))


async def house(connection: api.Api, space: str) -> House:
    """The server; raises RefusalError when we are not in it, UnreachableError when Discord does not answer."""
    here = {"guild_id": space}
    guild = await connection.fetch("/guilds/{guild_id}", here)
    me = await connection.fetch("/guilds/{guild_id}/members/{user_id}", here | {"user_id": connection.me})
    channels = await connection.fetch("/guilds/{guild_id}/channels", here)
    return House(guild, me, {channel["id"]: channel for channel in channels})


def rank(role: Json) -> tuple[int, int]:
    """The order of roles: of two with one position the older stands higher."""
    return int(role["position"]), -int(role["id"])


def kept(guild: Json, member: Json) -> bool:
    """Whether the member is the server's owner, an administrator or a bot."""
    return bool(member["user"].get("bot")) or of_member(guild, member).administrator


def of_role(role: Json) -> discord.Permissions:
    """What the role alone allows on the server."""
    return discord.Permissions(int(role["permissions"]))


def of_member(guild: Json, member: Json) -> discord.Permissions:
    """What the member may do on the server, without regard to channels."""
    if guild["owner_id"] == member["user"]["id"]:
        return discord.Permissions.all()
    return _of_roles(guild, [guild["id"], *member["roles"]])


def _of_roles(guild: Json, roles: Iterable[str]) -> discord.Permissions:
    held, bits = set(roles), 0
    for role in guild["roles"]:
        if role["id"] in held:
            bits |= int(role["permissions"])
    allowed = discord.Permissions(bits)
    return discord.Permissions.all() if allowed.administrator else allowed


def in_channel(guild: Json, channel: Json, member: Json) -> discord.Permissions:
    """What the member may do in the channel; nothing when they do not see it."""
    allowed = of_member(guild, member)
    if allowed.administrator:
        return allowed
    return _overwritten(guild, channel, allowed, member["roles"], member["user"]["id"])


def with_role(guild: Json, channel: Json, role: str = "") -> discord.Permissions:
    """What somebody may do in the channel who has this role (none: no role at all) and nothing else."""
    roles = [role] if role else []
    allowed = _of_roles(guild, [guild["id"], *roles])
    return allowed if allowed.administrator else _overwritten(guild, channel, allowed, roles, "")


def _overwritten(
    guild: Json, channel: Json, allowed: discord.Permissions, roles: Iterable[str], user: str
) -> discord.Permissions:
    """The channel's exceptions applied: for everyone, then for all roles together, then for the member alone."""
    own = {one["id"]: (int(one["allow"]), int(one["deny"])) for one in channel.get("permission_overwrites", ())}
    held = [own[role] for role in roles if role in own]
    together = (_any(allow for allow, _ in held), _any(deny for _, deny in held))
    bits = allowed.value
    for allow, deny in (own.get(guild["id"], (0, 0)), together, own.get(user, (0, 0))):
        bits = bits & ~deny | allow
    seen = discord.Permissions(bits)
    return seen if seen.view_channel else discord.Permissions.none()


def _any(bits: Iterable[int]) -> int:
    total = 0
    for one in bits:
        total |= one
    return total
