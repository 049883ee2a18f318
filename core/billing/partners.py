"""Partners: people who bring members, each under a code of their own; the first one who brought a member stays.

A code may come with a discount, which is a promotion code at the payment provider. What a partner is to get for it is
between them and the operator: here it is only counted who came.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors, models
from core.billing import subscriptions

START = "with"
"""What a link into the chat begins with: ?start=with_CODE."""
_CODE = re.compile(r"[a-z0-9][a-z0-9-]{1,23}")
_PROMOTION = re.compile(r"[A-Za-z0-9_-]{1,100}")
UNKNOWN = "We do not know this code, or it is not valid any more. Please look at it again, or leave the field empty."


@dataclass(frozen=True, slots=True)
class Numbers:
    """A partner, and of the members whom they brought: all, those in their free days, those who pay now."""

    partner: models.Partner
    came: int
    trial: int
    paying: int


def written(code: str) -> str:
    """The code as it is kept, however it was typed; empty when it cannot be one."""
    found = code.strip().lower()
    return found if _CODE.fullmatch(found) else ""


async def add(
    session: AsyncSession, code: str, name: str, promotion: str = "", *, by: str, now: datetime
) -> models.Partner:
    """Members can come with this code from now on; raises RefusedError when it cannot be one, or is taken."""
    kept = written(code)
    if not kept:
        raise errors.RefusedError("A code has 2 to 24 letters, digits and dashes, and begins with a letter or digit.")
    if not name.strip():
        raise errors.RefusedError("Say for whom the code is: /partners add CODE NAME.")
    if promotion and not _PROMOTION.fullmatch(promotion):
        raise errors.RefusedError("The discount is a promotion code of the payment provider, such as SPRING20.")
    row = {"code": kept, "name": name.strip()[:60], "promotion": promotion, "created_by": by, "created_at": now}
    insert = db.insert(session, models.Partner).values(**row).on_conflict_do_nothing(index_elements=["code"])
    if await db.execute(session, insert) != 1:
        raise errors.RefusedError(f"The code {kept} is taken already; an old one is not used again.")
    return (await session.scalars(select(models.Partner).where(models.Partner.code == kept))).one()


async def end(session: AsyncSession, code: str, *, now: datetime) -> models.Partner:
    """Nobody can come with this code any more; who came stays theirs. Raises RefusedError for an unknown one."""
    found = await active(session, code)
    if found is None:
        raise errors.RefusedError(f"There is no code {code} that could end; /partners lists them.")
    found.retired_at = now
    await session.flush()
    return found


async def active(session: AsyncSession, code: str) -> models.Partner | None:
    """The partner with this code, while it can be used."""
    kept = written(code)
    mine = select(models.Partner).where(models.Partner.code == kept, models.Partner.retired_at.is_(None))
    return await session.scalar(mine) if kept else None


async def bring(session: AsyncSession, member_id: int, code: str) -> models.Partner:
    """Who brought the member: the partner with this code, or the one who was first.

    Raises RefusedError for a code that cannot be used, and for who was a subscriber before anybody brought them.
    """
    found = await active(session, code)
    if found is None:
        raise errors.RefusedError(UNKNOWN)
    first = await of_member(session, member_id)
    if first is not None:
        return first
    if await subscriptions.of_member(session, member_id):
        raise errors.RefusedError("This code is for new members; you are one of us already. Leave the field empty.")
    mine = update(models.Member).where(models.Member.id == member_id, models.Member.partner_id.is_(None))
    await db.execute(session, mine.values(partner_id=found.id))
    return await of_member(session, member_id) or found


async def of_member(session: AsyncSession, member_id: int) -> models.Partner | None:
    """Who brought the member, if anybody did."""
    brought = select(models.Partner).join(models.Member, models.Member.partner_id == models.Partner.id)
    return await session.scalar(brought.where(models.Member.id == member_id))


async def numbers(session: AsyncSession) -> Sequence[Numbers]:
    """Every partner with the members they brought, those whose codes work first, then by their codes."""
    running = (
        select(
            models.Subscription.member_id,
            func.max(case((models.Subscription.status == "trialing", 1), else_=0)).label("trial"),
            func.max(case((models.Subscription.status != "trialing", 1), else_=0)).label("paying"),
        )
        .where(models.Subscription.status.in_(subscriptions.LIVE))
        .group_by(models.Subscription.member_id)
        .subquery()
    )
    pays = func.coalesce(running.c.paying, 0)
    free = case((pays == 1, 0), else_=func.coalesce(running.c.trial, 0))
    counted = (
        select(models.Member.partner_id, func.count().label("came"), func.sum(free).label("trial"), func.sum(pays))
        .outerjoin(running, running.c.member_id == models.Member.id)
        .where(models.Member.partner_id.is_not(None), models.Member.merged_into.is_(None))
        .group_by(models.Member.partner_id)
    )
    by_id = {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in await session.execute(counted)}
    order = (models.Partner.retired_at.is_not(None), models.Partner.code)
    rows = await session.scalars(select(models.Partner).order_by(*order))
    return [Numbers(row, *by_id.get(row.id, (0, 0, 0))) for row in rows]
