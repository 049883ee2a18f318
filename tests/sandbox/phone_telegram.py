"""Telegram on the phone page: private chats with the bot, the channels somebody is in, and the doors to these."""

import asyncio
import json
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import web

from tests.sandbox import phone_wire, telegram, telegram_chats

Json = phone_wire.Json
Seat = phone_wire.Seat

LONGEST = 4096
ANSWERED_WITHIN = 5.0


class Chats:
    """The routes of people's phones, and what they see."""

    def __init__(self, world: telegram.Telegram, seats: Sequence[Seat]) -> None:
        self._telegram, self._seats = world, seats
        self._users = {seat.user for seat in seats}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/photo/{file_id}", self._photo),
            web.post("/say", self._say),
            web.post("/press", self._press),
            web.post("/door", self._door),
            web.post("/knock", self._knock),
            web.post("/invoice", self._invoice),
            web.post("/pay", self._pay),
        ]

    def watching(self, news: phone_wire.News) -> list[Awaitable[None]]:
        """What tells everything in the chats, and from then on every change, until cancelled."""
        places = [chat for chat in self._telegram.chats.values() if chat.person is None]
        inside = [self._watch_place(seat, place, news) for seat in self._seats for place in places]
        return [*(self._watch(seat, news) for seat in self._seats), *inside]

    # --- what the visitor does

    async def _photo(self, request: web.Request) -> web.Response:
        try:
            content = self._telegram.photo(request.match_info["file_id"])
        except telegram.Refused:
            raise web.HTTPNotFound from None
        kind = "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"
        return web.Response(body=content, content_type=kind)

    async def _say(self, request: web.Request) -> web.Response:
        said = await phone_wire.read(request)
        user, text = said.get("chat"), str(said.get("text", "")).strip()
        if user not in self._users or not 0 < len(text) <= LONGEST:
            raise web.HTTPBadRequest
        if text.startswith("/start") and self._telegram.people[user].blocked:
            self._telegram.unblock(user)
        try:
            await self._telegram.say(user, text)
        except ValueError as error:
            raise web.HTTPConflict(text=str(error)) from None
        return web.json_response({})

    async def _press(self, request: web.Request) -> web.Response:
        """The button is pressed; the answer holds what the bot said to the press, once it has."""
        said = await phone_wire.read(request)
        user: Any = said.get("chat")
        room: Any = said.get("room", user)
        if user not in self._users or (room != user and not self._inside(user, room)):
            raise web.HTTPBadRequest
        try:
            message = self._telegram.chats[room].messages[said["message"]]
            data = str(message.buttons[said["row"]][said["place"]]["callback_data"])
        except (KeyError, IndexError, TypeError):
            raise web.HTTPGone from None
        query = await self._telegram.press(user, room, message.id, data)
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWERED_WITHIN):
                while query in self._telegram.queries:  # noqa: ASYNC110 - the stand-in keeps no event for each press
                    await asyncio.sleep(0.02)
        told = self._telegram.history.of("telegram_callback_answered", id=query)
        return web.json_response({"answered": bool(told), "text": told[-1]["text"] if told else ""})

    async def _door(self, request: web.Request) -> web.Response:
        """What the person sees who opens this invite link, before they do anything."""
        said = await phone_wire.read(request)
        user, link = said.get("chat"), str(said.get("link"))
        place = next((chat for chat in self._telegram.chats.values() if link in chat.links), None)
        if user not in self._users:
            raise web.HTTPBadRequest
        if place is None or place.links[link].revoked:
            return web.json_response({"state": "invalid"})
        state = "inside" if self._inside(user, place.id) else "asked" if user in place.requests else "closed"
        about = {"room": place.id, "title": place.title, "members": _members(place), "asks": place.links[link].asks}
        return web.json_response({"state": state, **about})

    async def _knock(self, request: web.Request) -> web.Response:
        said = await phone_wire.read(request)
        if said.get("chat") not in self._users:
            raise web.HTTPBadRequest
        return web.json_response({"state": await self._telegram.knock(said["chat"], str(said.get("link")))})

    async def _invoice(self, request: web.Request) -> web.Response:
        """What the person sees who opens this invoice, before they pay."""
        said = await phone_wire.read(request)
        invoice = self._telegram.stars.invoices.get(str(said.get("link")))
        if said.get("chat") not in self._users:
            raise web.HTTPBadRequest
        if invoice is None:
            return web.json_response({"state": "invalid"})
        about = {"title": invoice.title, "about": invoice.description, "stars": invoice.amount}
        return web.json_response({"state": "open", **about, "renews": bool(invoice.period)})

    async def _pay(self, request: web.Request) -> web.Response:
        said = await phone_wire.read(request)
        if said.get("chat") not in self._users:
            raise web.HTTPBadRequest
        return web.json_response({"text": await self._telegram.stars.pay(said["chat"], str(said.get("link")))})

    def _inside(self, user: int, room: object) -> bool:
        place = self._telegram.chats.get(room) if isinstance(room, int) else None
        return place is not None and place.status(user, self._telegram.now()) in telegram_chats.IN_CHAT

    # --- what the visitor sees

    async def _watch(self, seat: Seat, news: phone_wire.News) -> None:
        known: dict[int, Json] = {}
        version = 0
        about = {"title": seat.title, "about": seat.about, "bot": self._bot()}
        while True:
            shown = {message.id: _shown(message) for message in self._telegram.chat(seat.user)}
            changed = [message for number, message in shown.items() if known.get(number) != message]
            if changed or not version:
                menu = self._menu(seat.user)
                started = self._telegram.people[seat.user].started
                news.put_nowait({"chat": seat.user, **about, "messages": changed, "menu": menu, "started": started})
            known = shown
            version = await self._telegram.watch(seat.user, version)

    async def _watch_place(self, seat: Seat, place: telegram.Chat, news: phone_wire.News) -> None:
        """The place as long as the person is inside, otherwise no more than that they are not."""
        known: dict[int, Json] = {}
        before: tuple[object, ...] = ()
        while True:
            inside = self._inside(seat.user, place.id)
            state = (inside, place.version, _members(place)) if inside else (inside,)
            if state != before:
                shown = {one.id: _shown(one) for one in place.messages.values()} if inside else {}
                changed = [message for number, message in shown.items() if known.get(number) != message]
                about = {"name": place.title, "members": _members(place), "inside": inside}
                news.put_nowait({"channel": place.id, "of": seat.user, **about, "messages": changed})
                known, before = shown, state
            await asyncio.sleep(phone_wire.GLANCE)

    def _bot(self) -> Json:
        described = self._telegram.profile.descriptions.get("", "")
        bot = self._telegram.bot
        return {"name": bot["first_name"], "username": bot["username"], "about": described}

    def _menu(self, user: int) -> list[Json]:
        """The commands of the menu button in this private chat, from the narrowest scope that has some."""
        scopes: list[Json] = [{"chat_id": user, "type": "chat"}, {"type": "all_private_chats"}, {"type": "default"}]
        for scope in scopes:
            key = json.dumps(scope, separators=(",", ":"), sort_keys=True)
            if commands := self._telegram.profile.commands.get((key, "")):
                return commands
        return []


def _members(place: telegram.Chat) -> int:
    return sum(status in telegram_chats.IN_CHAT for status in place.members.values()) + 1  # the bot


def _shown(message: telegram.Message) -> Json:
    """What a phone shows of a message."""
    largest = message.photo_sizes[-1] if message.photo_sizes else None
    return {
        "id": message.id,
        "mine": bool(message.sender) and not message.from_bot,
        "at": message.date,
        "text": message.text or _paid(message.service),
        "entities": message.entities,
        "photo": {"id": message.photo, "width": largest["width"], "height": largest["height"]} if largest else None,
        "reply": message.reply_to.id if message.reply_to else None,
        "buttons": [[_button(button) for button in row] for row in message.buttons],
        "edited": message.edited is not None,
        "deleted": message.deleted,
    }


def _paid(service: Json) -> str:
    """What Telegram itself says in a chat in which something was paid or given back."""
    if "successful_payment" in service:
        return f"You paid ★ {service['successful_payment']['total_amount']:,}."
    if "refunded_payment" in service:
        return f"★ {service['refunded_payment']['total_amount']:,} were given back."
    return ""


def _button(button: Json) -> Json:
    return {"text": button["text"], "url": button.get("url")}
