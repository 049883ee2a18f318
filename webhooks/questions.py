"""Questions of providers before they charge, answered at once: they wait for seconds, and for nothing else we do."""

import asyncio

import structlog

from core import db, errors, inbox
from core.billing import questions
from webhooks import payments, site

LEASE, TIMEOUT = 15.0, 8.0
_BATCH, _TRIES = 100, 3
log = structlog.get_logger()


async def work_off(here: site.Site, provider: payments.Provider) -> int:
    """Every question that is due is answered, or due again in a moment; says how many there were."""
    async with here.stack.db.transaction() as session:
        items = await inbox.claim(session, provider.asks, now=here.now, lease=LEASE, limit=_BATCH)
    await asyncio.gather(*(_settle(here, provider, item) for item in items))
    return len(items)


async def _settle(here: site.Site, provider: payments.Provider, item: inbox.Item) -> None:
    try:
        async with asyncio.timeout(TIMEOUT):
            await _answer(here, provider, item)
    except Exception as error:
        if not (isinstance(error, errors.SignalStackError | TimeoutError) or db.is_unavailable(error)):
            log.exception("question_failed", item=item.id)
        await _again(here, item, error)
        return
    async with here.stack.db.transaction() as session:
        await inbox.done(session, item)


async def _answer(here: site.Site, provider: payments.Provider, item: inbox.Item) -> None:
    try:
        asked = provider.question(item.kind, item.body)
    except (ValueError, TypeError, KeyError):
        log.warning("question_unreadable", item=item.id, kind=item.kind)
        return
    async with here.stack.db.transaction() as session:
        refusal = await questions.refusal(session, provider.name, asked, now=here.now)
    await provider.answer(asked, refusal)
    log.info("question_answered", session=asked.session, refusal=refusal)


async def _again(here: site.Site, item: inbox.Item, error: Exception) -> None:
    """The question is asked again in a moment; soon nobody waits for its answer any more, and nothing is charged."""
    log.warning("question_not_answered", item=item.id, error=type(error).__name__)
    try:
        async with here.stack.db.transaction() as session:
            if item.attempts < _TRIES:
                await inbox.retry(session, item, type(error).__name__, now=here.now)
            else:
                await inbox.done(session, item)
    except Exception as again:
        if not (db.is_unavailable(again) or isinstance(again, errors.LostLeaseError)):
            raise
