"""A Discord server on this machine: REST v10 and gateway as discord.py needs them, limits, refusals, faults, and the
people in the guilds.

The bot under test is pointed at `BASE/api` (discord.py's `Route.BASE` becomes `BASE/api/v10`) and learns the gateway's
address from there; tests, the demo and the phone page use the people's side. Known differences from the real server:
the buckets of limits and Discord's memory of sessions are plain figures; a bot may identify as often in a row, and send
as much over the gateway, as it likes within its day's limit, and is not thrown out for missing heartbeats; a picture
named `attachment://…` that is not in the message is refused, not left out; links to files do not expire; pictures in
layouts, voice, webhooks other than those of interactions, forums and reactions are not there, and people only use
commands and components, they do not write.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import web

from tests.sandbox import (
    discord_faults,
    discord_interactions,
    discord_limits,
    discord_people,
    discord_places,
    discord_posts,
    discord_routes,
    discord_spec,
    discord_wire,
    discord_world,
)
from tests.sandbox import history as account

Ack = discord_interactions.Ack
Channel = discord_places.Channel
Fault = discord_faults.Fault
Interaction = discord_interactions.Interaction
Kind = discord_faults.Kind
Limits = discord_limits.Limits
Message = discord_posts.Message
Refused = discord_wire.Refused
Role = discord_places.Role

TOKEN = "MTAwMDAx.SANDBOX.token-of-the-stand-in"
APPLICATION = 100001
PREFIX = "/api/v10"
LARGEST_REQUEST = 30 * 1024 * 1024
PAGE = "<html>\r\n<head><title>{0}</title></head>\r\n<body><center><h1>{0}</h1></center></body>\r\n</html>\r\n"


class Discord(discord_world.World):
    """The server (`app`) and its world. `faults` strike requests, `limiter` counts them, `gateway` has its controls.

    `strict`: every request and answer is held against Discord's published description where that is on this machine,
    and what does not fit stands in `violations`. `invalid_requests` counts answers 401, 403 and 429, as Discord does.
    """

    def __init__(
        self,
        history: account.History,
        *,
        token: str = TOKEN,
        now: Callable[[], float] = time.time,
        nonce_memory: float = 180.0,
        limits: Limits | None = None,
        seed: int = 0,
        strict: bool = True,
    ) -> None:
        bot = discord_places.User(APPLICATION, "SignalStack", bot=True)
        super().__init__(history, token=token, bot=bot, now=now, nonce_memory=nonce_memory)
        self.faults = discord_faults.Faults(seed)
        self.limiter = discord_limits.Limiter(limits or Limits())
        self.strict = strict and discord_spec.present()
        self.violations: list[str] = []
        self.invalid_requests = 0
        self._closing = asyncio.Event()
        self.app = web.Application(client_max_size=LARGEST_REQUEST)
        self.app.router.add_get("/gateway", self.gateway.connect)
        self.app.router.add_get("/attachments/{channel_id}/{attachment_id}/{filename}", self._file)
        self.app.router.add_route("*", f"{PREFIX}/{{path:.*}}", self._answer)
        self.app.on_startup.append(self._open)
        self.app.on_shutdown.append(self._close)

    # --- what people do with the bot

    async def slash(
        self,
        user_id: int,
        words: str,
        options: Mapping[str, Any] | None = None,
        *,
        guild_id: int | None = None,
        channel_id: int | None = None,
    ) -> Interaction:
        """The person has sent the command, in that channel, in the first fit one of the guild, or in private."""
        place = discord_people.place(self, user_id, guild_id, channel_id)
        return discord_people.command(self, user_id, words, options or {}, place)

    async def autocomplete(
        self,
        user_id: int,
        words: str,
        options: Mapping[str, Any] | None = None,
        *,
        focused: str,
        value: str,
        guild_id: int | None = None,
        channel_id: int | None = None,
    ) -> Interaction:
        """The person types `value` into the option `focused`; the bot's suggestions become `choices`."""
        place = discord_people.place(self, user_id, guild_id, channel_id)
        return discord_people.command(self, user_id, words, options or {}, place, focused=focused, value=value)

    async def click(self, user_id: int, message: Message, custom_id: str) -> Interaction:
        """The person has pressed the button."""
        return discord_people.use(self, user_id, message, custom_id)

    async def select(self, user_id: int, message: Message, custom_id: str, values: Sequence[Any]) -> Interaction:
        """The person has chosen the values in the menu."""
        return discord_people.use(self, user_id, message, custom_id, values)

    async def submit(self, user_id: int, custom_id: str, fields: Mapping[str, Any]) -> Interaction:
        """The person has sent the form they were shown last under this custom_id."""
        return discord_people.submit(self, user_id, custom_id, fields)

    # --- the server

    async def _open(self, app: web.Application) -> None:
        self._closing.clear()  # the same world may be served again, after Discord "was down"

    async def _close(self, app: web.Application) -> None:
        self._closing.set()
        await self.gateway.close()

    async def _file(self, request: web.Request) -> web.Response:
        wanted = request.match_info["attachment_id"]
        lying = [message for channel in self.channels.values() for message in channel.messages.values()]
        lying += [message for one in self.interactions.values() for message in one.messages]
        for message in lying:
            for file in message.files.values():
                if str(file.id) == wanted and not message.deleted:
                    return web.Response(body=file.content, content_type=file.content_type)
        return web.Response(status=404, text="This content is no longer available.")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.path.removeprefix(PREFIX)
        found = discord_routes.find(request.method, path)
        if path in {"/gateway", "/gateway/bot"}:
            about = discord_routes.Route("GET", path, lambda *_: self.gateway.about(request), open=path == "/gateway")
            found = about, {}
        call = discord_wire.Call(request.method, path, path, {}, base=str(request.url.origin()))
        call.query, call.user_agent = dict(request.query), request.headers.get("User-Agent")
        try:
            if found is None:
                raise self._unknown(call)
            call.route, call.ids = found[0].path, found[1]
            return await self._meet(request, call, found[0])
        except Refused as refusal:
            return self._refuse(request, call, refusal)

    def _unknown(self, call: discord_wire.Call) -> Refused:
        self.violations.append(f"{call.method} {call.path}: the stand-in has no such route")
        return Refused(404, 0, "404: Not Found")

    async def _meet(
        self, request: web.Request, call: discord_wire.Call, route: discord_routes.Route
    ) -> web.StreamResponse:
        if not route.open and request.headers.get("Authorization") != f"Bot {self.token}":
            raise Refused(401, 0, "401: Unauthorized")
        self._check_pause(call, counted=not route.open)
        headers = self.limiter.take(call, counted=not route.open)
        await discord_wire.read(request, call)
        if self.strict:
            self.violations += discord_spec.problems(call.method, call.path, call.body)
        fault = self.faults.strike(call)
        if fault is None:
            return self._perform(call, route, headers)
        return await self._answer_with(fault, request, call, route, headers)

    def _perform(self, call: discord_wire.Call, route: discord_routes.Route, headers: dict[str, str]) -> web.Response:
        try:
            body = route.answer(self, call)
        except Refused as refusal:
            refusal.headers |= headers
            raise
        status = 204 if body is None else route.status
        if self.strict:
            self.violations += discord_spec.problems(call.method, call.path, body, answer=True, status=status)
        return discord_wire.answer(body, status, headers)

    def _check_pause(self, call: discord_wire.Call, *, counted: bool) -> None:
        pause = self.limiter.paused(call, counted=counted)
        if pause is None:
            return
        bucket, since, left = pause
        fields = {"method": call.method, "route": call.route, "since": round(since, 3), "left": round(left, 3)}
        self.history.add("discord_request_in_pause", **fields, scope="global" if bucket is None else "user")
        raise discord_limits.too_many(left, scope="global" if bucket is None else "user")

    def _refuse(self, request: web.Request, call: discord_wire.Call, refusal: Refused) -> web.Response:
        body = refusal.json()
        if request.transport is not None:  # otherwise nobody is there to be refused
            fields = {"method": call.method, "route": call.route, "path": call.path, "status": refusal.status}
            self.history.add("discord_refused", **fields, code=refusal.code, message=refusal.message)
            shared = refusal.headers.get("X-RateLimit-Scope") == "shared"
            self.invalid_requests += refusal.status in {401, 403, 429} and not shared
        status = refusal.status
        if self.strict and status < 500:
            self.violations += discord_spec.problems(call.method, call.path, body, answer=True, status=status)
        return discord_wire.answer(body, status, refusal.headers)

    # --- faults

    async def _answer_with(
        self,
        fault: Fault,
        request: web.Request,
        call: discord_wire.Call,
        route: discord_routes.Route,
        headers: dict[str, str],
    ) -> web.StreamResponse:
        if fault.kind in {Kind.HANG, Kind.DROP}:
            return await self._silence(fault, request)
        if fault.kind in {Kind.REFUSE, Kind.RATE_LIMIT}:
            if fault.kind is Kind.RATE_LIMIT:
                self.limiter.pause(fault.retry_after, None if fault.scope == "global" else discord_limits.key(call))
            raise fault.refusal()
        if fault.kind is Kind.CLOUDFLARE:
            self.invalid_requests += 1
            return web.Response(status=429, text="error code: 1015")
        answer = _page(fault.error_status)
        if fault.kind is not Kind.SERVER_ERROR:
            performed = self._perform(call, route, headers)
            answer = performed if fault.kind is Kind.DELAY else answer
        if fault.kind in {Kind.STORE_THEN_DROP, Kind.STORE_THEN_RESET, Kind.STORE_THEN_HANG}:
            return await self._silence(fault, request)
        if fault.kind is Kind.DELAY:
            await self._wait(fault.seconds)
        return answer

    async def _silence(self, fault: Fault, request: web.Request) -> web.Response:
        """The connection ends without an answer, after the fault's seconds when it hangs."""
        if fault.kind in {Kind.HANG, Kind.STORE_THEN_HANG}:
            await self._wait(fault.seconds)
        if request.transport and fault.kind is Kind.STORE_THEN_RESET:
            raw = request.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.transport.abort()
        elif request.transport:
            request.transport.close()
        return web.Response(status=500)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)


def _page(status: int) -> web.Response:
    titles = {200: "Welcome", 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}
    return web.Response(status=status, text=PAGE.format(titles.get(status, "Error")), content_type="text/html")
