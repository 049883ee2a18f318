"""Role "bot": for every enabled platform a listener, an inbox worker and two couriers, watched from inside."""

import asyncio
import functools
import time
from contextlib import suppress

import structlog

from bot import courier, doorkeeper, pictures, platforms
from core import errors, figures, inbox, stack, work
from core.delivery import pacing

_AT_ONCE = 10
_IDLE = 1.0
_NOT_REACHED = 15.0
log = structlog.get_logger()


class _Listening(work.Pulse):
    """The listener keeps its own account of its progress."""

    def __init__(self, held: stack.Stack, platform: platforms.Platform) -> None:
        super().__init__(held, f"{platform.name}.poller", limit=90)
        self._platform = platform

    @property
    def silent_for(self) -> float:
        """Seconds since the listener last got somewhere."""
        return time.monotonic() - self._platform.last_progress


async def run(held: stack.Stack, stop: asyncio.Event) -> None:
    """The role runs until `stop` is set; then intake stops first, and what is in flight is finished."""
    found = platforms.enabled(held)
    if not found:
        log.warning("bot_without_platform", hint="set TELEGRAM_BOT_TOKEN or DISCORD_BOT_TOKEN to speak to anybody")
        await stop.wait()
        return
    async with asyncio.TaskGroup() as jobs:
        for platform in found:
            jobs.create_task(_serve(held, platform, stop, alone=len(found) == 1))


async def _serve(held: stack.Stack, platform: platforms.Platform, stop: asyncio.Event, *, alone: bool) -> None:
    """One platform works until `stop`; where there are others, one that cannot be reached is tried again and again."""
    try:
        while not stop.is_set():
            try:
                started = await _started(platform, stop)
            except errors.UnreachableError as error:
                if alone:
                    raise
                log.warning("platform_not_reached", platform=platform.name, error=str(error))
                await work.pause(stop, _NOT_REACHED)
                continue
            if started:
                await _work(held, platform, stop)
            return
    finally:
        await platform.stop()


async def _started(platform: platforms.Platform, stop: asyncio.Event) -> bool:
    """Whether the platform was there before `stop` was set; reaching it may take longer than a stop may."""
    start, end = asyncio.create_task(platform.start()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({start, end}, return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            start.result()
            return True
    finally:
        start.cancel()
        end.cancel()
        await asyncio.gather(start, end, return_exceptions=True)
    return False


async def _work(held: stack.Stack, platform: platforms.Platform, stop: asyncio.Event) -> None:
    waited = functools.partial(held.counted.observe, figures.LIMITER, platform.name)
    pacer = pacing.Pacer(platform.name, platform.limits(held.settings), redis=held.redis, waited=waited)
    shown = pictures.Pictures(held, platform.name, shared=platform.keeps_pictures)
    couriers = [courier.Courier(held, platform, pacer, shown, urgent=urgent) for urgent in (True, False)]
    worker = _InboxWorker(held, platform)
    async with asyncio.TaskGroup() as jobs:
        listener = jobs.create_task(_listen(platform))
        jobs.create_task(shown.warm_up())
        for one in couriers:
            jobs.create_task(one.run(stop))
        jobs.create_task(worker.run(stop))
        keeper = doorkeeper.Doorkeeper(held, platform)
        jobs.create_task(keeper.run(stop))
        pulses = [_Listening(held, platform), worker.pulse, keeper.pulse, *(one.pulse for one in couriers)]
        jobs.create_task(work.watch(pulses, stop))
        await stop.wait()
        listener.cancel()
        for topic in (f"outbox:{platform.name}", f"inbox:{platform.name}", f"places:{platform.name}"):
            held.bell.ring(topic)


async def _listen(platform: platforms.Platform) -> None:
    with suppress(asyncio.CancelledError):
        await platform.listen()


class _InboxWorker:
    """Works off what a platform's people did, in the order in which it came."""

    def __init__(self, held: stack.Stack, platform: platforms.Platform) -> None:
        self._stack, self._platform = held, platform
        self._lease = 2 * held.settings.lease_seconds
        self.pulse = work.Pulse(held, f"{platform.name}.inbox", limit=90)

    async def run(self, stop: asyncio.Event) -> None:
        """Items take effect until `stop` is set; the running one is finished."""
        await work.repeat(self.pulse.part, self._step, stop)

    async def _step(self) -> None:
        await self.pulse.beat()
        name = self._platform.name
        async with self._stack.db.transaction() as session:
            items = await inbox.claim(session, name, now=self._stack.clock(), lease=self._lease, limit=_AT_ONCE)
        for item in items:
            await self._apply(item)
        if not items:
            await self._stack.bell.wait(f"inbox:{name}", timeout=_IDLE)

    async def _apply(self, item: inbox.Item) -> None:
        try:
            await self._platform.apply(item)
        except errors.LostLeaseError:
            log.info("inbox_item_taken_over", item=item.id)
        except Exception as error:
            log.warning("inbox_item_failed", item=item.id, kind=item.kind, exc_info=error)
            async with self._stack.db.transaction() as session:
                await inbox.retry(session, item, f"{type(error).__name__}: {error}", now=self._stack.clock())
