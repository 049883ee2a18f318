"""Loops: a step again and again until the stop, through outages, at once when there is more or the bell rings."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from core import errors, health, work
from webhooks import site

LIMIT = 90.0
"""Seconds after which a part that beats counts as dead."""


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
    _pulse: work.Pulse = field(init=False)
    _refused: bool = False

    def __post_init__(self) -> None:
        self._part = f"webhooks.{self.name}"
        self._pulse = work.Pulse(self.here.stack, self._part, limit=LIMIT)

    async def run(self) -> None:
        """Returns after the stop, when the step that was under way has ended."""
        await work.repeat(self._part, self._turn, self.stop)
        with suppress(Exception):  # the database may be what is being stopped
            if self.last is not None:
                await self.last()
            async with self.here.stack.db.transaction() as session:
                await health.retire(session, self._part)

    async def _turn(self) -> None:
        try:
            more = await self.step()
        except errors.RefusedError as error:
            await self._alarm(error)
            raise
        if self._refused:
            await self._alarm(None)
        if self.beats:
            await self._pulse.beat()
        if not more:
            await self._rest()

    async def _alarm(self, refusal: errors.RefusedError | None) -> None:
        """What was refused stands as an alarm until the step succeeds: it will not get better by itself."""
        key, now = f"{self._part}_refused", self.here.now
        async with self.here.stack.db.transaction() as session:
            if refusal is None:
                await health.clear(session, key, now=now)
            else:
                await health.alarm(session, key, f"{self._part}: {refusal}", now=now)
        self._refused = refusal is not None

    async def _rest(self) -> None:
        bell = self.here.stack.bell
        rung = bell.wait(self.topic, self.every, who=self._part) if self.topic else asyncio.sleep(self.every, False)
        waits = [asyncio.create_task(self.stop.wait()), asyncio.create_task(rung)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
