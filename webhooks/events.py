"""Provider events, worked off: each says where to look, the provider is asked, and the answer is applied once.

The question is asked outside any transaction. What follows from the answer (subscription, checkout, notices,
deliveries) and the end of the inbox items are one transaction; a process that dies leaves items to work off again.
While the provider does not answer, nothing changes: what was granted stays until its stored end.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime

import structlog
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from core import access, db, errors, failpoints, grants, health, inbox, models, rights, tracing
from core.billing import changes, checkouts, drift, rule, second, subscriptions, trials
from core.delivery import outbox
from webhooks import gifts, payments, prices, site

LEASE = 60.0
_BATCH, _AT_ONCE, _READ_SECONDS = 20, 4, 45
log = structlog.get_logger()


async def work_off(here: site.Site, provider: payments.Provider) -> int:
    """The oldest items that are due are done, or due again later; says how many there were."""
    stack = here.stack
    async with stack.db.transaction() as session:
        items = await inbox.claim(session, provider.inbox, now=here.now, lease=LEASE, limit=_BATCH)
    if items:
        failpoints.reach("inbox.claimed")
    # One purchase makes many events about one subscription: it is asked for once.
    groups: dict[payments.Subject, list[inbox.Item]] = {}
    told: dict[payments.Subject, str] = {}
    for item in items:
        subject = _subject(provider, item)
        about = replace(subject, told="")
        groups.setdefault(about, []).append(item)
        told[about] = subject.told or told.get(about, "")  # what was said last counts
    gate = asyncio.Semaphore(_AT_ONCE)
    subjects = [(replace(about, told=told[about]), group) for about, group in groups.items()]
    await asyncio.gather(*(_settle(here, provider, subject, group, gate) for subject, group in subjects))
    return len(items)


def _subject(provider: payments.Provider, item: inbox.Item) -> payments.Subject:
    try:
        return provider.subject(item.kind, item.body)
    except (ValueError, TypeError, AttributeError):
        log.warning("event_unreadable", item=item.id, kind=item.kind)
        return payments.Subject()


async def _settle(
    here: site.Site,
    provider: payments.Provider,
    subject: payments.Subject,
    items: Sequence[inbox.Item],
    gate: asyncio.Semaphore,
) -> None:
    try:
        # What follows from it names the event, as the request did that brought it.
        with structlog.contextvars.bound_contextvars(request=items[-1].event_id[:36]):
            async with gate, _span(provider, items[-1]):
                await _apply(here, provider, subject, items)
    except errors.LostLeaseError as error:
        log.warning("event_taken_over", error=str(error))
    except (errors.SignalStackError, TimeoutError) as error:
        await _later(here, provider, items, error)
    except Exception as error:
        if not db.is_unavailable(error):
            log.exception("event_failed", kind=items[0].kind)
        await _later(here, provider, items, error)


def _span(provider: payments.Provider, item: inbox.Item) -> AbstractAsyncContextManager[object]:
    return tracing.span("provider event", item.event_id[:36], begins=True, source=provider.name)


async def _apply(
    here: site.Site, provider: payments.Provider, subject: payments.Subject, items: Sequence[inbox.Item]
) -> None:
    if subject.prices:
        await prices.refresh(here, provider)
    reading = await read(here, provider, subject) if subject else payments.Reading()
    failpoints.reach("provider.asked")
    failed = any(item.kind.endswith("async_payment_failed") for item in items)
    async with here.stack.db.transaction() as session:
        await take(session, here, reading, failed=failed)
        await inbox.done(session, *items)
        failpoints.reach("event.uncommitted")
    failpoints.reach("event.committed")
    ring(here)


async def read(here: site.Site, provider: payments.Provider, subject: payments.Subject) -> payments.Reading:
    """What the provider says now, within 45 seconds; earlier claims to its payments are looked at too."""
    async with asyncio.timeout(_READ_SECONDS):
        if subject.subscription:
            subject = await _with_claims(here, provider, subject, subject.subscription)
        reading = await provider.read(subject, now=here.now)
        if reading.snapshot is None or subject.subscription:
            return reading
        # Only now is it known which subscription an invoice, a payment or a checkout belongs to.
        whole = await _with_claims(here, provider, subject, reading.snapshot.external_id)
        return reading if whole == subject else await provider.read(whole, now=here.now)


async def _with_claims(
    here: site.Site, provider: payments.Provider, subject: payments.Subject, external_id: str
) -> payments.Subject:
    async with here.stack.db.glancing() as session:
        known = await subscriptions.claims_of(session, provider.name, external_id)
    return replace(subject, claims=tuple(dict.fromkeys((*subject.claims, *known))))


def ring(here: site.Site) -> None:
    """Delivery workers look for the notices and signals that a reading brought."""
    here.stack.deliver()


async def take(
    session: AsyncSession, here: site.Site, reading: payments.Reading, *, failed: bool = False, braked: bool = True
) -> None:
    """What the provider said is true here too, and the member has been told what follows.

    `failed`: an event said that a slow payment was refused, which the checkout itself does not say. `braked`: raises
    HeldError where too many have lost their access in the last minutes.
    """
    failpoints.reach("access.before")
    await _checkout(session, here, reading, failed=failed)
    await gifts.take(session, here, reading)
    if reading.snapshot is None:
        return
    stack, now = here.stack, here.now
    if not await drift.concerns_us(session, reading.snapshot, stack.catalogue):
        return
    row = await subscriptions.locked(session, reading.snapshot, now=now)
    was = changes.before(row)
    await _apply_to(row, session, here, reading.snapshot)
    await changes.tell(session, row, was, stack.catalogue, now=now)
    failpoints.reach("subscription.applied")
    if row.member_id is None:
        return
    if braked and drift.just_lost(row, now=now):
        await _brake(session, row, row.member_id, now)
    await grants.follow(session, row, stack.catalogue, now=now)
    await access.reconcile(session, row.member_id, stack.catalogue, now=now)
    failpoints.reach("access.reconciled")
    left = was[0] if was and was[0] != row.plan else ""
    for notice in await second.settle(session, row, stack.catalogue.policy, left=left, now=now):
        facts = {"plan": _plan_name(here, notice.plan)}
        await outbox.tell(session, row.member_id, notice.name, facts, key=notice.key, now=now)


async def _brake(session: AsyncSession, row: models.Subscription, member_id: int, now: datetime) -> None:
    if row.plan in await rights.plans_of(session, member_id, now=now):
        return  # nothing is lost: something else keeps the plan open
    if await drift.stands(session, row.provider, now=now):
        raise drift.HeldError("Too many lose their access at once; an operator is asked.")


async def _apply_to(row: models.Subscription, session: AsyncSession, here: site.Site, snapshot: rule.Snapshot) -> None:
    """The row says what the snapshot says; free days that were not this person's to have are worth nothing."""
    conf, book, now = here.stack.settings, here.stack.catalogue, here.now
    member_id = await subscriptions.owner(session, row, snapshot) if snapshot.trial_end else None
    if member_id is not None:
        snapshot = await trials.settle(session, conf, snapshot, member_id, now=now)
    await subscriptions.apply(session, snapshot, book, grace_days=conf.grace_days, now=now, row=row)


