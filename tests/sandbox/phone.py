"""The phone page: somebody sits in people's Telegram chats, types, taps buttons, and sees what arrives.

It talks to the Telegram stand-in only, as the people's phones would. What else happens in the world it is told
(`facts`), and what a visitor may cause there are `deeds`; it knows neither exchange nor Stripe nor the product.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.sandbox import server, telegram

Json = dict[str, Any]
Deed = Callable[[], Awaitable[str]]

PAGE = Path(__file__).parent / "phone_page"
LONGEST = 4096
ANSWERED_WITHIN = 5.0
_KINDS = {
    "phone.css": "text/css",
    "phone.js": "text/javascript",
    "chat.js": "text/javascript",
    "mark.svg": "image/svg+xml",
}
_RULES = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Seat:
    """Whose chat is shown: `user` is their Telegram id, `title` and `about` what the page calls them."""

    user: int
    title: str
    about: str


class Phone:
    """The page for these seats, the first one large; `facts` is called often and returns JSON values.

    Each deed answers with a sentence for the visitor.
    """

    def __init__(
        self,
        world: telegram.Telegram,
        seats: Sequence[Seat],
        *,
        facts: Callable[[], Json],
        deeds: Mapping[str, Deed],
    ) -> None:
        self.telegram, self.seats, self.facts, self.deeds = world, seats, facts, deeds
        self.users = {seat.user for seat in seats}
        self.app = web.Application(client_max_size=64 * 1024)
        self.app.router.add_get("/", self._page)
        self.app.router.add_get("/events", self._events)
        self.app.router.add_get("/photo/{file_id}", self._photo)
        self.app.router.add_post("/say", self._say)
        self.app.router.add_post("/press", self._press)
        self.app.router.add_post("/deed/{name}", self._deed)
        self.app.router.add_get("/{file}", self._file)
        self.app.on_response_prepare.append(_with_rules)

    async def _page(self, _request: web.Request) -> web.Response:
        return web.Response(body=(PAGE / "phone.html").read_bytes(), content_type="text/html", charset="utf-8")

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["file"]
        if name not in _KINDS:
            raise web.HTTPNotFound
        return web.Response(body=(PAGE / name).read_bytes(), content_type=_KINDS[name], charset="utf-8")

    async def _photo(self, request: web.Request) -> web.Response:
        try:
            content = self.telegram.photo(request.match_info["file_id"])
        except telegram.Refused:
            raise web.HTTPNotFound from None
        kind = "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"
        return web.Response(body=content, content_type=kind)

    # --- what the visitor does

    async def _say(self, request: web.Request) -> web.Response:
        said = await _json(request)
        user, text = said.get("chat"), str(said.get("text", "")).strip()
        if user not in self.users or not 0 < len(text) <= LONGEST:
            raise web.HTTPBadRequest
        if text.startswith("/start") and self.telegram.people[user].blocked:
            self.telegram.unblock(user)
        try:
            await self.telegram.say(user, text)
        except ValueError as error:
            raise web.HTTPConflict(text=str(error)) from None
        return web.json_response({})

    async def _press(self, request: web.Request) -> web.Response:
        """The button is pressed; the answer holds what the bot said to the press, once it has."""
        said = await _json(request)
        user = said.get("chat")
        if user not in self.users:
            raise web.HTTPBadRequest
        try:
            message = self.telegram.chats[user].messages[said["message"]]
            data = str(message.buttons[said["row"]][said["place"]]["callback_data"])
        except (KeyError, IndexError, TypeError):
            raise web.HTTPGone from None
        query = await self.telegram.press(user, user, message.id, data)
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWERED_WITHIN):
                while query in self.telegram.queries:  # noqa: ASYNC110 - the stand-in keeps no event for each press
                    await asyncio.sleep(0.02)
        told = self.telegram.history.of("telegram_callback_answered", id=query)
        return web.json_response({"answered": bool(told), "text": told[-1]["text"] if told else ""})

    async def _deed(self, request: web.Request) -> web.Response:
        await _json(request)
        deed = self.deeds.get(request.match_info["name"])
        if deed is None:
            raise web.HTTPNotFound
        return web.json_response({"text": await deed()})

    # --- what the visitor sees

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Everything in the chats, and from then on every change, as server-sent events."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        news: asyncio.Queue[Json] = asyncio.Queue()
        watchers = [asyncio.create_task(self._watch(seat, news)) for seat in self.seats]
        watchers.append(asyncio.create_task(self._watch_facts(news)))
        try:
            while True:
                told = json.dumps(await news.get(), separators=(",", ":"))
                await response.write(f"data: {told}\n\n".encode())
        except (ConnectionError, asyncio.CancelledError):
            return response
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)

    async def _watch(self, seat: Seat, news: asyncio.Queue[Json]) -> None:
        known: dict[int, Json] = {}
        version = 0
        about = {"title": seat.title, "about": seat.about, "bot": self._bot()}
        while True:
            shown = {message.id: _shown(message) for message in self.telegram.chat(seat.user)}
            changed = [message for number, message in shown.items() if known.get(number) != message]
            if changed or not version:
                menu = self._menu(seat.user)
                started = self.telegram.people[seat.user].started
                news.put_nowait({"chat": seat.user, **about, "messages": changed, "menu": menu, "started": started})
            known = shown
            version = await self.telegram.watch(seat.user, version)

    async def _watch_facts(self, news: asyncio.Queue[Json]) -> None:
        before: Json = {}
        while True:
            facts = self.facts()
            if facts != before:
                news.put_nowait({"facts": facts})
                before = facts
            await asyncio.sleep(0.25)

    def _bot(self) -> Json:
        described = self.telegram.profile.descriptions.get("", "")
        return {"name": self.telegram.bot["first_name"], "username": self.telegram.bot["username"], "about": described}

    def _menu(self, user: int) -> list[Json]:
        """The commands of the menu button in this private chat, from the narrowest scope that has some."""
        scopes: list[Json] = [{"chat_id": user, "type": "chat"}, {"type": "all_private_chats"}, {"type": "default"}]
        for scope in scopes:
            key = json.dumps(scope, separators=(",", ":"), sort_keys=True)
            if commands := self.telegram.profile.commands.get((key, "")):
                return commands
        return []


@asynccontextmanager
async def serving(phone: Phone, port: int = 0) -> AsyncIterator[str]:
    """The page answers until the block ends; yields its address."""
    async with server.serving(phone.app, port) as url:
        yield f"{url}/"


def _shown(message: telegram.Message) -> Json:
    """What a phone shows of a message."""
    largest = message.photo_sizes[-1] if message.photo_sizes else None
    return {
        "id": message.id,
        "mine": not message.from_bot,
        "at": message.date,
        "text": message.text,
        "entities": message.entities,
        "photo": {"id": message.photo, "width": largest["width"], "height": largest["height"]} if largest else None,
        "reply": message.reply_to.id if message.reply_to else None,
        "buttons": [[_button(button) for button in row] for row in message.buttons],
        "edited": message.edited is not None,
        "deleted": message.deleted,
    }


def _button(button: Json) -> Json:
    return {"text": button["text"], "url": button.get("url")}


async def _json(request: web.Request) -> Json:
    """The request's JSON object; refused otherwise, which also keeps other sites' forms out."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    try:
        said = await request.json()
    except ValueError:
        raise web.HTTPBadRequest from None
    if not isinstance(said, dict):
        raise web.HTTPBadRequest
    return said


async def _with_rules(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_RULES)
