"""Long polling: how updates reach the inbox without a public address.

A batch is in the inbox, committed, before the next getUpdates confirms it. One process polls at a time, under a lease.
No single refusal ends the loop; what gets nowhere for long is told to the operator and seen by the runner's watchdog.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from telegram import error as failures

from bot.platforms.telegram import api, sending, updates
from core import db, errors, health, inbox, leases, stack
from core.billing import passed

log = structlog.get_logger()

LEASE = "telegram.poller"
_CONFLICT = "telegram.conflict"
_TOKEN = "telegram.token"  # noqa: S105 - the name of an alarm


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: a long poll, its margin, the first and longest pause after failures, and patience with a rival."""

    poll: float = 25.0
    margin: float = 10.0
    first: float = 0.5
    longest: float = 30.0
    patience: float = 30.0
    check: float = 60.0


def pause(timing: Timing, failed: int) -> float:
    """How long to wait after so many failures in a row: doubled each time, bounded, with jitter."""
    wait: float = min(timing.longest, timing.first * 2 ** min(failed, 16))
    return wait * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


class Poller:
    """Long polling; `last_progress` is the monotonic second when Telegram, or the lease of another, last answered."""

    def __init__(self, bot: api.Api, opened: stack.Stack, timing: Timing) -> None:
        self.last_progress = time.monotonic()
        self._bot = bot
        self._stack = opened
        self._timing = timing
        self._epoch: int | None = None
        self._offset: int | None = None
        self._failed = 0
        self._webhook_gone = False
        self._rival_since: float | None = None
        self._alarmed: set[str] = set()
        # The lease must outlast a poll, so that a working poller never loses it.
        self._seconds = max(1, int(min(timing.poll, opened.settings.lease_seconds / 3)))

    async def run(self) -> None:
        """Updates flow into the inbox until this is cancelled; then another process may poll at once."""
        try:
            while True:
                wait = await self._round()
                if wait:
                    await asyncio.sleep(wait)
        finally:
            await self._release()

    async def _round(self) -> float:
        """One poll; says how many seconds to wait before the next."""
        try:
            if await self._lead():
                await self._poll()
                await self._succeeded()
                return 0.0
        except Exception as error:  # noqa: BLE001 - judged there, and raised again when nobody expects it
            return await self._after(error)
        self.last_progress = time.monotonic()
        return self._stack.settings.lease_seconds / 3

    async def _after(self, error: Exception) -> float:
        match error:
            case failures.Conflict():
                return await self._rivalled(error)
            case failures.InvalidToken():
                return await self._doubted()
            case failures.RetryAfter():
                return sending.retry_after(error)
            case errors.LostLeaseError():
                self._epoch = self._offset = None
                return 0.0
            case failures.TelegramError():
                return self._failure(error)
        if db.is_unavailable(error):
            return self._failure(error)
        raise error

    async def _lead(self) -> bool:
        if self._epoch is None:
            conf = self._stack.settings
            async with self._stack.db.transaction() as session:
                now = self._stack.clock()
                self._epoch = await leases.acquire(session, LEASE, self._stack.holder, ttl=conf.lease_seconds, now=now)
        return self._epoch is not None

    async def _poll(self) -> None:
        if not self._webhook_gone:
            await self._bot.call("deleteWebhook", {"drop_pending_updates": False})
            self._webhook_gone = True
        asked: dict[str, Any] = {"timeout": self._seconds, "allowed_updates": updates.ASKED}
        if self._offset is not None:
            asked["offset"] = self._offset
        batch = await self._bot.call("getUpdates", asked, seconds=self._seconds + self._timing.margin)
        self._rival_since = None
        await self._keep([update for update in batch if isinstance(update.get("update_id"), int)])

    async def _keep(self, batch: list[dict[str, Any]]) -> None:
        """The batch is committed under our lease, which is renewed with it; only then the offset moves on."""
        conf = self._stack.settings
        async with self._stack.db.transaction() as session:
            now = self._stack.clock()
            epoch = await leases.acquire(session, LEASE, self._stack.holder, ttl=conf.lease_seconds, now=now)
            if epoch != self._epoch:
                # Whoever polled meanwhile has these updates, or will be given them again.
                raise errors.LostLeaseError("Another process polls Telegram now.")
            for update in batch:
                source, kind = passed.filed(update)
                await inbox.put(session, source, str(update["update_id"]), kind, orjson.dumps(update), now=now)
            await health.beat(session, LEASE, limit=90, now=now)
        if batch:
            self._offset = max(update["update_id"] for update in batch) + 1
        for source in {passed.filed(update)[0] for update in batch}:
            self._stack.bell.ring(f"inbox:{source}")

    async def _succeeded(self) -> None:
        self.last_progress = time.monotonic()
        self._failed = 0
        for key in sorted(self._alarmed):
            async with self._stack.db.transaction() as session:
                await health.clear(session, key, now=self._stack.clock())
            self._alarmed.discard(key)

    def _failure(self, error: Exception) -> float:
        wait = pause(self._timing, self._failed)
        self._failed += 1
        log.warning("telegram_poll_failed", error=type(error).__name__, failed=self._failed, wait=round(wait, 1))
        return wait

    async def _rivalled(self, error: failures.Conflict) -> float:
        """Another bot with our token polls, or a webhook is set; for a while that is a deployment, then an alarm."""
        now = time.monotonic()
        self.last_progress = now  # Telegram answers; a restart of this process would change nothing
        if "webhook" in error.message.lower():
            self._webhook_gone = False
        self._rival_since = self._rival_since or now
        log.warning("telegram_poll_conflicted", seconds=round(now - self._rival_since))
        if now - self._rival_since < self._timing.patience:
            return pause(self._timing, 2)
        await self._alarm(
            _CONFLICT,
            "Another program polls Telegram with this bot's token, so commands are answered by it or not at all. "
            "Stop it, or give it a bot of its own.",
        )
        return self._timing.longest

    async def _doubted(self) -> float:
        """Telegram said that it does not know our token; one such answer means nothing if getMe goes well."""
        try:
            await self._bot.call("getMe", {})
        except failures.InvalidToken:
            text = "Telegram refuses the bot token. Ask @BotFather for the current one and set TELEGRAM_BOT_TOKEN."
            await self._alarm(_TOKEN, text)
        except failures.TelegramError as error:
            return self._failure(error)
        return self._failure(failures.InvalidToken())

    async def _alarm(self, key: str, text: str) -> None:
        self._alarmed.add(key)
        async with self._forgiving("telegram_alarm_not_kept") as session:
            await health.alarm(session, key, text, now=self._stack.clock())

    async def _release(self) -> None:
        if self._epoch is not None:
            async with self._forgiving("telegram_lease_not_released") as session:
                await leases.release(session, LEASE, self._epoch, now=self._stack.clock())
                await health.retire(session, LEASE)

    @asynccontextmanager
    async def _forgiving(self, event: str) -> AsyncIterator[AsyncSession]:
        """A transaction that may be lost when the database is away: what it says will show by itself."""
        try:
            async with self._stack.db.transaction() as session:
                yield session
        except Exception as error:
            if not db.is_unavailable(error):
                raise
            log.warning(event, error=type(error).__name__)