async def _checkout(session: AsyncSession, here: site.Site, reading: payments.Reading, *, failed: bool) -> None:
    state = "failed" if failed and reading.state == "pending" else reading.state
    if state in {"", "open"} or not await checkouts.closed(session, reading.session, state=state):
        return
    row = await checkouts.of_session(session, reading.session)
    notice = {"pending": "payment_pending", "failed": "payment_refused"}.get(state)
    if row is not None and notice:
        notice = f"gift_{notice}" if row.gift else notice
        facts = {"plan": _plan_name(here, row.plan)}
        await outbox.tell(session, row.member_id, notice, facts, key=f"checkout:{row.id}:{state}", now=here.now)


def _plan_name(here: site.Site, key: str) -> str:
    plan = here.stack.catalogue.by_key.get(key)
    return plan.name if plan else key


async def again(session: AsyncSession, here: site.Site, item: inbox.Item, reason: str, *, away: bool) -> None:
    """The item is due again; an outage of others, however long, is no reason to give it up."""
    if away:
        item = replace(item, attempts=min(item.attempts, inbox.MAX_ATTEMPTS - 2))
    elif item.attempts >= inbox.MAX_ATTEMPTS:
        text = f"The {item.source} event {item.event_id} ({item.kind}) was given up: {reason}"
        await health.alarm(session, f"event_given_up:{item.source}", text, now=here.now)
    await inbox.retry(session, item, reason, now=here.now)
    if away:  # the inbox counts claims; those of an outage lengthen the pause and nothing else
        row = update(models.Inbox).where(models.Inbox.id == item.id)
        await db.execute(session, row.values(attempts=item.attempts))


async def _later(here: site.Site, provider: payments.Provider, items: Iterable[inbox.Item], error: Exception) -> None:
    """The items are due again after a pause; if even that cannot be written, their lease runs out."""
    reason = f"{type(error).__name__}: {error}" if isinstance(error, errors.SignalStackError) else type(error).__name__
    log.warning("event_postponed", error=reason)
    waits = isinstance(error, errors.UnreachableError | drift.HeldError | TimeoutError)
    away = waits or db.is_unavailable(error)
    try:
        async with here.stack.db.transaction() as session:
            if isinstance(error, drift.HeldError):
                await drift.hold(session, provider.name, 0, now=here.now)
            for item in items:
                await again(session, here, item, reason, away=away)
    except Exception as fault:
        if not (db.is_unavailable(fault) or isinstance(fault, errors.LostLeaseError)):
            raise
