"""The way of updates to the bot: the queue, long polling and the webhook."""

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import orjson

from tests.sandbox import history, telegram_call, telegram_faults

Json = dict[str, Any]

KINDS = frozenset({
    "message", "edited_message", "channel_post", "edited_channel_post", "business_connection", "business_message",
    "edited_business_message", "deleted_business_messages", "guest_message", "message_reaction",
    "message_reaction_count", "inline_query", "chosen_inline_result", "callback_query", "shipping_query",
    "pre_checkout_query", "purchased_paid_media", "poll", "poll_answer", "my_chat_member", "chat_member",
    "chat_join_request", "chat_boost", "removed_chat_boost", "managed_bot", "subscription",
})  # fmt: skip
NOT_BY_DEFAULT = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
DAY = 86_400
WEBHOOK_ACTIVE = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
)


class Updates:
    """The updates the bot has not confirmed yet, oldest first. They are forgotten after 24 hours."""

    def __init__(self, account: history.History, now: Callable[[], float] = time.time) -> None:
        self.pending: list[Json] = []
        self.webhook_retry = 0.1
        """Seconds between two tries of the same update at the webhook."""
        self.polling = asyncio.Event()
        """Set while a long poll waits."""
        self.webhook_timeout = 10.0
        self._account = account
        self._now = now
        self._made: dict[int, float] = {}
        self._next = 700_000_001
        self._allowed: list[str] | None = None
        self._poll: asyncio.Future[str] | None = None
        self._webhook: Json = {"url": ""}
        self._secret = ""
        self._arrived = asyncio.Event()
        self._poster: asyncio.Task[None] | None = None

    def make(self, kind: str, body: Json) -> Json | None:
        """The update waits for the bot; None when the bot has not asked for this kind."""
        if not (kind in self._allowed if self._allowed else kind not in NOT_BY_DEFAULT):
            self._account.add("telegram_update_unwanted", kind=kind)
            return None
        number = self._next
        self._next += 1
        update: Json = {"update_id": number, kind: body}
        self.pending.append(update)
        self._made[number] = self._now()
        self._account.add("telegram_update", update_id=number, kind=kind)
        self._wake("update")
        self._arrived.set()
        return update

    async def get(self, call: telegram_call.Call) -> list[Json]:
        """getUpdates. A poll that still waits is ended by this one; a webhook refuses it."""
        if self._webhook["url"]:
            raise telegram_call.Refused(409, WEBHOOK_ACTIVE)
        self._wake(telegram_faults.CONFLICT)
        self.allow(call.decoded("allowed_updates"))
        self._confirm(call.integer("offset") or 0)
        self._forget_old()
        seconds = min(max(call.integer("timeout") or 0, 0), 50)
        if not self.pending and seconds:
            await self._news(seconds)
        limit = call.integer("limit") or 100
        return self.pending[: min(max(limit, 1), 100)]

    def allow(self, kinds: list[str] | None) -> None:
        """The bot gets these kinds from now on; None changes nothing, an empty list means the default ones."""
        if kinds is not None:
            self._allowed = [kind for kind in kinds if kind in KINDS] or None

    async def set_webhook(self, call: telegram_call.Call) -> bool:
        """setWebhook. Updates are posted to the URL in order, each until its 2xx answer. Empty URL: no webhook."""
        url, secret = call.text("url"), call.text("secret_token")
        if not url:
            return await self.delete_webhook(call)
        # The real server takes https only; addresses of this machine are welcome here.
        if not re.match(r"https://|http://(127\.0\.0\.1|localhost|\[::1\])[:/]", url):
            raise telegram_call.bad("bad webhook: An HTTPS URL must be provided for webhook")
        if secret and not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", secret):
            raise telegram_call.bad("secret token contains unallowed characters")
        await self._stop_posting()
        self.allow(call.decoded("allowed_updates"))
        if call.flag("drop_pending_updates"):
            self._drop()
        self._webhook = {"url": url, "max_connections": call.integer("max_connections") or 40}
        self._secret = secret
        self._wake("Conflict: terminated by setWebhook request")
        self._poster = asyncio.create_task(self._post_all())
        return True

    async def delete_webhook(self, call: telegram_call.Call) -> bool:
        """deleteWebhook."""
        await self._stop_posting()
        self._webhook = {"url": ""}
        if call.flag("drop_pending_updates"):
            self._drop()
        return True

    def webhook_info(self) -> Json:
        """getWebhookInfo."""
        info = {**self._webhook, "has_custom_certificate": False, "pending_update_count": len(self.pending)}
        return {**info, "allowed_updates": self._allowed} if self._allowed else info

    async def close(self) -> None:
        """No poll waits and nothing is posted any more."""
        self._wake("closed")
        await self._stop_posting()

    async def _news(self, seconds: float) -> None:
        self._poll = poll = asyncio.get_running_loop().create_future()
        self.polling.set()
        try:
            reason = await asyncio.wait_for(poll, seconds)
        except TimeoutError:
            return
        finally:
            if self._poll is poll:
                self._poll = None
                self.polling.clear()
        if reason.startswith("Conflict"):
            raise telegram_call.Refused(409, reason)

    def _wake(self, reason: str) -> None:
        if self._poll and not self._poll.done():
            self._poll.set_result(reason)
        self._poll = None
        self.polling.clear()

    def _confirm(self, offset: int) -> None:
        if offset < 0:
            self._take(self.pending[:offset])
        elif offset:
            self._take([update for update in self.pending if update["update_id"] < offset])

    def _take(self, updates: list[Json]) -> None:
        for update in updates:
            self._account.add("telegram_update_taken", update_id=update["update_id"])
            self._made.pop(update["update_id"], None)
        self.pending = self.pending[len(updates) :]

    def _drop(self) -> None:
        for update in self.pending:
            self._account.add("telegram_update_dropped", update_id=update["update_id"])
        self.pending, self._made = [], {}

    def _forget_old(self) -> None:
        while self.pending and self._made[self.pending[0]["update_id"]] < self._now() - DAY:
            update = self.pending.pop(0)
            self._made.pop(update["update_id"])
            self._account.add("telegram_update_dropped", update_id=update["update_id"])

    async def _stop_posting(self) -> None:
        if self._poster:
            self._poster.cancel()
            with suppress(asyncio.CancelledError):
                await self._poster
            self._poster = None

    async def _post_all(self) -> None:
        timeout = aiohttp.ClientTimeout(total=self.webhook_timeout)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            while True:
                self._forget_old()
                if not self.pending:
                    self._arrived.clear()
                    await self._arrived.wait()
                elif await self._post(session, self.pending[0]):
                    self._take(self.pending[:1])
                else:
                    await asyncio.sleep(self.webhook_retry)

    async def _post(self, session: aiohttp.ClientSession, update: Json) -> bool:
        headers = {"Content-Type": "application/json"}
        if self._secret:
            headers["X-Telegram-Bot-Api-Secret-Token"] = self._secret
        try:
            async with session.post(self._webhook["url"], data=orjson.dumps(update), headers=headers) as answer:
                if 200 <= answer.status < 300:
                    return True
                problem = f"Wrong response from the webhook: {answer.status} {answer.reason}"
        except (aiohttp.ClientError, TimeoutError) as error:
            problem = "Connection timed out" if isinstance(error, TimeoutError) else "Connection refused"
        self._webhook |= {"last_error_date": int(self._now()), "last_error_message": problem}
        return False
