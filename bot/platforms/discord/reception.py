"""How a question is received: Discord hears at once that we are thinking, then the question is kept.

Discord waits three seconds for the first word, whatever our database does, and only the person who asked sees any of
our answers.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import structlog

from bot import messages
from bot.platforms.discord import api, events, registration, rendering, sending, wire
from core import inbox, stack

Json = dict[str, Any]
log = structlog.get_logger()

CALLBACK = "/interactions/{webhook_id}/{webhook_token}/callback"
_THINKING, _CHOICES = 5, 8
_EPHEMERAL = 1 << 6
_AUTOCOMPLETE = 4
_ACKNOWLEDGED, _TOO_LATE = 40060, 10062
SORRY = "Sorry, we cannot look that up at the moment. Please ask again in a minute; nothing of yours is lost."


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for the first word, of these for one try, and for keeping the question."""

    first: float = 2.6
    once: float = 1.2
    keeping: float = 4.0


class Reception:
    """Receives the questions of one bot."""

    def __init__(self, connection: api.Api, opened: stack.Stack, patience: Patience) -> None:
        self._api, self._stack, self._patience = connection, opened, patience

    async def receive(self, interaction: Json) -> None:
        """The question is acknowledged and kept, or the person knows that it is not."""
        number, token = str(interaction["id"]), str(interaction["token"])
        if interaction["type"] == _AUTOCOMPLETE:
            words, options = events.spoken(interaction["data"])
            choices = registration.suggestions(words, options, self._stack.catalogue)
            await self._acknowledge(number, token, {"type": _CHOICES, "data": {"choices": choices}})
            return
        if not await self._acknowledge(number, token, {"type": _THINKING, "data": {"flags": _EPHEMERAL}}):
            return
        body = events.asked(interaction, self._stack.clock())
        try:
            async with asyncio.timeout(self._patience.keeping), self._stack.db.transaction() as session:
                await inbox.put(session, events.PLATFORM, number, events.INTERACTION, body, now=self._stack.clock())
        except Exception as error:  # noqa: BLE001 - whatever it is, the person reads a sentence
            log.warning("discord_question_not_kept", error=type(error).__name__)
            await self._apologise(token)
            return
        self._stack.bell.ring(f"inbox:{events.PLATFORM}")

    async def _acknowledge(self, number: str, token: str, answer: Json) -> bool:
        """Whether Discord knows that we heard; a try that failed is repeated while there is time."""
        until = time.monotonic() + self._patience.first
        ids = {"webhook_id": number, "webhook_token": token}
        while (left := until - time.monotonic()) > 0:
            try:
                await self._api.call(
                    "POST", CALLBACK, ids, json=answer, free=True, seconds=min(self._patience.once, left)
                )
            except wire.RefusalError as error:
                # Another try of ours, or another process, was heard.
                if error.code == _ACKNOWLEDGED:
                    return True
                log.warning("discord_question_refused", code=error.code, late=error.code == _TOO_LATE)
                return False
            except wire.DiscordError as error:
                log.info("discord_question_not_acknowledged", error=str(error))
                await asyncio.sleep(0.1)
            else:
                return True
        log.warning("discord_question_lost", reason="Discord did not take our first word in time")
        return False

    async def _apologise(self, token: str) -> None:
        body = {"embeds": rendering.embeds(messages.text.message(SORRY)), "allowed_mentions": rendering.mentions()}
        ids = {"webhook_id": self._api.application, "webhook_token": token}
        try:
            await self._api.call("PATCH", sending.ANSWER, ids, json=body, free=True)
        except wire.DiscordError as error:
            log.warning("discord_apology_not_sent", error=str(error))
