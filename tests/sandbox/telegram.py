"""A Telegram Bot API server on this machine: real wire protocol, limits, refusals, faults, and the people in the chats.

The bot under test is pointed at `BASE/bot` and `BASE/file/bot`; tests, the demo and the phone page use the people's
side. Known differences from the real server: HTML is the only parse mode, web links may lead to this machine, webhooks
may be plain http on this machine and are posted strictly one by one, pictures are the only media.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
from aiohttp import web

from tests.sandbox import history as account
from tests.sandbox import (
    telegram_call,
    telegram_faults,
    telegram_limits,
    telegram_messages,
    telegram_places,
    telegram_profile,
    telegram_stars,
    telegram_table,
    telegram_window,
    telegram_world,
)

Call = telegram_call.Call
Fault = telegram_faults.Fault
Kind = telegram_faults.Kind
Limits = telegram_limits.Limits
Refused = telegram_call.Refused
Message = telegram_world.Message
Person = telegram_world.Person
Chat = telegram_world.Chat

Method = Callable[[telegram_world.World, Call], Any]

PAUSED_METHODS = frozenset({
    "sendMessage", "sendPhoto", "editMessageText", "editMessageCaption", "editMessageReplyMarkup", "editMessageMedia",
})  # fmt: skip
"""What a running retry_after pause refuses; only the first two are counted by the limits."""
LARGEST_REQUEST = 50 * 1024 * 1024
HTML_PAGE = "<html>\r\n<head><title>{0}</title></head>\r\n<body><center><h1>{0}</h1></center></body>\r\n</html>\r\n"
TOKEN = "100001:SANDBOX-token"


class Telegram(telegram_world.World):
    """The server (`app`) and its world. `faults` strike requests, `limiter` counts messages, `stars` are paid."""

    def __init__(
        self,
        history: account.History,
        *,
        token: str = TOKEN,
        username: str = "signalstack_demo_bot",
        limits: Limits | None = None,
        now: Callable[[], float] = time.time,
        seed: int = 0,
    ) -> None:
        super().__init__(history, token=token, username=username, limits=limits, now=now)
        self.faults = telegram_faults.Faults(seed)
        self.profile = telegram_profile.Profile()
        self.stars = telegram_stars.Stars(self)
        self._methods = {name.lower(): (name, method) for name, method in _methods(self).items()}
        self._closing = asyncio.Event()
        self.app = web.Application(client_max_size=LARGEST_REQUEST)
        self.app.router.add_route("*", "/bot{token}/{method}", self._answer)
        self.app.router.add_get("/file/bot{token}/{path:.+}", self._file)
        telegram_window.add_to(self.app, self, self.stars)
        self.app.on_startup.append(self._open)
        self.app.on_shutdown.append(self._close)

    async def _open(self, app: web.Application) -> None:
        self._closing.clear()  # the same world may be served again, after Telegram "was down"

    async def _close(self, app: web.Application) -> None:
        self._closing.set()
        await self.updates.close()

    async def _file(self, request: web.Request) -> web.Response:
        content = self.photos.at(request.match_info["path"]) if request.match_info["token"] == self.token else None
        if content is None:
            return _refusal(Refused(404, "Not Found"))
        return web.Response(body=content, content_type="application/octet-stream")

    async def _answer(self, request: web.Request) -> web.Response:
        if request.match_info["token"] != self.token:
            return _refusal(Refused(401, "Unauthorized"))
        known = self._methods.get(request.match_info["method"].lower())
        if known is None:
            return _refusal(Refused(404, "Not Found"))
        name, method = known
        call = Call(name, {})
        try:
            call = await telegram_call.read(request, name)
            self._check_pause(call)
            fault = self.faults.strike(call)
            if fault:
                return await self._answer_with(fault, request, call, method)
            return _json(await self._perform(call, method))
        except web.HTTPRequestEntityTooLarge:
            refused = Refused(413, "Request Entity Too Large")
        except Refused as refusal:
            refused = refusal
        if request.transport is None:
            return _refusal(refused)  # nobody is there to be refused: the poll of a client that died
        fields = {"method": name, "code": refused.code, "description": refused.description}
        self.history.add("telegram_refused", chat_id=call.chat_id, **fields)
        return _refusal(refused)

    async def _perform(self, call: Call, method: Method) -> Any:
        for field in telegram_table.REQUIRED[call.method]:
            if field not in call.files and (field not in call.params or call.params[field] in (None, "")):
                if call.method == "setWebhook" and field in call.params:
                    continue  # an empty URL takes the webhook away
                raise telegram_call.bad(telegram_table.missing(field))
        result = method(self, call)
        return await result if isinstance(result, Awaitable) else result

    def _check_pause(self, call: Call) -> None:
        pause = self.limiter.paused(call.chat_id) if call.method in PAUSED_METHODS else None
        if pause is None:
            return
        since, left = pause
        fields = {"since": round(since, 3), "left": round(left, 3)}
        self.history.add("telegram_request_in_pause", chat_id=call.chat_id, method=call.method, **fields)
        raise telegram_messages.too_many(telegram_limits.Excess(left, None))

    async def _answer_with(self, fault: Fault, request: web.Request, call: Call, method: Method) -> web.Response:
        if fault.kind in {Kind.HANG, Kind.DROP}:
            return await self._silence(fault, request)
        if fault.kind in {Kind.REFUSE, Kind.RETRY_AFTER, Kind.RETRY_AFTER_BARE, Kind.MIGRATE}:
            if fault.kind is Kind.RETRY_AFTER and fault.retry_after > 0:
                self.limiter.pause(fault.retry_after, fault.chat_id)
            raise fault.refusal()
        result = await self._perform(call, method)
        if fault.kind is Kind.STORE_THEN_502:
            return web.Response(status=502, text=HTML_PAGE.format("502 Bad Gateway"), content_type="text/html")
        if fault.kind is Kind.STORE_THEN_HTML:
            return web.Response(text=HTML_PAGE.format("Welcome"), content_type="text/html")
        if fault.kind is Kind.DELAY:
            await self._wait(fault.seconds)
            return _json(result)
        return await self._silence(fault, request)

    async def _silence(self, fault: Fault, request: web.Request) -> web.Response:
        """The connection is closed without an answer, after the fault's seconds when it hangs."""
        if fault.kind in {Kind.HANG, Kind.STORE_THEN_HANG}:
            await self._wait(fault.seconds)
        if request.transport:
            request.transport.close()
        return web.Response(status=500)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    def revoke(self, link: str) -> None:
        """An administrator has revoked the invite link, of which the bot is not told."""
        telegram_places.revoke(self, link)

    def take_back(self, chat_id: int, user_id: int) -> None:
        """The person has withdrawn their request to join, of which the bot is not told."""
        telegram_places.take_back(self, chat_id, user_id)

    async def knock(self, user_id: int, link: str) -> str:
        """The person has opened an invite link: "asked", "joined", or why not ("banned", "invalid", "inside")."""
        return telegram_places.knock(self, user_id, link)


