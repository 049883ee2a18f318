"""Role "scheduler": when things happen, never what. One process at a time leads; the others stand by.

APScheduler only rings bells, in UTC. What is due follows from the database, so a missed or a doubled ring changes
nothing, and stopping means waiting for our own loops.
"""

import asyncio
import hashlib
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core import access, alerting, errors, figures, health, inbox, leases, rounds, stack, tracing, uptime, work
from core.backtest import drift, worker
from core.backtest import jobs as backtests
from core.billing import dunning
from core.delivery import outbox, recovery
from core.market import exchange
from core.privacy import removal
from core.signals import record, scan

_SCAN, _SWEEP, _SAMPLE, _ALERT, _TIDY = "scan", "sweep", "sample", "alert", "tidy"
_SWEEP_SECONDS = 5.0  # at most; what a dead worker held must not wait much longer than its lease
_ALERT_SECONDS = 10.0
_BODIES_KEPT = timedelta(days=30)
_FORGOTTEN_AFTER = timedelta(days=1)
_QUIET = timedelta(days=1)  # an alarm that nothing has raised again for so long is over
log = structlog.get_logger()


class Scheduler:
    """The scheduler's loops over one stack."""

    def __init__(self, held: stack.Stack) -> None:
        self._stack = held
        self._ttl = max(min(15.0, held.settings.lease_seconds), 4 * held.settings.scan_seconds)
        self._epoch: int | None = None
        self._witnessed: date | None = None
        self._sampled: datetime | None = None
        self._reminded: datetime | None = None
        self._sweep_seconds = min(_SWEEP_SECONDS, held.settings.lease_seconds / 3)
        self._clock = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._pulse = work.Pulse(held, "scheduler.scan", limit=90)

    async def run(self, stop: asyncio.Event) -> None:
        """Candles are scanned and ends are noticed until `stop` is set; then the running pass is finished first."""
        held, ring = self._stack, self._ring
        self._clock.add_job(ring, "interval", args=[_SCAN], seconds=held.settings.scan_seconds)
        self._clock.add_job(ring, "interval", args=[_SWEEP], seconds=self._sweep_seconds)
        self._clock.add_job(ring, "interval", args=[_SAMPLE], minutes=1)
        self._clock.add_job(ring, "interval", args=[_ALERT], seconds=_ALERT_SECONDS)
        self._clock.add_job(ring, "interval", args=[_TIDY], hours=1)
        self._clock.start()
        # At once: a process that dies soon after each start must still free what the one before it held.
        await ring(_SCAN)
        await ring(_SWEEP)
        try:
            async with (
                exchange.Exchanges(api_url=held.settings.exchange_api_url) as exchanges,
                asyncio.TaskGroup() as jobs,
            ):
                scans = scan.Scan(held, exchanges)
                jobs.create_task(work.repeat("scan", lambda: self._scan(scans, stop), stop))
                jobs.create_task(work.repeat("sweep", self._sweep, stop))
                jobs.create_task(work.repeat("sample", self._sample, stop))
                jobs.create_task(work.repeat("tidy", self._tidy, stop))
                alerts = alerting.Alerting(self._stack)
                jobs.create_task(work.repeat("alerts", lambda: self._alert(alerts, stop), stop))
                jobs.create_task(work.repeat("backtests", worker.Worker(self._stack, stop).step, stop))
                jobs.create_task(work.watch([self._pulse], stop))
                jobs.create_task(self._wake_all(stop))
        finally:
            self._clock.shutdown(wait=False)
            await self._resign()

    async def _ring(self, topic: str) -> None:
        """A coroutine, because APScheduler calls plain functions in threads, where no event loop runs."""
        self._stack.bell.ring(topic, everywhere=False)

    async def _wake_all(self, stop: asyncio.Event) -> None:
        await stop.wait()
        for topic in (_SCAN, _SWEEP, _SAMPLE, _ALERT, _TIDY, backtests.TOPIC):
            self._stack.bell.ring(topic, everywhere=False)

    async def _lead(self) -> bool:
        """Whether this process may work now; a lease that was lost is asked for again."""
        async with self._stack.db.transaction() as session:
            self._epoch = await leases.acquire(
                session, scan.LEASE, self._stack.holder, ttl=self._ttl, now=self._stack.clock()
            )
        return self._epoch is not None

    async def _resign(self) -> None:
        if self._epoch is not None:
            async with self._stack.db.transaction() as session:
                await leases.release(session, scan.LEASE, self._epoch, now=self._stack.clock())

    async def _scan(self, scans: scan.Scan, stop: asyncio.Event) -> None:
        await self._stack.bell.wait(_SCAN, timeout=self._stack.settings.scan_seconds * 2)
        if stop.is_set():
            return
        if not await self._lead():
            await self._pulse.beat("standing by")
            return
        if self._sampled is None:
            await self._ring(_SAMPLE)  # the first minute begins now
        began = time.monotonic()
        async with tracing.span("scan"):
            await scans.run(self._epoch)
        self._stack.counted.observe(figures.SCAN, "", time.monotonic() - began)
        await self._pulse.beat()
        # Between two ticks a candle may close; one more ring stands at that moment.
        if scans.next_close < self._stack.settings.scan_seconds:
            moment = self._stack.clock() + timedelta(seconds=max(0.05, scans.next_close))
            self._clock.add_job(self._ring, "date", args=[_SCAN], run_date=moment, id="close", replace_existing=True)

    async def _sweep(self) -> None:
        """Access that ended by the clock has been told, and what dead workers held is free again."""
        await self._stack.bell.wait(_SWEEP, timeout=self._sweep_seconds * 2)
        now = self._stack.clock()
        async with self._stack.db.transaction() as session:
            returned, unsure = await recovery.recover(session, now=now)
        if returned or unsure:
            log.warning("outbox_recovered", returned=returned, ambiguous=unsure)
        async with self._stack.db.reading() as session:
            ended = {*await access.lapsed(session, now=now), *await rounds.overdue(session, now=now)}
        for member_id in sorted(ended):
            async with self._stack.db.transaction() as session:
                await access.reconcile(session, member_id, self._stack.catalogue, now=now)
        await self._raise_alarms()
        told = await self._remind(now)
        if await self._post_head() or returned or unsure or ended or told:
            self._stack.deliver()

    async def _remind(self, now: datetime) -> int:
        """Members have been told what is about to be charged or to end; says how many messages are new."""
        if self._reminded is not None and now - self._reminded < dunning.EVERY:
            return 0
        self._reminded = now  # at once: what fails here must not fail every few seconds
        async with self._stack.db.transaction() as session:
            grace = self._stack.settings.grace_days
            return await dunning.plan(session, self._stack.catalogue, grace_days=grace, now=now)

    async def _post_head(self) -> bool:
        """Today's head of the record is on its way to the public channels; says whether it was not before."""
        now, book = self._stack.clock(), self._stack.catalogue
        if self._witnessed == now.date() or not (book.record.telegram or book.record.discord):
            return False
        async with self._stack.db.transaction() as session:
            posted = await record.witness(session, book, self._stack.settings.public_url, now=now)
            if (await record.head(session)).n:
                self._witnessed = now.date()
        return posted > 0

    async def _raise_alarms(self) -> None:
        """Each operator has one notice of every alarm that is open."""
        async with self._stack.db.transaction() as session:
            report = await health.report(session, now=self._stack.clock())
            for alarm in report.alarms:
                facts = {"key": alarm.key, "text": alarm.text}
                for platform, chat in self._stack.settings.admin_chats:
                    key = _short(f"alarm:{alarm.key}:{alarm.first_at.timestamp():.0f}:{platform}:{chat}")
                    if await outbox.warn(session, platform, chat, facts, key=key, now=self._stack.clock()):
                        self._stack.bell.ring(f"outbox:{platform}")

    async def _sample(self) -> None:
        """While this process leads, the last minute has been noted as good or bad for each part."""
        await self._stack.bell.wait(_SAMPLE, timeout=120)
        last, now, self._sampled = self._sampled, self._stack.clock(), None
        if self._epoch is None:
            return
        with suppress(errors.LostLeaseError):
            async with self._stack.db.transaction() as session:
                await leases.check(session, scan.LEASE, self._epoch)
                await uptime.sample(session, last=last, now=now)
            self._sampled = now

    async def _alert(self, alerts: alerting.Alerting, stop: asyncio.Event) -> None:
        """While this process leads, operators are told what is wrong, and once a day that all is well."""
        await self._stack.bell.wait(_ALERT, timeout=_ALERT_SECONDS * 2)
        if self._epoch is not None and not stop.is_set():
            await alerts.step()

    async def _tidy(self) -> None:
        """What is kept for a while is gone: inbox bodies, backtests, traces of the deleted, quiet alarms, old days."""
        await self._stack.bell.wait(_TIDY, timeout=3600)
        async with self._stack.db.transaction() as session:
            now = self._stack.clock()
            await inbox.forget(session, before=now - _BODIES_KEPT)
            await removal.sweep(session, before=now - _FORGOTTEN_AFTER, now=now)
            await health.clear_old(session, before=now - _QUIET, now=now)
            await uptime.forget(session, now=now)
            await alerting.forget(session, now=now)
            await backtests.forget(session, before=now - _BODIES_KEPT)
        held = self._stack
        if await drift.tell(held.db, held.catalogue, held.settings.admin_chats, now=held.clock()):
            held.deliver()


def _short(key: str) -> str:
    """The key itself, or its hash where it is too long for a row: cut off, two operators would share it."""
    return key if len(key) <= 100 else hashlib.sha256(key.encode()).hexdigest()


async def run(held: stack.Stack, stop: asyncio.Event) -> None:
    """The role runs until `stop` is set."""
    await Scheduler(held).run(stop)
