"""Looks, worked off: the provider is asked about one member now, and they hear what came of it within seconds.

What changed is told by its own notices; only when there was none the member is told that everything stands.
"""

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import errors, inbox, members, models
from core.billing import drift, looks, subscriptions
from core.delivery import outbox
from webhooks import events, payments, site

_BATCH, _LEASE = 5, 300.0
log = structlog.get_logger()


async def work_off(here: site.Site, provider: payments.Provider) -> int:
    """The oldest looks that are due are done, or due again later; says how many there were."""
    async with here.stack.db.transaction() as session:
        source = looks.source(provider.name)
        items = await inbox.claim(session, source, now=here.now, lease=_LEASE, limit=_BATCH)
    for item in items:
        try:
            await _look(here, provider, item)
        except errors.LostLeaseError as error:
            log.warning("look_taken_over", error=str(error))
        except (errors.SignalStackError, TimeoutError) as error:
            await _later(here, item, error)
    return len(items)


async def _look(here: site.Site, provider: payments.Provider, item: inbox.Item) -> None:
    try:
        look = looks.opened(item.body)
    except (ValueError, TypeError, KeyError):
        look = looks.Look(0, (), ())
    readings = [reading for subject in _subjects(look) if (reading := await _read(here, provider, subject)) is not None]
    async with here.stack.db.transaction() as session:
        if await session.get(models.Member, look.member_id) is not None:
            await _take(session, here, await members.current(session, look.member_id), readings, item)
        await inbox.done(session, item)
    events.ring(here)


def _subjects(look: looks.Look) -> list[payments.Subject]:
    return [
        *(payments.Subject(subscription=one) for one in look.subscriptions),
        *(payments.Subject(session=one) for one in look.sessions),
    ]


async def _read(here: site.Site, provider: payments.Provider, subject: payments.Subject) -> payments.Reading | None:
    try:
        return await events.read(here, provider, subject)
    except errors.RefusedError as error:  # the others may be answered
        log.warning("look_refused", error=str(error))
        return None


async def _take(
    session: AsyncSession, here: site.Site, member_id: int, readings: list[payments.Reading], item: inbox.Item
) -> None:
    """What was read is applied; the member has heard of it, or that nothing changed."""
    before, told = await _picture(session, member_id), await _told(session, member_id)
    for reading in readings:
        await events.take(session, here, reading)
    await session.flush()
    if await _told(session, member_id) == told:
        facts = {"changed": await _picture(session, member_id) != before}
        await outbox.tell(session, member_id, "looked_again", facts, key=f"look:{item.id}", now=here.now)


async def _picture(session: AsyncSession, member_id: int) -> list[tuple[object, ...]]:
    """What a member could notice of their subscriptions and checkouts."""
    rows = await subscriptions.of_member(session, member_id)
    begun = await session.execute(
        select(models.Checkout.id, models.Checkout.state).where(models.Checkout.member_id == member_id)
    )
    seen = [
        (row.id, row.status, row.plan, row.quantity, row.cancels_at, row.snapshot.get("period_end")) for row in rows
    ]
    return [*seen, *sorted(tuple(one) for one in begun)]


async def _told(session: AsyncSession, member_id: int) -> int:
    mine = (models.Delivery.member_id == member_id, models.Delivery.kind == "notice")
    return await session.scalar(select(func.count()).where(*mine)) or 0


async def _later(here: site.Site, item: inbox.Item, error: Exception) -> None:
    """The look is due again after a pause; that the provider is away is said once."""
    log.warning("look_postponed", error=str(error))
    away = isinstance(error, errors.UnreachableError | TimeoutError)
    waits = away or isinstance(error, drift.HeldError)  # an operator decides, which may take a while
    async with here.stack.db.transaction() as session:
        await events.again(session, here, item, type(error).__name__, away=waits)
        member_id = looks.opened(item.body).member_id
        if away and await session.get(models.Member, member_id) is not None:
            current = await members.current(session, member_id)
            await outbox.tell(session, current, "look_waits", {}, key=f"look:{item.id}:waits", now=here.now)
    events.ring(here)
