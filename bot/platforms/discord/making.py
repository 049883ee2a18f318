"""Roles and channels on Discord are chosen or made for a place, so that only those with the role see the channel.

Nothing is made twice: what carries the name that we give is taken before another one is made.
"""

from dataclasses import dataclass, field
from typing import Any

import discord

from bot.platforms.discord import api, events, hindrances, rights, wire
from core import errors, models

Json = dict[str, Any]

_EVERYONE, _MEMBER = 0, 1
_VIEW = discord.Permissions(view_channel=True).value
_SPEAK = discord.Permissions(send_messages=True).value
_READ = discord.Permissions(view_channel=True, read_message_history=True).value
_TEXT_CHANNEL = 0
_REASON = "/setup"


@dataclass(slots=True)
class Work:
    """What is being set up: the place as it will be, and in words what was done and what was not possible."""

    place: models.Place
    house: rights.House
    service: str
    done: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


async def role(connection: api.Api, work: Work, chosen: str) -> None:
    """The place has this role, or one that carries the name of the service."""
    usual = work.place.key.startswith(events.PLATFORM)
    name = f"{work.service} {'member' if usual else work.place.key}"[:100]
    roles = work.house.roles
    if chosen:
        work.place.role = chosen
        work.done.append(f"Subscribers get the role “{roles[chosen]['name'] if chosen in roles else chosen}”.")
        return
    # One that may do something on the server is somebody else's, whatever it is called.
    alike = (r for r in roles.values() if r["name"] == name and not r.get("managed") and r["permissions"] == "0")
    known = next(alike, None)
    if known is None:
        if not work.house.mine.manage_roles:
            work.missing.append(hindrances.MANAGE_ROLES)
            return
        body = {"name": name, "permissions": "0"}
        here = {"guild_id": work.place.space}
        known = await connection.call("POST", "/guilds/{guild_id}/roles", here, json=body, reason=_REASON)
        work.house.guild["roles"].append(known)
        work.done.append(f"Made the role “{name}”; subscribers get it.")
    else:
        work.done.append(f"Subscribers get the role “{name}”, which was there.")
    work.place.role = str(known["id"])


async def channel(connection: api.Api, work: Work, chosen: str) -> None:
    """The place has this channel, or one that we make for it; only the role and we see it."""
    channels = work.house.channels
    topic = f"Signals of {work.service} ({work.place.key})"
    before = channels.get(chosen or work.place.channel)
    made = before or next((c for c in channels.values() if c.get("topic") == topic), None)
    if made is None and chosen:
        raise errors.RefusedError("Our bot cannot find that channel on this server.")
    if made is None:
        if not work.house.mine.manage_channels:
            work.missing.append(hindrances.MANAGE_CHANNELS)
            return
        made = await _made(connection, work, topic)
        work.done.append(f"Made the channel #{made['name']}; only subscribers and the bot see it.")
    else:
        work.done.append(f"Signals are posted in #{made['name']}.")
        await gate(connection, work, made, "")
    work.place.channel = str(made["id"])


async def _made(connection: api.Api, work: Work, topic: str) -> Json:
    own = {
        "id": connection.me,
        "type": _MEMBER,
        "allow": str(rights.POSTS.value & work.house.mine.value),
        "deny": "0",
    }
    everyone = {"id": work.place.space, "type": _EVERYONE, "allow": "0", "deny": str(_VIEW | _SPEAK)}
    shown = [own, everyone]
    if work.place.role:
        shown.append({"id": work.place.role, "type": _EVERYONE, "allow": str(_READ), "deny": "0"})
    name = "signals" if work.place.key.startswith(events.PLATFORM) else f"{work.place.key}-signals"
    body = {"name": name, "type": _TEXT_CHANNEL, "topic": topic, "permission_overwrites": shown}
    here = {"guild_id": work.place.space}
    made: Json = await connection.call("POST", "/guilds/{guild_id}/channels", here, json=body, reason=_REASON)
    return made


async def gate(connection: api.Api, work: Work, where: Json, before: str) -> None:
    """Only those with the role, and we, see the channel; whoever had the role before does no longer."""
    # We first: without a way in of our own, shutting out everybody would shut us out too.
    wanted = [
        (connection.me, _MEMBER, rights.POSTS.value & work.house.mine.value, 0),
        (work.place.role, _EVERYONE, _READ, 0),
        (work.place.space, _EVERYONE, 0, _VIEW),
    ]
    known = {one["id"]: one for one in where.get("permission_overwrites", ())}
    try:
        for number, kind, allow, deny in wanted:
            now = known.get(number, {"allow": "0", "deny": "0"})
            bits = (int(now["allow"]) & ~deny | allow, int(now["deny"]) & ~allow | deny)
            if number and bits != (int(now["allow"]), int(now["deny"])):
                await _overwrite(connection, where, number, {"type": kind, "allow": str(bits[0]), "deny": str(bits[1])})
                work.done.append(f"Changed who sees #{where['name']}.")
        if before and before != work.place.role and before in known:
            await _overwrite(connection, where, before, None)
    except wire.RefusalError:
        work.missing.append(
            f"Our bot may not change who sees #{where['name']}: open Edit Channel → Permissions, add the bot, "
            "and switch on “View Channel” and “Manage Permissions”; then say /setup channels again."
        )
    if others := _seeing(work, known, before):
        work.done.append(f"These roles see #{where['name']} as well: {', '.join(others)}.")
    work.done = list(dict.fromkeys(work.done))


def _seeing(work: Work, known: dict[str, Json], before: str) -> list[str]:
    """The other roles that a channel lets in, such as moderators', by their names."""
    own = work.house.own_role
    ours = {work.place.role, before, work.place.space, str(own["id"]) if own else ""}
    shown = {number for number, one in known.items() if int(one["allow"]) & _VIEW} - ours
    return sorted(f"“{role['name']}”" for number, role in work.house.roles.items() if number in shown)


async def _overwrite(connection: api.Api, where: Json, number: str, body: Json | None) -> None:
    ids = {"channel_id": str(where["id"]), "overwrite_id": number}
    method = "DELETE" if body is None else "PUT"
    path = "/channels/{channel_id}/permissions/{overwrite_id}"
    await connection.call(method, path, ids, json=body, reason=_REASON)
