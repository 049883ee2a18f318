"""Listening: one process at a time is connected to the gateway, under a lease; the others only send.

What ends a connection is repaired here or by the library, except for what an operator has to mend. What gets nowhere
for long is seen by the runner's watchdog.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import discord
import structlog

from bot.platforms.discord import api, events, gateway, hearing, reception, signins, wire
from core import db, errors, health, leases, stack

log = structlog.get_logger()

LEASE = "discord.gateway"
SIGN_INS = "discord.identify"
_FAILURES = (wire.DiscordError, discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: first and longest pause after failures, silence that ends a connection, between two sign-ins, until a
    changed server is looked at, between two looks at a spent limit, and for closing; and how questions are received.
    """

    first: float = 0.5
    longest: float = 30.0
    heartbeat: float = 60.0
    apart: float = 5.0
    settling: float = 3.0
    check: float = 30.0
    closing: float = 3.0
    patience: reception.Patience = field(default_factory=reception.Patience)


def pause(timing: Timing, failed: int) -> float:
    """How long to wait after so many failures in a row: doubled each time, bounded, with jitter."""
    wait: float = min(timing.longest, timing.first * 2 ** min(failed, 16))
    return wait * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


class RefusedSignInError(Exception):
    """The sign-in may not be made yet."""


class Listener:
    """Listens for one bot; `last_progress` is the monotonic second of the last sign that somebody listens."""

    def __init__(self, connection: api.Api, opened: stack.Stack, timing: Timing, token: str) -> None:
        self._api, self._stack, self._timing, self._token = connection, opened, timing, token
        self._hearing = hearing.Hearing(connection, opened, timing.patience, settling=timing.settling)
        self._elsewhere = time.monotonic()
        self._epoch: int | None = None
        self._limit = signins.Limit()
        self._failed = self._seen = self._began = 0
        self._delayed = False
        self._alarmed = True  # an earlier process may have left the alarm

    @property
    def last_progress(self) -> float:
        """When this listener, or another one, last got somewhere."""
        return max(self._hearing.progress, self._elsewhere)

    @last_progress.setter
    def last_progress(self, value: float) -> None:
        self._hearing.progress = self._elsewhere = value

    async def run(self) -> None:
        """What people do flows into the inbox until this is cancelled; then another process may listen at once."""
        keeping = asyncio.create_task(self._hearing.keep())
        try:
            while True:
                wait = await self._round(keeping)
                if wait:
                    await asyncio.sleep(wait)
        finally:
            await self._hearing.finish(self._timing.closing)
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await self._release()

    async def _round(self, keeping: asyncio.Task[None]) -> float:
        """One session from its beginning to its end; says how many seconds to wait before the next."""
        try:
            if not await self._lead():
                self._elsewhere = time.monotonic()
                return self._stack.settings.lease_seconds / 3
            self._limit = await gateway.limit(self._api)
            if wait := await self._held_back():
                self._elsewhere = time.monotonic()  # a restart of this process would change nothing
                return min(wait, self._timing.check, self._stack.settings.lease_seconds / 3)
            await self._hearing.load()
            await self._session(keeping)
        except Exception as error:  # noqa: BLE001 - judged there, and raised again when nobody expects it
            return await self._after(error)
        return pause(self._timing, 0)

    async def _after(self, error: Exception) -> float:
        if (known := gateway.final(error)) is not None:
            raise known from None
        if isinstance(error, errors.LostLeaseError):
            self._epoch = None
            log.warning("discord_listening_elsewhere")
            return 0.0
        if isinstance(error, RefusedSignInError):
            return 0.0
        if isinstance(error, wire.RefusalError) and error.status == 401:
            raise errors.ConfigError(gateway.UNKNOWN_BOT) from None
        if not isinstance(error, _FAILURES) and not db.is_unavailable(error):
            raise error
        wait = pause(self._timing, self._failed)
        self._failed += 1
        log.warning("discord_gateway_lost", error=type(error).__name__, failed=self._failed, wait=round(wait, 1))
        return wait

    async def _session(self, keeping: asyncio.Task[None]) -> None:
        """A connection from its beginning to its end; raises what ended it."""
        self._began = self._hearing.signed_in
        client = gateway.Connection(
            self._hearing.hear, self._admit, heartbeat=self._timing.heartbeat, limits=self._api.allowance
        )
        connected = asyncio.create_task(client.start(self._token))
        leading = asyncio.create_task(self._hold_lease())
        try:
            done, _ = await asyncio.wait({connected, leading, keeping}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            leading.cancel()
            with suppress(Exception):
                await api.put_away(client, self._timing.closing)
            connected.cancel()
            await asyncio.gather(connected, leading, return_exceptions=True)

    # --- one process at a time

    async def _lead(self) -> bool:
        conf = self._stack.settings
        async with self._stack.db.transaction() as session:
            now = self._stack.clock()
            self._epoch = await leases.acquire(session, LEASE, self._stack.holder, ttl=conf.lease_seconds, now=now)
        return self._epoch is not None

    async def _hold_lease(self) -> None:
        """The lease is renewed, and the gateway's signs of life are written down, until another has taken it."""
        while True:
            await asyncio.sleep(min(5.0, self._stack.settings.lease_seconds / 3))
            async with self._forgiving("discord_lease_not_renewed"):
                if not await self._lead():
                    raise errors.LostLeaseError("Another process listens to Discord now.")
                await self._report()
                await self._hearing.load()

    async def _report(self) -> None:
        """The gateway's signs of life are a heartbeat; a session that began ends what was said about sign-ins."""
        began = self._hearing.signed_in > self._seen
        self._seen = self._hearing.signed_in
        async with self._stack.db.transaction() as session:
            now = self._stack.clock()
            if time.monotonic() - self._hearing.progress < self._timing.heartbeat and self._seen:
                await health.beat(session, LEASE, limit=90, now=now)
            if began and self._alarmed:
                await health.clear(session, SIGN_INS, now=now)
        if began:
            self._failed, self._alarmed = 0, False

    async def _release(self) -> None:
        if self._epoch is not None:
            async with self._forgiving("discord_lease_not_released"), self._stack.db.transaction() as session:
                await leases.release(session, LEASE, self._epoch, now=self._stack.clock())
                await health.retire(session, LEASE)

    # --- sign-ins

    async def _held_back(self) -> float:
        """Seconds until we may sign in, 0 for now; an alarm stands while the day's sign-ins are used up."""
        async with self._stack.db.reading() as session:
            made = await signins.made(session, events.PLATFORM, now=self._stack.clock())
        wait = signins.wait(made, self._limit, now=self._stack.clock())
        if wait.spent:
            text = (
                f"{len(made)} sign-ins at Discord's gateway in a day are too many, so we wait before the next one: "
                "Discord would take the bot's token away. Something makes the bot start again and again; see its log."
            )
            self._alarmed = True
            async with self._stack.db.transaction() as session:
                await health.alarm(session, SIGN_INS, text, now=self._stack.clock())
        if wait.seconds and not self._delayed:
            log.warning("discord_sign_in_delayed", seconds=round(wait.seconds), today=len(made), spent=wait.spent)
        self._delayed = wait.seconds > 0
        return wait.seconds

    async def _admit(self, initial: bool) -> None:
        """The sign-in that follows is counted; raises RefusedSignInError when it may not be made yet."""
        if not initial:
            await asyncio.sleep(self._timing.apart)
            # The first ones of this session were allowed together, before it began.
            if self._hearing.signed_in - self._began >= self._limit.shards and await self._held_back():
                raise RefusedSignInError
        async with self._stack.db.transaction() as session:
            await signins.count(session, events.PLATFORM, now=self._stack.clock())

    @asynccontextmanager
    async def _forgiving(self, event: str) -> AsyncIterator[None]:
        """What may be lost when the database is away: it will show by itself."""
        try:
            yield
        except Exception as error:
            if not db.is_unavailable(error):
                raise
            log.warning(event, error=type(error).__name__)
