"""What hinders us on a Discord server, in words for its owner: what is missing, and what to do about it."""

from collections.abc import Sequence
from typing import Any

from bot.platforms.discord import api, rights, wire
from core import errors, models

Json = dict[str, Any]

INVITATION = "https://discord.com/oauth2/authorize?client_id="
NO_ROLE = "No role is chosen for this place yet: say /setup roles on the server."
ROLE_GONE = "The role of this place was deleted: make or choose another one with /setup roles."
NO_CHANNEL = "No channel is chosen for this place yet: say /setup channels on the server."
CHANNEL_GONE = "The channel of this place was deleted: make or choose another one with /setup channels."
MANAGE_ROLES = (
    "Our bot lacks the right “Manage Roles”: open Server Settings → Roles, choose the bot's role, and switch it on."
)
MANAGE_CHANNELS = (
    "Our bot lacks the right “Manage Channels”: open Server Settings → Roles, choose the bot's role, and switch it on."
)
TWO_FACTOR = (
    "This server wants two-factor authentication of its moderators, and the bot's owner has none: switch it on in "
    "the Discord account that owns the application."
)
_UNKNOWN_GUILD, _MISSING_ACCESS = 10004, 50001


def invitation(application: str) -> str:
    """The address at which an owner adds our bot to a server, with the rights it needs."""
    return f"{INVITATION}{application}&scope=bot+applications.commands&permissions={rights.INVITED.value}"


def absent(application: str) -> str:
    """The sentence for a server that our bot is not on."""
    return f"Our bot is not on the server: add it with {invitation(application)}"


def order(ours: str, role: str) -> str:
    """The sentence for a role that stands too high for us."""
    return f"Drag the bot's role “{ours}” above the role “{role}” in Server Settings → Roles."


async def of(connection: api.Api, place: models.Place) -> list[str]:
    """Everything that hinders us in this place; raises UnreachableError when Discord does not answer."""
    try:
        with api.documented():
            house = await rights.house(connection, place.space)
            return [*about_role(house, place.role), *about_channel(house, place.channel, place.role)]
    except wire.RefusalError as error:
        if error.code in {_UNKNOWN_GUILD, _MISSING_ACCESS} or error.status == 404:
            return [absent(connection.application)]
        return [f"Discord does not show us the server ({error})."]


async def posting(connection: api.Api, number: str) -> list[str]:
    """Everything that hinders us from posting in this channel; raises UnreachableError when Discord does not answer."""
    try:
        with api.documented():
            found = await connection.fetch("/channels/{channel_id}", {"channel_id": number})
            house = await rights.house(connection, found["guild_id"])
            channel = house.channels.get(number, found)
            missing = lacking(house, channel)
            return [lacks(channel["name"], missing)] if missing else []
    except wire.RefusalError:
        return [f"Discord shows us no channel {number}: correct the number, or let our bot see the channel."]


def about_role(house: rights.House, number: str) -> list[str]:
    """What hinders us from giving and taking this role."""
    found = [] if house.mine.manage_roles else [MANAGE_ROLES]
    if not number:
        return [*found, NO_ROLE]
    role = house.roles.get(number)
    if role is None:
        return [*found, ROLE_GONE]
    if role.get("managed") or number == house.guild["id"]:
        return [*found, f"The role “{role['name']}” cannot be given to anybody: choose another one with /setup roles."]
    if not house.below_us(role):
        ours = house.own_role
        found.append(order(ours["name"] if ours else "SignalStack", role["name"]))
    if powers := [words for name, words in rights.POWERS.items() if getattr(rights.of_role(role), name)]:
        found.append(
            f"The role “{role['name']}” would give every subscriber power over the server ({', '.join(powers)}): take "
            "that from it, or choose another one with /setup roles."
        )
    return found


def about_channel(house: rights.House, number: str, role: str) -> list[str]:
    """What hinders us from posting in this channel, and members with the role from reading; and who reads unpaid."""
    if not number:
        return [NO_CHANNEL]
    channel = house.channels.get(number)
    if channel is None:
        return [CHANNEL_GONE]
    found = []
    if missing := lacking(house, channel):
        found.append(lacks(channel["name"], missing))
    if rights.with_role(house.guild, channel).view_channel:
        found.append(
            f"Everybody on the server can read #{channel['name']} without paying: open Edit Channel → Permissions and "
            "switch on “Private Channel”."
        )
    known = house.roles.get(role)
    if known is not None and not rights.with_role(house.guild, channel, role).view_channel:
        found.append(
            f"Members with the role “{known['name']}” cannot see #{channel['name']}: open Edit Channel → Permissions, "
            "add the role, and allow “View Channel”."
        )
    return found


def lacking(house: rights.House, channel: Json) -> list[str]:
    """The rights that we need in this channel and do not have."""
    mine = rights.in_channel(house.guild, channel, house.me)
    return [words for name, words in rights.POSTING.items() if not getattr(mine, name)]


def lacks(channel: str, missing: Sequence[str]) -> str:
    """The sentence for rights that we do not have in a channel."""
    named = " and ".join(f"“{right}”" for right in missing)
    many = "rights" if len(missing) > 1 else "right"
    return (
        f"Our bot lacks the {many} {named} in #{channel}: open Edit Channel → Permissions, add the bot, and switch "
        f"{'them' if len(missing) > 1 else 'it'} on."
    )


async def in_post(connection: api.Api, space: str, number: str) -> str:
    """Why a post in this channel was refused, as well as can be found out; empty when nothing is found."""
    try:
        house = await rights.house(connection, space)
    except wire.RefusalError:
        return absent(connection.application)
    except errors.UnreachableError:
        return ""
    channel = house.channels.get(number)
    if channel is None:
        return CHANNEL_GONE
    missing = lacking(house, channel)
    return lacks(channel["name"], missing) if missing else ""
