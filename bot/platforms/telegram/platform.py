"""The Telegram platform: starting, listening, applying what people did, and sending."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from telegram import error as failures

from bot import commands, messages
from bot.platforms import Act, Parcel
from bot.platforms.telegram import (
    api,
    doors,
    gate,
    invites,
    listening,
    looking,
    menus,
    rendering,
    sending,
    updates,
    webhook,
)
from core import errors, health, inbox, members, models, places, rounds, settings, stack
from core.delivery import outbox, outcomes, pacing
from core.signals import record

log = structlog.get_logger()

_TRIES = 7
_YEAR = 366 * 86_400.0
_ACKNOWLEDGE = 2.0
_Findings = dict[str, Sequence[str]]
"""What hinders us in places, by their keys."""
_Look = TypeVar("_Look")


class Telegram:
    """One bot; see `bot.platforms.Platform`."""

    name = updates.PLATFORM
    keeps_pictures = True

    def __init__(
        self, opened: stack.Stack, *, timing: listening.Timing | None = None, total: float = 15.0, connect: float = 5.0
    ) -> None:
        self.username = ""
        self._stack = opened
        self._timing = timing or listening.Timing()
        self._bot = api.Api(opened.settings, total=total, connect=connect)
        polling = opened.settings.telegram_mode == "polling"
        self._ear = (listening.Poller if polling else webhook.Webhook)(self._bot, opened, self._timing)
        self._unserved = menus.operators(opened.settings)

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
            await menus.describe(self._bot, self._stack.catalogue)
        except failures.TelegramError as error:
            log.warning("telegram_menu_not_set", error=type(error).__name__)
        for operator in sorted(self._unserved):
            await self._serve(operator)
        await self._look_around()
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

    async def _serve(self, operator: str) -> None:
        if await menus.for_operator(self._bot, operator):
            self._unserved.discard(operator)

    async def _look_around(self) -> None:
        """What hinders us in each of our places stands as its alarm; where Telegram does not say, a round will."""
        async with self._stack.db.reading() as session:
            here = await places.active(session, self.name)
        findings: _Findings = {}
        try:
            for place in here:
                findings[place.key] = await self.inspect(place)
        except errors.UnreachableError as error:
            log.warning("telegram_places_not_inspected", error=str(error))
        async with self._stack.db.transaction() as session:
            await places.inspected(session, findings, now=self._stack.clock())

    async def stop(self) -> None:
        """Every connection is closed."""
        await self._bot.close()

    async def listen(self) -> None:
        """Updates are put into the inbox until this is cancelled."""
        await self._ear.run()

    async def send(self, parcel: Parcel) -> outcomes.Outcome:
        """What became of one attempt to send."""
        try:
            ways = await invites.ways(self._bot, self._stack, parcel)
        except failures.TelegramError as error:
            return invites.unsent(error, parcel.address)
        outcome = await sending.send(self._bot, parcel, self.username, ways)
        if isinstance(outcome, outcomes.Moved):
            await gate.follow(self._stack, parcel.address, outcome.address)
        return outcome

    async def attempt(self, act: Act) -> outcomes.Outcome:
        """What became of one attempt at a door."""
        outcome = await doors.attempt(self._bot, act, now=self._stack.clock())
        if not isinstance(outcome, outcomes.Moved):
            return outcome
        # The act itself names the chat; with everything else that waits it has learnt the new number now.
        await gate.follow(self._stack, act.space, outcome.address)
        return outcomes.NotSent("the chat moved")

    async def inspect(self, place: models.Place) -> Sequence[str]:
        """What hinders us in this place, a sentence each; raises UnreachableError when Telegram does not say."""
        return await self._wherever(place.space, lambda space: looking.inspect(self._bot, space))

    async def hindered(self, channel: str) -> Sequence[str]:
        """What hinders us from posting in this channel, a sentence each; raises UnreachableError as `inspect`."""
        return await looking.posting(self._bot, channel)

    async def roster(self, place: models.Place, known: Sequence[str]) -> rounds.Roster:
        """Who of the known is inside, and every administrator; raises UnreachableError when Telegram does not say."""
        at = self._stack.clock()
        return await self._wherever(place.space, lambda space: looking.roster(self._bot, space, known, at=at))

    async def _wherever(self, space: str, look: Callable[[str], Awaitable[_Look]]) -> _Look:
        """What a look at this chat brings, under its new number when it has moved."""
        try:
            return await look(space)
        except failures.ChatMigrated as error:
            moved = str(error.new_chat_id)
            await gate.follow(self._stack, space, moved)
        try:
            return await look(moved)
        except failures.ChatMigrated:
            raise errors.UnreachableError(f"The chat {space} has moved twice in a moment; look again.") from None

    def limits(self, conf: settings.Settings) -> pacing.Limits:
        """Messages a second as configured, one a second in a chat, twenty a minute in a group."""
        return pacing.Limits(per_second=conf.telegram_rate, hard=conf.telegram_rate + 1)

    def group(self, address: str) -> bool:
        """Whether the address is a group or channel."""
        return sending.group(address)

    async def apply(self, item: inbox.Item) -> None:
        """What the update says has taken effect once, and the answers and acts wait in the outbox."""
        heard = self._understood(item)
        if isinstance(heard, updates.Press):
            await self._acknowledge(heard.query_id)
            heard = heard.ask
        findings = await self._inspected(heard.space) if isinstance(heard, updates.Rights) else {}
        try:
            async with self._stack.db.transaction() as session:
                waiting = await self._take(session, item, heard)
                waiting += (await places.inspected(session, findings, now=self._stack.clock())).acts
                await inbox.done(session, item)
        except errors.LostLeaseError:
            log.info("telegram_update_taken_over", update=item.event_id)
            return
        if record.grew(session):
            self._stack.deliver()  # a signal by hand, or its end: everybody is to hear of it
        elif waiting:
            self._stack.bell.ring(f"outbox:{self.name}")
        if not all(findings.values()):  # what happened while we were hindered, a round finds out
            self._stack.bell.ring(f"places:{self.name}")
        if isinstance(heard, commands.Ask) and heard.external_id in self._unserved and heard.private:
            await self._serve(heard.external_id)

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

    async def _inspected(self, space: str) -> _Findings:
        async with self._stack.db.reading() as session:
            here = await gate.at(session, space)
        return {place.key: await self.inspect(place) for place in here}

    async def _take(self, session: AsyncSession, item: inbox.Item, heard: updates.Heard | None) -> int:
        """The effect of what was heard; says how much there is to deliver because of it."""
        now = self._stack.clock()
        match heard:
            case updates.Left(address):
                await members.block(session, self.name, address, now=now)
            case updates.Returned(address):
                await members.unblock(session, self.name, address)
            case updates.Migrated(old, new):
                await places.moved(session, self.name, old, new)
            case updates.Knock():
                key = f"{self.name}:{item.event_id}:0"
                return await gate.knocked(session, heard, self._stack.catalogue.service, key=key, now=now)
            case updates.Change():
                return await gate.seen(session, heard, now=now)
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