def _methods(telegram: Telegram) -> dict[str, Method]:
    profile, updates = telegram.profile, telegram.updates
    return {
        "getMe": telegram_profile.get_me,
        "getUpdates": lambda _world, call: updates.get(call),
        "setWebhook": lambda _world, call: updates.set_webhook(call),
        "deleteWebhook": lambda _world, call: updates.delete_webhook(call),
        "getWebhookInfo": lambda _world, _call: updates.webhook_info(),
        "sendMessage": telegram_messages.send_message,
        "sendPhoto": telegram_messages.send_photo,
        "sendChatAction": telegram_messages.send_chat_action,
        "editMessageText": telegram_messages.edit_message_text,
        "editMessageCaption": telegram_messages.edit_message_caption,
        "editMessageReplyMarkup": telegram_messages.edit_message_reply_markup,
        "editMessageMedia": telegram_messages.edit_message_media,
        "deleteMessage": telegram_messages.delete_message,
        "answerCallbackQuery": telegram_messages.answer_callback_query,
        "setMyCommands": profile.set_commands,
        "getMyCommands": profile.get_commands,
        "deleteMyCommands": profile.delete_commands,
        "setMyDescription": profile.set_description,
        "setMyShortDescription": profile.set_short_description,
        "setChatMenuButton": profile.set_menu_button,
        "getChat": telegram_profile.get_chat,
        "getChatMember": telegram_profile.get_chat_member,
        "getChatAdministrators": telegram_profile.get_chat_administrators,
        "leaveChat": telegram_profile.leave_chat,
        "getFile": telegram_profile.get_file,
        **PLACES,
        "createInvoiceLink": lambda _world, call: telegram.stars.create_invoice_link(call),
        "answerPreCheckoutQuery": lambda _world, call: telegram.stars.answer(call),
        "refundStarPayment": lambda _world, call: telegram.stars.refund(call),
        "editUserStarSubscription": lambda _world, call: telegram.stars.edit_subscription(call),
        "getStarTransactions": lambda _world, call: telegram.stars.transactions(call),
    }


PLACES: dict[str, Method] = {
    "getChatMemberCount": telegram_places.member_count,
    "createChatInviteLink": telegram_places.create_invite_link,
    "editChatInviteLink": telegram_places.edit_invite_link,
    "revokeChatInviteLink": telegram_places.revoke_invite_link,
    "approveChatJoinRequest": telegram_places.approve_join_request,
    "declineChatJoinRequest": telegram_places.decline_join_request,
    "banChatMember": telegram_places.ban_member,
    "unbanChatMember": telegram_places.unban_member,
}


def _json(result: Any) -> web.Response:
    return web.Response(body=orjson.dumps({"ok": True, "result": result}), content_type="application/json")


def _refusal(refused: Refused) -> web.Response:
    return web.Response(status=refused.code, body=refused.body(), content_type="application/json")
