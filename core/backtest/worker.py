"""The loop that works on backtests: claim one, compute it beside the event loop, and hand over what came of it."""

import asyncio
import time
from typing import Any

import structlog

from core import db, errors, stack
from core.backtest import jobs, report

_IDLE = 1.0
_LONGEST = 300.0  # seconds
_GAVE_UP = "It could not be finished three times in a row; the operator finds the cause in the log of the scheduler."
_TOO_LONG = "It took longer than five minutes; ask for a longer timeframe."
log = structlog.get_logger()


class Worker:
    """Works off one job at a time; a job that is not finished when `stop` is set waits for another worker."""

    def __init__(self, held: stack.Stack, stop: asyncio.Event) -> None:
        self._stack, self._stop = held, stop
        self._lease = held.settings.lease_seconds

    async def step(self) -> None:
        """The next job has ended; without one, a moment has passed."""
        async with self._stack.db.reading() as session:
            waits = await jobs.due(session, now=self._stack.clock())
        if not waits:
            await self._stack.bell.wait(jobs.TOPIC, timeout=_IDLE)
            return
        async with self._stack.db.transaction() as session:
            job = await jobs.claim(session, now=self._stack.clock(), lease=self._lease)
        if job is not None:
            await self._work(job)

    async def _work(self, job: jobs.Job) -> None:
        began = time.monotonic()
        try:
            result = await self._computed(job)
        except errors.LostLeaseError:
            log.info("backtest_taken_over", job=job.id)
            return
        except errors.SignalStackError as error:
            await self._failed(job, str(error))
            return
        except Exception as error:
            if db.is_unavailable(error):
                raise  # when the lease is over it is tried again
            log.exception("backtest_failed", job=job.id, **_subject(job))
            await self._failed(job, f"The strategy {job.request['strategy']} failed: {type(error).__name__}.")
            return
        if result is None:
            return
        async with self._stack.db.transaction() as session:
            ours = await jobs.finish(session, job, result, now=self._stack.clock())
        if ours:
            self._ring(job)
            log.info("backtest_finished", job=job.id, seconds=round(time.monotonic() - began, 2), **_subject(job))

    async def _failed(self, job: jobs.Job, error: str) -> None:
        log.info("backtest_refused", job=job.id, error=error, **_subject(job))
        async with self._stack.db.transaction() as session:
            await jobs.fail(session, job, error, now=self._stack.clock())
        self._ring(job)

    def _ring(self, job: jobs.Job) -> None:
        if job.platform:
            self._stack.bell.ring(f"outbox:{job.platform}")

    async def _computed(self, job: jobs.Job) -> dict[str, Any] | None:
        """The report; None when the process is to stop, and then the job is free again."""
        if job.attempts > jobs.MOST_ATTEMPTS:
            raise errors.RefusedError(_GAVE_UP)
        asked = _subject(job)
        computing = asyncio.create_task(
            report.from_table(
                self._stack.db, self._stack.catalogue, asked["symbol"], asked["strategy"], asked["timeframe"]
            )
        )
        renewing, stopping = asyncio.create_task(self._renew(job)), asyncio.create_task(self._stop.wait())
        every = (computing, renewing, stopping)
        try:
            await asyncio.wait(every, timeout=_LONGEST, return_when=asyncio.FIRST_COMPLETED)
            if computing.done():
                return computing.result()
            if renewing.done():
                renewing.result()
                raise errors.LostLeaseError(f"The backtest {job.id} was taken over by another worker.")
        finally:
            for task in every:
                task.cancel()
            await asyncio.gather(*every, return_exceptions=True)
        if not self._stop.is_set():
            raise errors.RefusedError(_TOO_LONG)
        async with self._stack.db.transaction() as session:
            await jobs.release(session, job)
        return None

    async def _renew(self, job: jobs.Job) -> None:
        """Returns when the job is not ours any more."""
        while True:
            await asyncio.sleep(self._lease / 3)
            try:
                async with self._stack.db.transaction() as session:
                    if not await jobs.extend(session, job, now=self._stack.clock(), lease=self._lease):
                        return
            except Exception as error:
                if not db.is_unavailable(error):
                    raise
                log.warning("backtest_not_renewed", job=job.id, error=type(error).__name__)


def _subject(job: jobs.Job) -> dict[str, str]:
    return {name: str(job.request[name]) for name in jobs.SUBJECT}
