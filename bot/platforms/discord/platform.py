"""The Discord platform: starting, listening, applying what people did, sending, and the doors of places."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

import discord
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from bot import commands, platforms
from bot.platforms.discord import (
    api,
    doors,
    events,
    gate,
    gateway,
    hindrances,
    listening,
    private,
    registration,
    sending,
    setup,
    wire,
)
from core import db, errors, health, inbox, models, places, rounds, settings, stack
from core.delivery import outbox, outcomes, pacing
from core.signals import record

log = structlog.get_logger()

BOT = "discord.bot"
"""The heartbeat whose note has our application's number, the fingerprint of our commands, and our name."""
REFUSED = "discord.refused"
_TRIES = 7
_YEAR = 366 * 86_400.0
_REMEMBERED = 30.0  # seconds for which we know where places are


class Discord:
    """One bot; see `bot.platforms.Platform`."""

    name = events.PLATFORM
    keeps_pictures = False

    def __init__(
        self,
        opened: stack.Stack,
        *,
        timing: listening.Timing | None = None,
        total: float | None = None,
        connection: api.Api | None = None,
    ) -> None:
        conf = opened.settings
        self._stack = opened
        self._timing = timing or listening.Timing()
        # Less than the courier grants, so that what never left is known not to have been sent.
        seconds = total or min(api.TOTAL, 0.6 * conf.lease_seconds)
        self._api = connection or api.Api(conf, total=seconds)
        chats = private.PrivateChats(self._api, conf.discord_dms_per_hour)
        self._sender = sending.Sender(self._api, chats, self._whereabouts, opened.clock, seconds=seconds)
        self._ear = listening.Listener(self._api, opened, self._timing, conf.discord_bot_token.get_secret_value())
        self._setup = setup.Setup(self._api, opened)
        self._known: tuple[float, sending.Whereabouts] = (0.0, sending.Whereabouts({}))
        self._alarmed = False

    @property
    def last_progress(self) -> float:
        return self._ear.last_progress

    @last_progress.setter
    def last_progress(self, value: float) -> None:
        self._ear.last_progress = value

    async def start(self) -> None:
        """Discord knows the bot and its commands; raises ConfigError for a wrong token, otherwise UnreachableError."""
        await self._introduced()
        await self._describe()
        self.last_progress = time.monotonic()
        log.info("discord_started", name=self._api.name, application=self._api.application)

    async def _introduced(self) -> None:
        for failed in range(_TRIES):
            try:
                await self._api.open()
            except discord.LoginFailure:
                await self._api.close()
                raise errors.ConfigError(gateway.UNKNOWN_BOT) from None
            except wire.DiscordError as error:
                wait = max(listening.pause(self._timing, failed), getattr(error, "after", None) or 0)
                log.warning("discord_not_reached", error=str(error), wait=round(wait, 1))
                if failed + 1 < _TRIES and wait <= self._timing.longest:
                    await asyncio.sleep(wait)
            else:
                return
        await self._api.close()
        raise errors.UnreachableError(
            f"Discord does not answer at {self._stack.settings.discord_api_url}; check the network and try again."
        )

    async def _describe(self) -> None:
        """Discord knows our commands; it is told only of a table that is not the one it was told last."""
        told = registration.table(self._stack.catalogue)
        mine = f"{self._api.application} {registration.fingerprint(told)}"
        async with self._stack.db.reading() as session:
            row = await session.get(models.Heartbeat, BOT)
        if row is None or not row.note.startswith(f"{mine} "):
            try:
                ids = {"application_id": self._api.application}
                await self._api.call("PUT", "/applications/{application_id}/commands", ids, json=told)
                log.info("discord_commands_told", count=len(told))
            except wire.DiscordError as error:
                log.warning("discord_commands_not_told", error=str(error))
                mine = f"{self._api.application} -"
        async with self._stack.db.transaction() as session:
            note = f"{mine} {self._api.name}"
            await health.beat(session, BOT, limit=_YEAR, now=self._stack.clock(), note=note)

    async def stop(self) -> None:
        """Every connection is closed."""
        await self._api.close()

    async def listen(self) -> None:
        """Events are put into the inbox until this is cancelled."""
        await self._ear.run()

    # --- sending and doors

    async def send(self, parcel: platforms.Parcel) -> outcomes.Outcome:
        """What became of one attempt to send."""
        outcome = await self._sender.send(parcel)
        await self._watch_refusals()
        return outcome

    async def attempt(self, act: platforms.Act) -> outcomes.Outcome:
        """What became of one attempt at a door."""
        outcome = await doors.attempt(self._api, act)
        await self._watch_refusals()
        return outcome

    async def inspect(self, place: models.Place) -> Sequence[str]:
        """What hinders us in this place, a sentence each."""
        return await hindrances.of(self._api, place)

    async def hindered(self, channel: str) -> Sequence[str]:
        """What hinders us from posting in this channel, a sentence each."""
        return await hindrances.posting(self._api, channel)

    async def roster(self, place: models.Place, known: Sequence[str]) -> rounds.Roster:  # noqa: ARG002 - all are listed
        """Everybody who has the role of this place."""
        return await doors.roster(self._api, place, clock=self._stack.clock)

    def limits(self, conf: settings.Settings) -> pacing.Limits:
        """Messages a second as configured, one a second in a channel."""
        hard = min(50, conf.discord_rate + 5)
        return pacing.Limits(per_second=conf.discord_rate, hard=hard, chat_interval=1.0, group_per_minute=0)

    def group(self, address: str) -> bool:  # noqa: ARG002 - Discord makes no difference
        """Whether the address is a group; no channel of Discord's takes fewer messages than another."""
        return False

    async def _whereabouts(self) -> sending.Whereabouts:
        since, known = self._known
        if time.monotonic() - since > _REMEMBERED or not known.spaces:
            async with self._stack.db.reading() as session:
                found = await places.active(session, self.name)
            known = sending.Whereabouts({place.key: (place.space, place.channel) for place in found})
            self._known = time.monotonic(), known
        return known

    async def _watch_refusals(self) -> None:
        """An alarm stands while we send nothing because Discord refuses too much of it."""
        stopped = self._api.allowance.stopped_for > 0
        if stopped == self._alarmed:
            return
        text = (
            "Discord refused a thousand of our requests within ten minutes, so nothing is sent until they are over: at "
            "ten thousand it would shut us out for a day. The log and the other alarms say what it refuses."
        )
        try:
            async with self._stack.db.transaction() as session:
                if stopped:
                    await health.alarm(session, REFUSED, text, now=self._stack.clock())
                else:
                    await health.clear(session, REFUSED, now=self._stack.clock())
        except Exception as error:
            if not db.is_unavailable(error):
                raise
            log.warning("discord_alarm_not_kept", error=type(error).__name__)
        else:
            self._alarmed = stopped

    # --- what people did

    async def apply(self, item: inbox.Item) -> None:
        """What the item says has taken effect once, and the answers wait in the outbox."""
        heard = self._understood(item)
        outcome, findings, eased = None, None, False
        if isinstance(heard, events.Order) and self._stack.clock() < heard.until:
            outcome = await self._setup.carry_out(heard)
        elif isinstance(heard, events.Change):
            findings, eased = await self._findings(heard.space)
        try:
            async with self._stack.db.transaction() as session:
                waiting = await self._take(session, item, heard, outcome, findings)
                await inbox.done(session, item)
        except errors.LostLeaseError:
            log.info("discord_event_taken_over", item=item.id)
            return
        if eased or (outcome is not None and outcome.drafts):
            self._stack.bell.ring(f"places:{self.name}")  # what happened while we were hindered, a round finds out
        if record.grew(session):
            self._stack.deliver()  # a signal by hand, or its end: everybody is to hear of it
        elif waiting:
            self._stack.bell.ring(f"outbox:{self.name}")

    def _understood(self, item: inbox.Item) -> events.Heard | None:
        try:
            return events.read(item)
        except events.MalformedError as error:
            log.warning("discord_item_malformed", item=item.id, error=str(error))
            return None

    async def _findings(self, space: str) -> tuple[dict[str, Sequence[str]], bool]:
        """What hinders us in the places of this server, by their keys; whether that is nothing any more somewhere."""
        async with self._stack.db.reading() as session:
            found = await gate.at(session, space)
        findings: dict[str, Sequence[str]] = {place.key: await hindrances.of(self._api, place) for place in found}
        return findings, any(place.fault and not findings[place.key] for place in found)

    async def _take(
        self,
        session: AsyncSession,
        item: inbox.Item,
        heard: events.Heard | None,
        outcome: setup.Outcome | None,
        findings: dict[str, Sequence[str]] | None,
    ) -> int:
        """The effect of what was heard; says how much there is to deliver because of it."""
        now = self._stack.clock()
        match heard:
            case events.Question(ask, until) if now < until:
                desk = commands.Desk(self._stack.settings, self._stack.catalogue, now, self._api.name)
                return await self._answer(session, item, await commands.answer(session, ask, desk), until)
            case events.Order(ask, until):
                outcome = outcome or setup.TOO_LATE
                await setup.write(session, heard, outcome, self._stack)
                if now >= until:
                    return 0
                reply = commands.Reply(ask.answer_at, outcome.message)
                return await self._answer(session, item, [reply], until)
            case events.Standing():
                return await gate.seen(session, heard, now=now)
            case events.Change():
                return (await places.inspected(session, findings or {}, now=now)).acts
        return 0

    async def _answer(
        self, session: AsyncSession, item: inbox.Item, replies: list[commands.Reply], until: datetime
    ) -> int:
        """Each answer waits in the outbox under the item's number, for as long as somebody sees it."""
        now = self._stack.clock()
        for number, (address, message) in enumerate((reply.address, reply.message) for reply in replies):
            key = f"{self.name}:{item.event_id}:{number}"
            life = until - now
            await outbox.reply(session, self.name, address, message.as_dict(), key=key, now=now, life=life)
        return len(replies)
