"""The sweep: what events did not tell, because they were lost or we were away, is found by asking.

Each round is small. The provider's list of undelivered events goes through the inbox like any other event;
subscriptions near their end or long unread, and checkouts whose end nobody told, are read again one by one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from core import errors, health, leases
from core.billing import checkouts, drift, gifts, subscriptions
from webhooks import events, payments, reconcile, site

_LEASE = "webhooks.sweep"
_RECENT, _ALL = timedelta(hours=2), timedelta(days=29)
_OFTEN, _SELDOM = timedelta(minutes=10), timedelta(hours=6)
_LIMIT = 20
_NEVER = datetime.min.replace(tzinfo=UTC)
log = structlog.get_logger()


@dataclass
class Sweep:
    """One process at a time sweeps; when this one last did what."""

    here: site.Site
    provider: payments.Provider
    _done: dict[str, datetime] = field(default_factory=dict)

    async def round(self) -> None:
        """What was due in this round has been asked and applied."""
        stack, now = self.here.stack, self.here.now
        async with stack.db.transaction() as session:
            epoch = await leases.acquire(session, _LEASE, stack.holder, ttl=180, now=now)
        if epoch is None:
            return
        await self._missed(now)
        await self._reread(now)
        async with stack.db.transaction() as session:
            await subscriptions.unlinked(session, before=now - timedelta(minutes=10), now=now)
            await health.beat(session, "webhooks.sweep", limit=300, now=self.here.now)

    async def _missed(self, now: datetime) -> None:
        """Events that did not reach us are in the inbox: every round the recent ones, every six hours all there are."""
        since = now - (_ALL if self._due("all", _SELDOM, now) else _RECENT)
        found, source = await self.provider.missed(since), self.provider.inbox
        async with self.here.stack.db.transaction() as session:
            fresh = await reconcile.fetched(session, source, found, now=now)
        self._did("all", now, when=since == now - _ALL)
        if fresh:
            log.warning("events_recovered", events=fresh)
            self.here.stack.bell.ring(f"inbox:{source}")

    async def _reread(self, now: datetime) -> None:
        db, name = self.here.stack.db, self.provider.name
        async with db.reading() as session:
            rows = await subscriptions.due(session, name, now=now, unread_for=_SELDOM, limit=_LIMIT)
            subjects = [payments.Subject(subscription=row.external_id) for row in rows]
            if self._due("checkouts", _OFTEN, now):
                opened = await checkouts.unfinished(session, name, now=now, limit=_LIMIT * 5)
                subjects += [payments.Subject(session=row.session_id or "") for row in opened]
        async with db.transaction() as session:
            given = await gifts.unsettled(session, name, now=now, limit=_LIMIT)
        subjects += [payments.Subject(session=session_id) for session_id in given]
        await self._apply(subjects)
        self._did("checkouts", now, when=self._due("checkouts", _OFTEN, now))

    async def _apply(self, subjects: Iterable[payments.Subject]) -> None:
        for subject in subjects:
            try:
                await self._look(subject)
            except drift.HeldError:
                async with self.here.stack.db.transaction() as session:
                    await drift.hold(session, self.provider.name, 0, now=self.here.now)
            except (errors.RefusedError, subscriptions.StaleReadError) as error:
                log.warning("sweep_skipped", error=str(error))
        events.ring(self.here)

    async def _look(self, subject: payments.Subject) -> None:
        reading = await events.read(self.here, self.provider, subject)
        async with self.here.stack.db.transaction() as session:
            await events.take(session, self.here, reading)
            if subject.subscription and reading.snapshot is None:
                # Unknown there: it keeps what it has, and is the last in the line of those to be read.
                ids = [subject.subscription]
                await subscriptions.confirmed(session, self.provider.name, ids, at=self.here.now)

    def _due(self, what: str, every: timedelta, now: datetime) -> bool:
        return now - self._done.get(what, _NEVER) >= every

    def _did(self, what: str, now: datetime, *, when: bool) -> None:
        if when:
            self._done[what] = now

    async def stop(self) -> None:
        """Another process may sweep at once."""
        async with self.here.stack.db.transaction() as session:
            epoch = await leases.acquire(session, _LEASE, self.here.stack.holder, ttl=1, now=self.here.now)
            if epoch is not None:
                await leases.release(session, _LEASE, epoch, now=self.here.now)
