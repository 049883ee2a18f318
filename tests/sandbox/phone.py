"""The phone page: somebody sits in people's chats, types, taps buttons, and sees what arrives.

It talks to the stand-ins of the chats only, as the people's phones would. What else happens in the world it is told
(`facts`), and what a visitor may cause there are `deeds`; it knows neither exchange nor Stripe nor the product.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.sandbox import discord, phone_discord, phone_telegram, phone_wire, server, telegram

Deed = phone_wire.Deed
Json = phone_wire.Json
Seat = phone_wire.Seat

PAGE = Path(__file__).parent / "phone_page"
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_RULES = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Phone:
    """The page for these seats, the first one large; `facts` is called often and returns JSON values.

    Each deed answers with a sentence for the visitor. Without a Discord, only Telegram is shown.
    """

    def __init__(
        self,
        world: telegram.Telegram,
        seats: Sequence[Seat],
        *,
        facts: Callable[[], Json],
        deeds: Mapping[str, Deed],
        discord: discord.Discord | None = None,
    ) -> None:
        self.facts, self.deeds = facts, deeds
        self._sides: list[phone_telegram.Chats | phone_discord.Servers] = [phone_telegram.Chats(world, seats)]
        if discord is not None:
            self._sides.append(phone_discord.Servers(discord, seats))
        self._files = {path.name: path for path in PAGE.iterdir() if path.suffix in _KINDS}
        self.app = web.Application(client_max_size=64 * 1024)
        self.app.router.add_get("/", self._page)
        self.app.router.add_get("/events", self._events)
        self.app.router.add_post("/deed/{name}", self._deed)
        for side in self._sides:
            self.app.router.add_routes(side.routes())
        self.app.router.add_get("/{file}", self._file)
        self.app.on_response_prepare.append(_with_rules)

    async def _page(self, _request: web.Request) -> web.Response:
        return web.Response(body=(PAGE / "phone.html").read_bytes(), content_type="text/html", charset="utf-8")

    async def _file(self, request: web.Request) -> web.Response:
        path = self._files.get(request.match_info["file"])
        if path is None:
            raise web.HTTPNotFound
        return web.Response(body=path.read_bytes(), content_type=_KINDS[path.suffix], charset="utf-8")

    async def _deed(self, request: web.Request) -> web.Response:
        await phone_wire.read(request)
        deed = self.deeds.get(request.match_info["name"])
        if deed is None:
            raise web.HTTPNotFound
        return web.json_response({"text": await deed()})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Everything in the chats, and from then on every change, as server-sent events."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        news: phone_wire.News = asyncio.Queue()
        watching = [watch for side in self._sides for watch in side.watching(news)]
        watchers = [asyncio.ensure_future(watch) for watch in (*watching, self._watch_facts(news))]
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

    async def _watch_facts(self, news: phone_wire.News) -> None:
        before: Json = {}
        while True:
            facts = self.facts()
            if facts != before:
                news.put_nowait({"facts": facts})
                before = facts
            await asyncio.sleep(0.25)


@asynccontextmanager
async def serving(phone: Phone, port: int = 0) -> AsyncIterator[str]:
    """The page answers until the block ends; yields its address."""
    async with server.serving(phone.app, port) as url:
        yield f"{url}/"


async def _with_rules(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_RULES)
