"""Discord on the phone page: a server with its channels, the private chat with the bot, and answers for one's eyes."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress

from aiohttp import web

from tests.sandbox import (
    discord,
    discord_interactions,
    discord_permissions,
    discord_places,
    discord_posts,
    phone_discord_shapes,
    phone_wire,
)

Json = phone_wire.Json
Seat = phone_wire.Seat

PRIVATE = "dm"
"""How the page calls the private chat with the bot; channels are called by their numbers."""
NO_ANSWER = "The application did not respond"


class Servers:
    """The routes of people's Discord, and what they see: the first server each of them is on."""

    def __init__(self, world: discord.Discord, seats: Sequence[Seat]) -> None:
        self._discord = world
        self._seats = {seat.discord: seat for seat in seats if seat.discord}
        self._files: dict[str, discord_posts.Attachment] = {}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/discord/file/{file}", self._file),
            web.post("/discord/slash", self._slash),
            web.post("/discord/suggest", self._suggest),
            web.post("/discord/use", self._use),
        ]

    def watching(self, news: phone_wire.News) -> list[Awaitable[None]]:
        """What tells everything there, and from then on every change, until cancelled."""
        return [self._watch(seat, news) for seat in self._seats.values()]

    # --- what the visitor does

    async def _file(self, request: web.Request) -> web.Response:
        file = self._files.get(request.match_info["file"])
        if file is None:
            raise web.HTTPNotFound
        safe = file.content_type in {"image/png", "image/jpeg"}  # nothing that a browser could run
        how = {} if safe else {"Content-Disposition": f'attachment; filename="{file.filename}"'}
        kind = file.content_type if safe else "application/octet-stream"
        return web.Response(body=file.content, content_type=kind, headers=how)

    async def _slash(self, request: web.Request) -> web.Response:
        said = await phone_wire.read(request)
        user, options = self._user(said), said.get("options") or {}
        try:
            where = self._channel(user, said)
            one = await self._discord.slash(user, str(said.get("words")), options, channel_id=where.id)
        except (ValueError, TypeError, AttributeError) as error:
            raise web.HTTPConflict(text=str(error)) from None
        return web.json_response({"text": await self._missing(one)})

    async def _suggest(self, request: web.Request) -> web.Response:
        """What the bot suggests for the option `option` while `value` stands in it."""
        said = await phone_wire.read(request)
        user, words = self._user(said), str(said.get("words"))
        option, value = str(said.get("option")), str(said.get("value", ""))
        try:
            here = self._channel(user, said).id
            one = await self._discord.autocomplete(user, words, focused=option, value=value, channel_id=here)
        except ValueError as error:
            raise web.HTTPConflict(text=str(error)) from None
        with suppress(TimeoutError):
            await one.answered(discord_interactions.ACKNOWLEDGED_WITHIN)
        return web.json_response({"choices": one.choices or []})

    async def _use(self, request: web.Request) -> web.Response:
        """The button is pressed, or `values` are chosen in the menu."""
        said = await phone_wire.read(request)
        user, values = self._user(said), said.get("values")
        found = next((one for one, _ in self._seen(user) if str(one.id) == said.get("message")), None)
        if found is None:
            raise web.HTTPGone
        try:
            if values is None:
                one = await self._discord.click(user, found, str(said.get("id")))
            else:
                one = await self._discord.select(user, found, str(said.get("id")), values)
        except (ValueError, TypeError) as error:
            raise web.HTTPConflict(text=str(error)) from None
        return web.json_response({"text": await self._missing(one)})

    async def _missing(self, one: discord.Interaction) -> str:
        """What Discord says when the bot has not acknowledged in time; nothing when it has."""
        for _ in range(round(discord_interactions.ACKNOWLEDGED_WITHIN / 0.05)):
            if one.acked_after is not None:
                return ""
            await asyncio.sleep(0.05)
        return NO_ANSWER

    def _user(self, said: Json) -> int:
        user = next((user for user in self._seats if str(user) == said.get("user")), None)
        if user is None:
            raise web.HTTPBadRequest
        return user

    def _channel(self, user: int, said: Json) -> discord.Channel:
        """The channel in which the person says something. Raises ValueError when they are not there."""
        if said.get("channel") == PRIVATE:
            return self._discord.open_dm(user)
        found = (channel for channel in self._channels(user) if str(channel.id) == said.get("channel"))
        if (channel := next(found, None)) is None:
            raise ValueError("You are not in that channel.")
        return channel

    # --- what the visitor sees

    def _guild(self, user: int) -> discord_places.Guild | None:
        return next((guild for guild in self._discord.guilds.values() if user in guild.members), None)

    def _channels(self, user: int) -> list[discord.Channel]:
        guild = self._guild(user)
        text = (one for one in guild.channels.values() if one.kind == discord_places.TEXT) if guild else ()
        return sorted((one for one in text if self._discord.can_see(one.id, user)), key=lambda one: one.position)

    def _seen(self, user: int) -> list[tuple[discord.Message, str]]:
        """Every message that the person can see, and in which channel, oldest first."""
        channels = {one.id: str(one.id) for one in self._channels(user)}
        lying = [(message, str(number)) for number in channels for message in self._discord.messages(number)]
        lying += [(message, PRIVATE) for message in self._discord.dm(user)]
        if user in self._discord.dms:
            channels[self._discord.dms[user].id] = PRIVATE
        for one in self._discord.interactions.values():
            whispers = (message for message in one.messages if message.seen_by == user)
            lying += [(message, channels[message.channel.id]) for message in whispers if message.channel.id in channels]
        return sorted(lying, key=lambda seen: seen[0].id)

    async def _watch(self, seat: Seat, news: phone_wire.News) -> None:
        known: dict[str, Json] = {}
        head: Json = {}
        before: object = None
        while True:
            if (state := self._state(seat.discord)) != before:
                before = state
                shown = {}
                for message, where in self._seen(seat.discord):
                    shape = phone_discord_shapes.message(message, where, self._discord, self._kept)
                    shown[f"{where} {message.id}"] = shape
                changed = [message for key, message in shown.items() if known.get(key) != message]
                now = self._head(seat)
                if changed or now != head:
                    about = now if now != head else {}
                    news.put_nowait({"server": str(seat.discord), **about, "messages": changed})
                known, head = shown, now
            await asyncio.sleep(phone_wire.GLANCE)

    def _state(self, user: int) -> object:
        """Equal as long as there is nothing new to see."""
        guild = self._guild(user)
        channels = [channel.id for channel in self._channels(user)]
        versions = [self._discord.version(key) for key in (user, *channels)]
        commands = [(command["id"], command["version"]) for command in self._told(guild)]
        roles = sorted(guild.members[user].roles) if guild else []
        return channels, versions, commands, roles, bool(self._discord.gateway.live)

    def _told(self, guild: discord_places.Guild | None) -> list[Json]:
        return [
            *self._discord.commands.of(guild.id if guild else None),
            *(self._discord.commands.of(None) if guild else ()),
        ]

    def _head(self, seat: Seat) -> Json:
        user, guild = seat.discord, self._guild(seat.discord)
        everywhere = self._discord.commands.of(None)
        here = [one for one in self._told(guild) if guild and _offered_to(one, guild, user)]
        shapes = phone_discord_shapes
        return {
            "of": seat.user,
            "title": seat.title,
            "about": seat.about,
            "person": self._discord.users[user].name,
            "bot": self._discord.bot.name,
            "online": bool(self._discord.gateway.live),
            "name": guild.name if guild else "",
            "guild": str(guild.id) if guild else "",
            "roles": [role.name for role in guild.ordered_roles() if role.id in guild.members[user].roles]
            if guild
            else [],
            "channels": [_channel(channel) for channel in self._channels(user)],
            "commands": {
                "server": shapes.commands(here, guild.id, self._discord) if guild else [],
                PRIVATE: shapes.commands(everywhere, None, self._discord),
            },
        }

    def _kept(self, file: discord_posts.Attachment) -> str:
        self._files[str(file.id)] = file
        return f"/discord/file/{file.id}"


def _channel(channel: discord.Channel) -> Json:
    closed = not discord_permissions.everyone_sees(channel)
    return {"id": str(channel.id), "name": channel.name, "topic": channel.topic or "", "closed": closed}


def _offered_to(command: Json, guild: discord_places.Guild, user: int) -> bool:
    """Whether a client shows the command to this member: some need permissions."""
    needed, bits = command.get("default_member_permissions"), discord_permissions.of_member(guild, user)
    if needed is None or bits == discord_permissions.ALL:
        return True
    return int(needed) != 0 and bits & int(needed) == int(needed)
