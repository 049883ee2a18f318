"""Discord's gateway: sessions over WebSockets, events with their intents, resuming, and what can go wrong with it."""

import asyncio
import secrets
from collections.abc import Awaitable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import WSMsgType, web

from tests.sandbox import discord_link, discord_places, discord_posts, discord_wire

if TYPE_CHECKING:
    from tests.sandbox import discord_world

Json = dict[str, Any]
Link = discord_link.Link
Session = discord_link.Session

GUILDS, GUILD_MEMBERS, GUILD_PRESENCES = 1 << 0, 1 << 1, 1 << 8
GUILD_MESSAGES, DIRECT_MESSAGES, MESSAGE_CONTENT = 1 << 9, 1 << 12, 1 << 15
PRIVILEGED = GUILD_MEMBERS | GUILD_PRESENCES | MESSAGE_CONTENT
KNOWN_INTENTS = (1 << 26) - 1
HEARTBEAT, IDENTIFY, PRESENCE, VOICE, RESUME, RECONNECT, MEMBERS, INVALID, HELLO, ACK = 1, 2, 3, 4, 6, 7, 8, 9, 10, 11
CHUNK = 1000


class Gateway:
    """The gateway and the controls of what goes wrong with it.

    Counters: `identifies`, `resumes` (accepted ones), `connections` (WebSockets ever asked for). `live` are the
    sessions that are connected now.
    """

    def __init__(self, world: "discord_world.World") -> None:
        self._world = world
        self.heartbeat_interval = 41.25
        """Seconds, as the next Hello says it."""
        self.privileged = True
        """Whether the privileged intents are switched on for the application."""
        self.down = False
        """Whether connections are refused and `/gateway/bot` answers 503."""
        self.session_memory = 300.0
        """Seconds for which a session without a connection can be resumed."""
        self.identifies = self.resumes = self.connections = 0
        self.session_limit = discord_link.SessionLimit(world.now)
        self._links: set[Link] = set()
        self._sessions: dict[str, Session] = {}
        self._thawed = asyncio.Event()
        self._thawed.set()

    # --- controls

    def freeze(self) -> None:
        """Connections stay open and new ones are taken, but nothing comes back any more: no Hello, no event, no ack."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Everything that was held back is sent."""
        self._thawed.set()

    def drop(self, code: int = 1006) -> Awaitable[Any]:
        """Every connection ends with this close code; 1006: without one. Sessions can be resumed. May be awaited."""
        closing = [self._close(link, code) for link in tuple(self._links)]
        return asyncio.gather(*closing, return_exceptions=True)

    def reconnect(self) -> None:
        """Every client is asked to reconnect (op 7)."""
        for link in self._links:
            link.send({"op": RECONNECT, "d": None, "s": None, "t": None})

    def forget_sessions(self) -> None:
        """No session can be resumed any more; a client that tries is told so (op 9)."""
        self._sessions.clear()

    @property
    def live(self) -> list[Session]:
        return [link.session for link in self._links if link.session]

    def url(self, request: web.Request) -> str:
        """Where the gateway is, for whoever asked under this address."""
        return f"ws://{request.host}/gateway"

    # --- events

    def dispatch(self, event: str, data: Json, *, guild: discord_places.Guild | None = None, intent: int = 0) -> None:
        """Every session that wants to know it (`intent`, 0: always) and that the guild belongs to is told."""
        known = {id(session): session for session in (*self._sessions.values(), *self.live)}
        for session in known.values():
            if session.has(guild.id if guild else None) and (not intent or session.intents & intent):
                session.dispatch(event, data)

    def guild_created(self, guild: discord_places.Guild) -> None:
        """The bot is in the guild; sessions learn everything about it."""
        for session in {id(one): one for one in (*self._sessions.values(), *self.live)}.values():
            if session.has(guild.id) and session.intents & GUILDS:
                session.dispatch("GUILD_CREATE", self._guild_json(guild, session))

    def message_event(self, event: str, message: discord_posts.Message) -> None:
        """Whoever wants to know of messages there is told."""
        channel = message.channel
        body = message.json(with_nonce=event == "MESSAGE_CREATE")
        if event == "MESSAGE_DELETE":
            body = {"id": str(message.id), "channel_id": str(channel.id)}
        if channel.guild is None:
            self.dispatch(event, body, intent=DIRECT_MESSAGES)
        elif self._world.bot.id in channel.guild.members:
            body["guild_id"] = str(channel.guild.id)
            self.dispatch(event, body, guild=channel.guild, intent=GUILD_MESSAGES)

    def _guild_json(self, guild: discord_places.Guild, session: Session) -> Json:
        with_members = bool(session.intents & GUILD_MEMBERS and session.intents & GUILD_PRESENCES)
        return guild.gateway_json(self._world.bot.id, with_members=with_members)

    # --- connections

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """The WebSocket, until it ends."""
        compress = request.query.get("compress")
        if self.down or compress not in {None, "zlib-stream"}:
            return web.Response(status=503 if self.down else 400)
        self.connections += 1
        await self._thawed.wait()
        if request.transport is None:
            return web.Response(status=500)  # whoever asked has given up
        socket = web.WebSocketResponse(timeout=1, compress=False, autoclose=False, max_msg_size=64 * 1024)
        await socket.prepare(request)
        link = Link(socket, request, compressed=compress is not None)
        self._links.add(link)
        writing = asyncio.create_task(link.write(self._thawed))
        link.send({"op": HELLO, "d": {"heartbeat_interval": round(self.heartbeat_interval * 1000)}})
        try:
            await self._listen(link)
        finally:
            self._links.discard(link)
            writing.cancel()
            self._parted(link)
        with suppress(ConnectionError):
            await socket.close(code=link.close_code or 1000)
        return socket

    async def _listen(self, link: Link) -> None:
        while link.close_code is None:
            message = await link.socket.receive()
            if message.type is WSMsgType.CLOSE:
                # discord.py says goodbye with 1000 when it stops; a session that ends so cannot be resumed.
                link.farewell = message.data
                await self._thawed.wait()
                return
            if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                return
            await self._hear(link, message.data)

    async def _hear(self, link: Link, data: str | bytes) -> None:
        try:
            said = orjson.loads(data)
            op, body = said["op"], said.get("d")
        except (orjson.JSONDecodeError, KeyError, TypeError):
            await self._close(link, 4002)
            return
        if op == HEARTBEAT:
            link.send({"op": ACK})
        elif op == IDENTIFY:
            await self._identify(link, body)
        elif op == RESUME:
            await self._resume(link, body)
        elif link.session is None:
            await self._close(link, 4003)
        elif op == MEMBERS:
            self._send_members(link.session, body)
        elif op not in {PRESENCE, VOICE}:
            await self._close(link, 4001)

    async def _identify(self, link: Link, body: Json) -> None:
        shard, count = (body.get("shard") or [0, 1])[:2]
        intents = body.get("intents", -1)
        code = self._refuses(link, body.get("token"), intents, shard, count)
        allowed = not code and self.session_limit.take()
        fields: Json = {"shard": shard, "intents": intents, "remaining": self.session_limit.remaining}
        if not allowed:
            self._world.history.add("discord_identify_refused", **fields, code=code or 4008)
            await self._close(link, code or 4008)
            return
        self.identifies += 1
        self._world.history.add("discord_identify", **fields)
        self._forget_old()
        session = Session(secrets.token_hex(16), intents, (shard, count), self._world.new_id())
        self._sessions[session.id] = session
        session.join(link)
        guilds = [guild for guild in self._guilds() if session.has(guild.id)]
        session.dispatch("READY", self._ready(link, session, guilds))
        if intents & GUILDS:
            for guild in guilds:
                session.dispatch("GUILD_CREATE", self._guild_json(guild, session))

    def _refuses(self, link: Link, token: Any, intents: int, shard: int, count: int) -> int | None:
        if token is None or str(token).removeprefix("Bot ") != self._world.token:
            return 4004
        if link.session:
            return 4005
        if not 0 <= shard < count:
            return 4010
        if not 0 <= intents <= KNOWN_INTENTS:
            return 4013
        return 4014 if intents & PRIVILEGED and not self.privileged else None

    def _ready(self, link: Link, session: Session, guilds: list[discord_places.Guild]) -> Json:
        bot = self._world.bot.json() | {"verified": True, "mfa_enabled": False, "email": None}
        waiting = [{"id": str(guild.id), "unavailable": True} for guild in guilds]
        ready: Json = {"v": 10, "user": bot, "guilds": waiting, "session_id": session.id, "shard": list(session.shard)}
        ready |= {"resume_gateway_url": self.url(link.request), "session_type": "normal", "private_channels": []}
        return ready | {"application": {"id": str(self._world.bot.id), "flags": self.application_flags}}

    @property
    def application_flags(self) -> int:
        """As an application of fewer than 100 guilds has them: which privileged intents are switched on, commands."""
        return 1 << 23 | (1 << 13 | 1 << 15 | 1 << 19 if self.privileged else 0)

    def _guilds(self) -> list[discord_places.Guild]:
        return [guild for guild in self._world.guilds.values() if self._world.bot.id in guild.members]

    def _forget_old(self) -> None:
        """Sessions that were left too long ago cannot be resumed any more."""
        oldest = self._world.now() - self.session_memory
        self._sessions = {key: one for key, one in self._sessions.items() if one.link or one.left_at >= oldest}

    async def _resume(self, link: Link, body: Json) -> None:
        self._forget_old()
        session = self._sessions.get(str(body.get("session_id")))
        if body.get("token") != self._world.token:
            await self._close(link, 4004)
            return
        known = session is not None and session.since(body.get("seq") or 0) is not None
        self._world.history.add("discord_resume", session_id=body.get("session_id"), resumed=known)
        if session is None or not known:
            link.send({"op": INVALID, "d": False, "s": None, "t": None})
            return
        self.resumes += 1
        session.join(link)
        for payload in session.since(body.get("seq") or 0) or ():
            link.send(payload)
        session.dispatch("RESUMED", {"_trace": []})

    def _send_members(self, session: Session, body: Json) -> None:
        """GUILD_MEMBERS_CHUNK, as many as it needs; the whole list only with the intent."""
        guild = self._world.guilds.get(int(body["guild_id"]))
        if guild is None or self._world.bot.id not in guild.members:
            return
        wanted = [int(one) for one in _listed(body.get("user_ids"))]
        query, limit = str(body.get("query") or "").lower(), int(body.get("limit") or 0)
        members = [guild.members[one] for one in wanted if one in guild.members]
        if not wanted and (query or session.intents & GUILD_MEMBERS):
            members = [one for one in guild.members.values() if one.user.name.lower().startswith(query)]
            members = members[:limit] if limit else members
        chunks = [members[n : n + CHUNK] for n in range(0, len(members), CHUNK)] or [[]]
        for number, chunk in enumerate(chunks):
            data: Json = {"guild_id": str(guild.id), "members": [member.json() for member in chunk]}
            data |= {"chunk_index": number, "chunk_count": len(chunks), "nonce": body.get("nonce")}
            data["not_found"] = [str(one) for one in wanted if one not in guild.members]
            session.dispatch("GUILD_MEMBERS_CHUNK", data)

    # --- endings

    async def _close(self, link: Link, code: int) -> None:
        link.close_code = code
        if code == 1006:
            if link.request.transport:
                link.request.transport.abort()
        else:
            await link.socket.close(code=code)

    def _parted(self, link: Link) -> None:
        if link.session and link.session.link is link:
            link.session.link, link.session.left_at = None, self._world.now()
            if link.farewell in {1000, 1001}:
                self._sessions.pop(link.session.id, None)

    async def close(self) -> None:
        """Every connection ends, as when Discord goes away."""
        self.thaw()
        await self.drop(1001)

    # --- what the routes answer

    def about(self, request: web.Request) -> Json:
        """The answer of `/gateway/bot`."""
        if self.down:
            raise discord_wire.Refused(503, 0, "503: Service Unavailable")
        limit: Json = {"total": self.session_limit.total, "remaining": self.session_limit.remaining}
        limit |= {"reset_after": self.session_limit.reset_after, "max_concurrency": 1}
        return {"url": self.url(request), "shards": 1, "session_start_limit": limit}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
