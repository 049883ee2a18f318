"""Errands, run: the provider does what was asked of it, and what follows from that is read at once."""

import structlog

from core import db, errors, failpoints
from core.billing import errands, subscriptions
from webhooks import events, payments, site

LEASE = 120.0
log = structlog.get_logger()


async def work_off(here: site.Site, provider: payments.Provider) -> int:
    """The oldest errands that are due are done, or due again later; says how many there were."""
    async with here.stack.db.transaction() as session:
        found = await errands.claim(session, provider.name, now=here.now, lease=LEASE)
    if found:
        failpoints.reach("errand.claimed")
    for errand in found:
        try:
            await _run(here, provider, errand)
        except errors.LostLeaseError as error:
            log.warning("errand_taken_over", error=str(error))
    return len(found)


async def _run(here: site.Site, provider: payments.Provider, errand: errands.Errand) -> None:
    try:
        await provider.do(errand)
    except errors.RefusedError as error:
        async with here.stack.db.transaction() as session:
            await errands.failed(session, errand, str(error), now=here.now)
        log.warning("errand_refused", errand=errand.id, act=errand.act, error=str(error))
        return
    except (errors.SignalStackError, TimeoutError) as error:
        await _later(here, errand, error)
        return
    failpoints.reach("errand.called")
    log.info("errand_done", errand=errand.id, act=errand.act, target=errand.target)
    await _look(here, provider, errand)


async def _look(here: site.Site, provider: payments.Provider, errand: errands.Errand) -> None:
    """What the errand was about is read again and applied together with its end; the provider's events come too."""
    page = errand.act == "expire"
    subject = payments.Subject(session=errand.target) if page else payments.Subject(subscription=errand.target)
    try:
        reading = await events.read(here, provider, subject)
        async with here.stack.db.transaction() as session:
            await events.take(session, here, reading, braked=False)  # we wanted it ourselves
            await errands.done(session, errand, now=here.now)
    except (errors.UnreachableError, errors.RefusedError, subscriptions.StaleReadError, TimeoutError):
        # It is done all the same; an event or the sweep brings what follows.
        async with here.stack.db.transaction() as session:
            await errands.done(session, errand, now=here.now)
    failpoints.reach("errand.done")
    events.ring(here)


async def _later(here: site.Site, errand: errands.Errand, error: Exception) -> None:
    log.warning("errand_postponed", errand=errand.id, act=errand.act, error=str(error))
    try:
        async with here.stack.db.transaction() as session:
            await errands.later(session, errand, str(error) or type(error).__name__, now=here.now)
    except Exception as again:
        if not db.is_unavailable(again):  # its lease runs out
            raise
