"""Loops: a step again and again until the stop, through outages, with a heartbeat for every step that succeeded."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from core import db, errors, health
from webhooks import site

LIMIT = 90.0
"""Seconds after which a part that beats counts as dead."""
_BEAT = 10.0
_LONGEST = 60.0
log = structlog.get_logger()


@dataclass
class Loop:
    """`step` every `every` seconds, at once when it says there is more, and when the bell rings for `topic`."""

    here: site.Site
    stop: asyncio.Event
    name: str
    step: Callable[[], Awaitable[object]]
    every: float
    topic: str = ""
    beats: bool = True
    last: Callable[[], Awaitable[object]] | None = None
    """Done once after the stop."""
    _failures: int = 0
    _beaten: float = -_BEAT

    async def run(self) -> None:
        """Returns after the stop, when the step that was under way has ended."""
        while not self.stop.is_set():
            await self._rest(await self._turn())
        with suppress(Exception):  # the database may be what is being stopped
            if self.last is not None:
                await self.last()
            async with self.here.stack.db.transaction() as session:
                await health.retire(session, self._part)

    @property
    def _part(self) -> str:
        return f"webhooks.{self.name}"

    async def _turn(self) -> float:
        """One step; says how many seconds to rest after it."""
        try:
            more = await self.step()
            await self._got_somewhere()
        except Exception as error:  # noqa: BLE001 - whatever it was, the next step is tried
            return await self._failed(error)
        return 0.0 if more else self.every

    async def _got_somewhere(self) -> None:
        recovered, self._failures = self._failures > 0, 0
        now = asyncio.get_running_loop().time()
        if recovered:
            log.info("webhooks_loop_recovered", part=self._part)
        if not recovered and now - self._beaten < _BEAT:
            return
        async with self.here.stack.db.transaction() as session:
            if self.beats:
                await health.beat(session, self._part, limit=LIMIT, now=self.here.now)
            if recovered:
                await health.clear(session, self._refusal, now=self.here.now)
        self._beaten = now

    async def _failed(self, error: Exception) -> float:
        self._failures += 1
        known = isinstance(error, errors.SignalStackError) or db.is_unavailable(error)
        reason = str(error) if isinstance(error, errors.SignalStackError) else type(error).__name__
        if self._failures in {1, 2} or self._failures % 10 == 0:
            log.warning("webhooks_loop_failed", part=self._part, error=reason, exc_info=None if known else error)
        if isinstance(error, errors.RefusedError):
            with suppress(Exception):  # an alarm that cannot be written now is raised at the next failure
                async with self.here.stack.db.transaction() as session:
                    await health.alarm(session, self._refusal, f"{self._part}: {reason}", now=self.here.now)
        return float(min(_LONGEST, 2.0 ** min(self._failures, 10) / 2))

    @property
    def _refusal(self) -> str:
        return f"{self._part}_refused"

    async def _rest(self, seconds: float) -> None:
        if seconds <= 0:
            return
        bell = self.here.stack.bell
        waits = [
            asyncio.create_task(self.stop.wait()),
            asyncio.create_task(bell.wait(self.topic, seconds) if self.topic else _sleep(seconds)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


async def _sleep(seconds: float) -> bool:
    await asyncio.sleep(seconds)
    return False
