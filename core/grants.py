"""Access that an operator gives by hand, and takes back."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import access, catalogue, models, places, rights
from core.delivery import outbox
from core.models import Grant


async def grant(
    session: AsyncSession,
    member_id: int,
    plan: catalogue.Plan,
    book: catalogue.Catalogue,
    *,
    until: datetime | None,
    by: str,
    now: datetime,
) -> None:
    """The member has the plan until then (or for ever), has been told, and has the open signals."""
    row = Grant(member_id=member_id, plan=plan.key, until=until, granted_by=by, created_at=now)
    session.add(row)
    await session.flush()
    _audit(session, by, "grant", member_id, plan.key, now)
    facts: dict[str, object] = {"plan": plan.name, "until": until.isoformat() if until else None}
    facts |= await access.doors_to(session, plan.key)
    await outbox.tell(session, member_id, "granted", facts, key=f"grant:{row.id}", now=now)
    await places.settle(session, member_id, now=now)
    await access.catch_up(session, member_id, book, now=now)


async def revoke(session: AsyncSession, member_id: int, plan: catalogue.Plan, *, by: str, now: datetime) -> int:
    """No grant of this plan is valid for the member any more, and they have been told; says how many ended."""
    rows = await session.scalars(
        select(Grant)
        .where(Grant.member_id == member_id, Grant.plan == plan.key, rights.valid_grant(now))
        .with_for_update()
    )
    ended = rows.all()
    for row in ended:
        row.revoked_at = now
        await outbox.tell(session, member_id, "revoked", {"plan": plan.name}, key=f"revoke:{row.id}", now=now)
    _audit(session, by, "revoke", member_id, plan.key, now)
    await session.flush()
    await places.settle(session, member_id, now=now)
    return len(ended)


def _audit(session: AsyncSession, by: str, action: str, member_id: int, plan: str, now: datetime) -> None:
    session.add(models.Audit(at=now, actor=by, action=action, details={"member": member_id, "plan": plan}))
