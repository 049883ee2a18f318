"""Work that goes on until it is told to stop: repeated steps that survive failures, and pulses that show progress."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from core import db, errors, figures, health, stack

_LONGEST_PAUSE = 30.0
_BEAT_EVERY = 5.0
log = structlog.get_logger()


class Pulse:
    """The progress of one part: written to the heartbeats every few seconds, and watched from inside the process."""

    def __init__(self, held: stack.Stack, part: str, *, limit: float) -> None:
        self.part, self.limit = part, limit
        self.last = time.monotonic()
        self._stack, self._written = held, 0.0

    @property
    def silent_for(self) -> float:
        """Seconds since the last progress."""
        return time.monotonic() - self.last

    async def beat(self, note: str = "") -> None:
        """This part got somewhere just now."""
        self.last = time.monotonic()
        if self.last - self._written < _BEAT_EVERY:
            return
        self._written, counted = self.last, self._stack.counted.take()
        try:
            async with self._stack.db.transaction() as session:
                await health.beat(session, self.part, limit=self.limit, now=self._stack.clock(), note=note)
                await figures.write(session, counted)
        except Exception as error:
            self._stack.counted.put_back(counted)
            if not db.is_unavailable(error):
                raise
            log.warning("heartbeat_not_written", part=self.part, error=type(error).__name__)


async def repeat(name: str, step: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """The step is repeated until `stop` is set. A failure costs a pause that doubles up to half a minute.

    Only ConfigError ends the work: it will not get better by itself.
    """
    failures = 0
    while not stop.is_set():
        try:
            await step()
            failures = 0
        except errors.ConfigError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the next try may go well; it is logged
            failures += 1
            _report(name, error, failures)
            await pause(stop, min(_LONGEST_PAUSE, 0.5 * 2**failures) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter


def _report(name: str, error: Exception, failures: int) -> None:
    if isinstance(error, errors.SignalStackError):
        log.warning("work_failed", work=name, error=str(error), failures=failures)
    elif db.is_unavailable(error):
        log.warning("work_failed", work=name, error=f"database away ({type(error).__name__})", failures=failures)
    else:
        log.error("work_failed", work=name, error=str(error), failures=failures, exc_info=error)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Returns after these seconds, or as soon as `stop` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


async def watch(pulses: Sequence[Pulse], stop: asyncio.Event) -> None:
    """Returns when `stop` is set; raises UnreachableError when a part has made no progress for longer than its limit.

    A part that hangs without an error cannot be mended from inside, so the process ends with one clear line, and
    whoever runs it starts it again.
    """
    while not stop.is_set():
        for pulse in pulses:
            if pulse.silent_for > pulse.limit:
                raise errors.UnreachableError(
                    f"{pulse.part} has made no progress for {pulse.silent_for:.0f} seconds; this process ends."
                )
        await pause(stop, 1.0)
