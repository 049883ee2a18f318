"""Days for free: once for each person, known again by their chat accounts and by the card that they show.

What is kept is a mark of each, a hash under a key of ours: it says nothing to whoever does not hold the key, and it
stays when the member is deleted. Whose mark is taken gets no free days offered; whoever gets them all the same (a new
account, but a known card) has them ended: the provider charges at once, and access starts with that payment.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, db, members, models, settings
from core.billing import errands, rule
from core.delivery import outbox

USED = "trial_used"
ACCOUNT, CARD = "account", "card"
_OFFER_LIFE = timedelta(days=2)
_AT_ONCE = timedelta(hours=2)
Mark = tuple[str, str]


async def days(session: AsyncSession, conf: settings.Settings, plan: catalogue.Plan, member_id: int) -> int:
    """How many days of this plan are free for the member: those of the plan, or none when they had some before."""
    if not plan.trial_days or await _owner(session, await _accounts(session, conf, member_id)):
        return 0
    return plan.trial_days


async def settle(
    session: AsyncSession, conf: settings.Settings, snapshot: rule.Snapshot, member_id: int, *, now: datetime
) -> rule.Snapshot:
    """The snapshot as it counts: with a hold, when its free days were not this person's to have.

    The marks of who has free days are taken by this subscription, in the transaction that reads it first. Were they
    taken before, the provider will charge now, and the member is told so once. Days that an operator gave at the
    provider by hand are not ended.
    """
    if snapshot.trial_end is None:
        return snapshot
    marks = await _accounts(session, conf, member_id)
    if snapshot.fingerprint:
        marks = [*marks, (CARD, _mark(conf, CARD, snapshot.provider, snapshot.fingerprint))]
    for kind, mark in sorted(marks):  # in one order, so that two readings never wait for each other
        row = {"kind": kind, "mark": mark, "subscription": snapshot.external_id, "at": now}
        insert = db.insert(session, models.Trial).values(**row)
        await session.execute(insert.on_conflict_do_nothing(index_elements=["kind", "mark"]))
    taken = await _owner(session, marks, but=snapshot.external_id)
    if not taken or not _unpaid(snapshot) or not await _offered(session, snapshot, member_id):
        return snapshot
    await _end(session, snapshot, member_id, now)
    return replace(snapshot, hold=snapshot.hold or USED)


def _unpaid(snapshot: rule.Snapshot) -> bool:
    """Whether nothing was paid yet: the days run, or the charge at their end was refused."""
    if snapshot.status == "trialing":
        return True
    begun, ended = snapshot.period_start, snapshot.trial_end
    return snapshot.status == "past_due" and begun is not None and ended is not None and begun - ended < _AT_ONCE


async def _offered(session: AsyncSession, snapshot: rule.Snapshot, member_id: int) -> bool:
    """Whether the days came from a checkout of ours, a short while before."""
    table = models.Checkout
    ours = select(table.id).where(
        table.member_id == member_id,
        table.provider == snapshot.provider,
        table.trial_days > 0,
        table.created_at > snapshot.created_at - _OFFER_LIFE,
        table.created_at <= snapshot.created_at + _OFFER_LIFE,
    )
    return await session.scalar(ours.limit(1)) is not None


async def _end(session: AsyncSession, snapshot: rule.Snapshot, member_id: int, now: datetime) -> None:
    target = snapshot.external_id
    if snapshot.status == "trialing":
        why = "free days were had before"
        await errands.ask(session, snapshot.provider, "end_trial", target, why=why, now=now, member_id=member_id)
    key = f"{USED}:{snapshot.provider}:{target}"
    await outbox.tell(session, member_id, USED, {"card": snapshot.card}, key=key, now=now)


async def _accounts(session: AsyncSession, conf: settings.Settings, member_id: int) -> Sequence[Mark]:
    accounts = await members.identities(session, member_id)
    return [(ACCOUNT, _mark(conf, ACCOUNT, one.platform, one.external_id)) for one in accounts]


async def _owner(session: AsyncSession, marks: Sequence[Mark], *, but: str = "") -> str:
    """The subscription that has taken one of these marks before, if it is another one; otherwise empty."""
    kinds = models.Trial.kind.in_({kind for kind, _ in marks})
    named = models.Trial.mark.in_([mark for _, mark in marks])
    found = select(models.Trial.subscription).where(kinds, named, models.Trial.subscription != but)
    return await session.scalar(found.limit(1)) or ""


def _mark(conf: settings.Settings, kind: str, where: str, what: str) -> str:
    secret = hmac.digest(conf.secret_key.get_secret_value().encode(), b"signalstack trials", hashlib.sha256)
    return hmac.new(secret, f"{kind}:{where}:{what}".encode(), hashlib.sha256).hexdigest()
