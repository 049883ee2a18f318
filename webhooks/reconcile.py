"""The reconcile pass: everything the provider lists, held every ten minutes against everything we know.

Access is right within a quarter of an hour even if no event ever arrives. A list of subscriptions, a hundred at a time,
tells what differs; only what is new or has claims is asked for singly. Events are listed, too, and go through the
inbox like those that are sent to us. A pass that is interrupted starts over; nothing in it does harm twice.

Whatever would end access waits for the end of the pass, where the brake looks at all of it together.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from core import errors, health, inbox, leases, models
from core.billing import drift, rule, subscriptions
from webhooks import events, payments, site

EVERY = timedelta(minutes=10)
_TTL = 180
_OVERLAP = timedelta(hours=1)
# The first pass has no mark to begin from; the longest period that is paid at once is a year.
_FIRST, _FURTHEST, _WHOLE = timedelta(days=2), timedelta(days=29), timedelta(days=400)
_READS = 4
_MISSING_READ, _AT_ONCE = 20, 200
log = structlog.get_logger()


@dataclass
class _Pass:
    """What one pass has found so far; `since` when events are listed, `marked` payments wanted back `claims_since`."""

    began: datetime
    since: datetime
    claims_since: datetime
    released: int = 0
    marked: Collection[str] = ()
    seen: set[str] = field(default_factory=set)
    matched: set[str] = field(default_factory=set)
    ends: list[payments.Reading] = field(default_factory=list)
    single: list[payments.Subject] = field(default_factory=list)
    overtaken: list[payments.Subject] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)


@dataclass
class Reconcile:
    """Makes the passes of one provider, one process at a time; `pause` seconds lie between the starts of readings.

    A reading is up to six requests, and a page one, so a pass stays below 25 requests a second.
    """

    here: site.Site
    provider: payments.Provider
    part: str = "webhooks.reconcile"
    pause: float = 0.25
    _epoch: int | None = None

    async def step(self) -> None:
        """A pass was made, if one was due: after ten minutes, or when an operator let go of what the last held back."""
        if not await self._lead():
            return
        async with self.here.stack.db.reading() as session:
            last = await drift.last(session, self.provider.name)
        released = last.held if last and last.released_by else 0
        if last is None or released or last.at + EVERY <= self.here.now:
            await self.round(last)

    async def round(self, last: models.Round | None = None) -> None:
        """Everything was compared, what differed is put right, and an account of it is written down."""
        found = self._begun(last)
        told = await self.provider.told(found.since)
        found.marked = await self.provider.claimed(found.claims_since)
        await self._list(found)
        await self._singly(found, found.single)
        await self._look_for_missing(found)
        held = await self._end(found)
        if found.overtaken and not held:
            await self._singly(found, [*dict.fromkeys(found.overtaken)])
            held = await self._end(found)
        await self._brake(held)
        found.figures["fetched"] = await self._fetch(told)
        await self._write_down(found, held)
        events.ring(self.here)

    def _begun(self, last: models.Round | None) -> _Pass:
        now = self.here.now
        if last is None:
            return _Pass(now, now - _FIRST, now - _WHOLE)
        since = datetime.fromtimestamp(last.facts["events"]["until"], UTC) - _OVERLAP
        return _Pass(now, max(since, now - _FURTHEST), since, released=last.held if last.released_by else 0)

    async def _lead(self) -> bool:
        async with self.here.stack.db.transaction() as session:
            holder = self.here.stack.holder
            self._epoch = await leases.acquire(session, self.part, holder, ttl=_TTL, now=self.here.now)
        return self._epoch is not None

    async def _still(self) -> None:
        if not await self._lead():
            raise errors.LostLeaseError("Another process compares what the provider lists; this one stops.")

    # --- subscriptions

    async def _list(self, found: _Pass) -> None:
        async for rows in self.provider.listed(self.here.stack.clock):
            await self._page(found, rows)
            await self._still()
        async with self.here.stack.db.reading() as session:
            known = await drift.claimed(session, self.provider.name)
        # Payments that are of no listed subscription's latest invoice: of an older one, or of something else.
        for payment in sorted(set(found.marked) - found.matched - known):
            found.single.append(payments.Subject(payment=payment, claims=(payment,)))

    async def _page(self, found: _Pass, rows: Sequence[payments.Listed]) -> None:
        ids = [one.snapshot.external_id for one in rows]
        async with self.here.stack.db.reading() as session:
            known = await subscriptions.known(session, self.provider.name, ids)
        found.seen.update(ids)
        found.figures["listed"] += len(ids)
        same: list[str] = []
        for one in rows:
            found.matched.update(set(one.payments) & set(found.marked))
            if await self._compare(found, one, known.get(one.snapshot.external_id)):
                same.append(one.snapshot.external_id)
        if same:
            async with self.here.stack.db.transaction() as session:
                await subscriptions.confirmed(session, self.provider.name, same, at=rows[0].snapshot.read_at)

    async def _compare(self, found: _Pass, one: payments.Listed, row: models.Subscription | None) -> bool:
        """Whether a running subscription is as we know it; otherwise what differs has been seen to, or will be."""
        stack, said = self.here.stack, one.snapshot
        if row is None and not drift.ours(said, stack.catalogue):
            found.figures["not_ours"] += 1
            return False
        equal = row is not None and drift.same(row, said, stack.catalogue, grace_days=stack.settings.grace_days)
        if drift.to_be_read(row, said, one.payments, found.marked, since=found.claims_since):
            found.single.append(payments.Subject(subscription=said.external_id))
        elif not equal:
            await self._take(found, payments.Reading(said), row)
        else:
            return said.status in rule.LIVE
        return False

    async def _singly(self, found: _Pass, subjects: Sequence[payments.Subject]) -> None:
        running: set[asyncio.Task[None]] = set()
        try:
            for number, subject in enumerate(subjects, 1):
                if len(running) >= _READS:
                    ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    await asyncio.gather(*ended)
                if number % 100 == 0:
                    await self._still()
                running.add(asyncio.create_task(self._look(found, subject)))
                await asyncio.sleep(self.pause)
            await asyncio.gather(*running)
        finally:
            for task in running:
                task.cancel()

    async def _look(self, found: _Pass, subject: payments.Subject) -> None:
        try:
            reading = await events.read(self.here, self.provider, subject)
        except errors.RefusedError as error:
            log.warning("subscription_not_read", error=str(error))
            return
        found.figures["read"] += 1
        if reading.snapshot is None:
            if subject.subscription:
                found.gone.append(subject.subscription)
            elif reading != payments.Reading():
                await self._apply(found, reading)  # a gift, say
            return
        async with self.here.stack.db.reading() as session:
            known = await subscriptions.known(session, self.provider.name, [reading.snapshot.external_id])
        row = known.get(reading.snapshot.external_id)
        if row is not None or drift.ours(reading.snapshot, self.here.stack.catalogue):
            await self._take(found, reading, row)

    async def _take(self, found: _Pass, reading: payments.Reading, row: models.Subscription | None) -> None:
        stack, said = self.here.stack, reading.snapshot
        if said and drift.ends(row, said, stack.catalogue, grace_days=stack.settings.grace_days, now=self.here.now):
            found.ends.append(reading)
            return
        await self._apply(found, reading)

    async def _apply(self, found: _Pass, reading: payments.Reading) -> bool:
        try:
            async with self.here.stack.db.transaction() as session:
                await events.take(session, self.here, reading, braked=False)
        except subscriptions.StaleReadError as error:  # an event was quicker, or another reading of this pass
            log.info("reading_overtaken", error=str(error))
            await self._remember(reading)
            if reading.snapshot:
                found.overtaken.append(payments.Subject(subscription=reading.snapshot.external_id))
            return False
        found.figures["changed"] += 1
        return True

    async def _remember(self, reading: payments.Reading) -> None:
        """Whoever reads the subscription next looks at the claims that perhaps this reading alone had been told of."""
        said = reading.snapshot
        if said and said.claims:
            async with self.here.stack.db.transaction() as session:
                await subscriptions.remember(session, self.provider.name, said.external_id, said.claims)

    async def _look_for_missing(self, found: _Pass) -> None:
        """What runs here and stood in no list is asked for; too many at once are another account's key."""
        async with self.here.stack.db.reading() as session:
            live = await drift.live_ids(session, self.provider.name, before=found.began - timedelta(minutes=1))
        missing = [one for one in live if one not in found.seen]
        found.gone = []
        await self._singly(found, [payments.Subject(subscription=one) for one in missing[:_MISSING_READ]])
        found.gone += missing[_MISSING_READ:]

    # --- ends

    async def _end(self, found: _Pass) -> int:
        """Those whose access is over have lost it, unless they are too many: then says how many were held back."""
        ends, found.ends = found.ends, []
        number = len(ends)
        async with self.here.stack.db.reading() as session:
            room = await drift.room(session, self.provider.name, now=self.here.now)
        # Let go once, and as a whole; a few may have come to it since the operator looked.
        if found.released:
            room = max(room, found.released + drift.MOST)
        if number > room:
            log.warning("ends_held_back", ends=number, room=room)
            for reading in ends:
                await self._remember(reading)
            return number
        for reading in ends:
            await self._still()
            found.figures["ended"] += await self._apply(found, reading)
        return 0

    async def _brake(self, held: int) -> None:
        name, now = self.provider.name, self.here.now
        async with self.here.stack.db.transaction() as session:
            if held:
                await drift.hold(session, name, held, now=now)
            else:
                await health.clear(session, drift.brake(name), now=now)

    async def _fetch(self, told: Sequence[payments.Event]) -> int:
        """Events are in the inbox, now that what is held back does not come in by that door; says how many are news."""
        source, fresh = self.provider.inbox, 0
        for start in range(0, len(told), _AT_ONCE):
            async with self.here.stack.db.transaction() as session:
                fresh += await fetched(session, source, told[start : start + _AT_ONCE], now=self.here.now)
        if fresh:
            log.warning("events_recovered", events=fresh)
            self.here.stack.bell.ring(f"inbox:{source}")
        return fresh

    async def _write_down(self, found: _Pass, held: int) -> None:
        name, now, policy = self.provider.name, self.here.now, self.here.stack.catalogue.policy
        # Silence says something only of what is sent to us; whoever brings events otherwise is watched there.
        silence = policy.silence if self.provider.inbox == name else None
        figures = {**found.figures, "held": held, "gone": len(found.gone)}
        facts = {"subscriptions": figures, "events": {"until": int(found.began.timestamp())}}
        async with self.here.stack.db.transaction() as session:
            session.add(models.Round(platform=name, at=now, facts=facts, held=held))
            await drift.gone(session, name, found.gone, now=now)
            await drift.listen(session, name, self.provider.inbox, silence, now=now)
            body = await drift.latest(session, self.provider.inbox)
            await drift.complain(session, name, self.provider.complaint(body) if body else "", now=now)
            await subscriptions.unlinked(session, before=now - EVERY, now=now)
            await health.beat(session, self.part, limit=1800, now=now)
        log.info("subscriptions_compared", provider=name, **figures)

    async def stop(self) -> None:
        """Another process may compare at once."""
        if self._epoch is None:
            return
        async with self.here.stack.db.transaction() as session:
            await leases.release(session, self.part, self._epoch, now=self.here.now)


async def fetched(session: AsyncSession, source: str, found: Sequence[payments.Event], *, now: datetime) -> int:
    """Events that had to be fetched are in the inbox, known as such; says how many are news."""
    fresh = [
        await inbox.put(session, source, event.id, event.kind, event.body, now=now, since=event.at) for event in found
    ]
    return sum(fresh)
