"""The Telegram platform: starting, listening, applying what people did, and sending."""

import asyncio
import time
from typing import Any

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from telegram import error as failures

from bot import commands, messages
from bot.platforms import Parcel
from bot.platforms.telegram import api, listening, rendering, sending, updates, webhook
from core import errors, health, inbox, members, settings, stack
from core.delivery import outbox, outcomes, pacing

log = structlog.get_logger()

_TRIES = 7
_YEAR = 366 * 86_400.0
_ACKNOWLEDGE = 2.0


class Telegram:
    """One bot; see `bot.platforms.Platform`."""

    name = updates.PLATFORM

    def __init__(
        self, opened: stack.Stack, *, timing: listening.Timing | None = None, total: float = 15.0, connect: float = 5.0
    ) -> None:
        self.username = ""
        self._stack = opened
        self._timing = timing or listening.Timing()
        self._bot = api.Api(opened.settings, total=total, connect=connect)
        polling = opened.settings.telegram_mode == "polling"
        self._ear = (listening.Poller if polling else webhook.Webhook)(self._bot, opened, self._timing)

    @property
    def last_progress(self) -> float:
        return self._ear.last_progress

    @last_progress.setter
    def last_progress(self, value: float) -> None:
        self._ear.last_progress = value

    async def start(self) -> None:
        """Telegram knows the bot and its menus; raises ConfigError for a wrong token, otherwise UnreachableError."""
        await self._bot.open()
        me = await self._introduced()
        self.username = str(me.get("username", ""))
        now = self._stack.clock()
        async with self._stack.db.transaction() as session:
            await health.beat(session, "telegram.bot", limit=_YEAR, now=now, note=f"@{self.username}")
        try:
            await self._describe()
        except failures.TelegramError as error:
            log.warning("telegram_menu_not_set", error=type(error).__name__)
        self.last_progress = time.monotonic()
        log.info("telegram_started", username=self.username, mode=self._stack.settings.telegram_mode)

    async def _introduced(self) -> dict[str, Any]:
        for failed in range(_TRIES):
            try:
                me: dict[str, Any] = await self._bot.call("getMe", {})
            except failures.InvalidToken:
                await self._bot.close()
                raise errors.ConfigError(
                    "TELEGRAM_BOT_TOKEN is refused by Telegram; ask @BotFather for the current one."
                ) from None
            except failures.TelegramError as error:
                wait = listening.pause(self._timing, failed)
                log.warning("telegram_not_reached", error=type(error).__name__, wait=round(wait, 1))
                if failed + 1 < _TRIES:
                    await asyncio.sleep(wait)
            else:
                return me
        await self._bot.close()
        raise errors.UnreachableError(
            f"Telegram does not answer at {self._stack.settings.telegram_api_url}; check the network and try again."
        )

    async def _describe(self) -> None:
        """The menu of each scope and the words under the bot's name are those of this version."""
        every = [{"command": row.name, "description": row.description} for row in commands.COMMANDS]
        grouped = [{"command": row.name, "description": row.description} for row in commands.COMMANDS if row.group]
        for scope, menu in (("default", every), ("all_private_chats", every), ("all_group_chats", grouped)):
            await self._bot.call("setMyCommands", {"commands": menu, "scope": {"type": scope}})
        service = self._stack.catalogue.service
        words = messages.text.shortened(
            f"{service.name}: signals with entry, target and stop loss. {service.risk}", 120
        )
        await self._bot.call("setMyShortDescription", {"short_description": words})
        markets = ", ".join(sorted({watch.symbol for watch in self._stack.catalogue.watches}))
        about = (
            f"{service.name} watches {markets} and sends each signal with its reason and chart, and afterwards how it "
            f"ended, losses included. {service.risk}"
        )
        await self._bot.call("setMyDescription", {"description": messages.text.shortened(about, 512)})

    async def stop(self) -> None:
        """Every connection is closed."""
        await self._bot.close()

    async def listen(self) -> None:
        """Updates are put into the inbox until this is cancelled."""
        await self._ear.run()

    async def send(self, parcel: Parcel) -> outcomes.Outcome:
        """What became of one attempt to send."""
        return await sending.send(self._bot, parcel, self.username)

    def limits(self, conf: settings.Settings) -> pacing.Limits:
        """Messages a second as configured, one a second in a chat, twenty a minute in a group."""
        return pacing.Limits(per_second=conf.telegram_rate, hard=conf.telegram_rate + 1)

    def group(self, address: str) -> bool:
        """Whether the address is a group or channel."""
        return sending.group(address)

    async def apply(self, item: inbox.Item) -> None:
        """What the update says has taken effect once, and the answers wait in the outbox."""
        heard = self._understood(item)
        if isinstance(heard, updates.Press):
            await self._acknowledge(heard.query_id)
            heard = heard.ask
        try:
            async with self._stack.db.transaction() as session:
                answered = await self._take(session, item, heard)
                await inbox.done(session, item)
        except errors.LostLeaseError:
            log.info("telegram_update_taken_over", update=item.event_id)
            return
        if answered:
            self._stack.bell.ring(f"outbox:{self.name}")

    def _understood(self, item: inbox.Item) -> updates.Heard | None:
        try:
            return updates.read(orjson.loads(item.body))
        except (orjson.JSONDecodeError, updates.MalformedError) as error:
            log.warning("telegram_update_malformed", update=item.event_id, error=type(error).__name__)
            return None

    async def _acknowledge(self, query_id: str) -> None:
        """The button stops turning; a press that is too old to be acknowledged still counts."""
        try:
            async with asyncio.timeout(_ACKNOWLEDGE):
                await self._bot.call("answerCallbackQuery", {"callback_query_id": query_id})
        except (TimeoutError, failures.TelegramError) as error:
            log.info("telegram_press_not_acknowledged", error=type(error).__name__)

    async def _take(
        self,
        session: AsyncSession,
        item: inbox.Item,
        heard: commands.Ask | updates.Press | updates.Left | updates.Returned | None,
    ) -> int:
        """The effect of what was heard; says how many messages will be sent because of it."""
        now = self._stack.clock()
        match heard:
            case updates.Left(address):
                await members.block(session, self.name, address, now=now)
            case updates.Returned(address):
                await members.unblock(session, self.name, address)
            case commands.Ask() as ask:
                desk = commands.Desk(self._stack.settings, self._stack.catalogue, now, self.username)
                return await self._answer(session, item, await commands.answer(session, ask, desk))
        return 0

    async def _answer(self, session: AsyncSession, item: inbox.Item, replies: list[commands.Reply]) -> int:
        """Each answer waits in the outbox under the update's number, in parts where it is too long for one message."""
        parts = [(reply.address, part) for reply in replies for part in messages.split(reply.message, rendering.TEXT)]
        for number, (address, part) in enumerate(parts):
            key = f"{self.name}:{item.event_id}:{number}"
            await outbox.reply(session, self.name, address, part.as_dict(), key=key, now=self._stack.clock())
        return len(parts)
