"""Webhook mode: Telegram posts updates to our public address, where the web part puts them into the inbox."""

import asyncio
import time
from typing import Any

import structlog
from telegram import error as failures

from bot.platforms.telegram import api, listening, updates
from core import db, health, stack
from core.billing import links

log = structlog.get_logger()

PART = "telegram.webhook"


class Webhook:
    """Keeps Telegram's webhook pointed at our public address and watches that it works."""

    def __init__(self, bot: api.Api, opened: stack.Stack, timing: listening.Timing) -> None:
        self.last_progress = time.monotonic()
        self._bot = bot
        self._stack = opened
        self._timing = timing
        self._url = f"{opened.settings.public_url}/webhooks/telegram"
        self._set = False

    async def run(self) -> None:
        """The webhook is ours until this is cancelled. It stays set, so that Telegram keeps what happens meanwhile."""
        failed = 0
        while True:
            try:
                await self._look()
                failed, wait = 0, self._timing.check
            except Exception as error:
                if not isinstance(error, failures.TelegramError) and not db.is_unavailable(error):
                    raise
                wait = listening.pause(self._timing, failed)
                failed += 1
                log.warning("telegram_webhook_not_checked", error=type(error).__name__, wait=round(wait, 1))
            await asyncio.sleep(wait)

    async def _look(self) -> None:
        info = await self._bot.call("getWebhookInfo", {})
        # Another program with our token could have set it to kinds without joins and leaves, which are no default.
        complete = set(updates.KINDS) <= set(info.get("allowed_updates") or ())
        if not self._set or info.get("url") != self._url or not complete:
            wanted = {
                "url": self._url,
                "secret_token": links.telegram_secret(self._stack.settings),
                "allowed_updates": updates.ASKED,
                "drop_pending_updates": False,
            }
            await self._bot.call("setWebhook", wanted)
            self._set = True
            log.info("telegram_webhook_set", url=self._url)
        self.last_progress = time.monotonic()
        await self._report(info)

    async def _report(self, info: dict[str, Any]) -> None:
        """Telegram's own account of the webhook is a heartbeat, and an alarm while it fails."""
        now = self._stack.clock()
        failing = info.get("last_error_date", 0) > now.timestamp() - 2 * self._timing.check
        note = str(info.get("last_error_message", "")) if failing else ""
        async with self._stack.db.transaction() as session:
            await health.beat(session, PART, limit=3 * self._timing.check, now=now, note=note)
            if failing:
                await health.alarm(session, PART, f"Telegram cannot deliver to {self._url}: {note}", now=now)
            else:
                await health.clear(session, PART, now=now)
