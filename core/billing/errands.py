"""Errands: what a payment provider must still do for us, written in the transaction that causes it.

States: `pending`, `claimed` (for a lease), `done`, `failed`. Each act is asked of each target once for ever, and its
number is the key under which the provider does it once, however often it is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Literal

from sqlalchemy import Integer, String, UpdateBase, and_, bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors, health, models
from core.columns import Utc

Act = Literal["cancel", "refund", "end_trial", "expire"]
"""Of a subscription: end it at once, give back whole what was paid, charge now; of a checkout: close its page."""
_LONGEST = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Errand:
    """A claimed errand; `epoch` proves the claim."""

    id: int
    provider: str
    act: str
    target: str
    member_id: int | None
    attempts: int
    epoch: int

    @property
    def key(self) -> str:
        """The key under which the provider does it once."""
        return f"errand-{self.id}"


async def ask(
    session: AsyncSession,
    provider: str,
    act: Act,
    target: str,
    *,
    why: str,
    now: datetime,
    member_id: int | None = None,
) -> bool:
    """The provider will do this; says whether that is news."""
    row = {"provider": provider, "act": act, "target": target, "member_id": member_id, "why": why[:200]}
    insert = db.insert(session, models.Errand).values(
        **row,
        key=f"{provider}:{act}:{target}",
        state="pending",
        created_at=now,
        not_before=now,
        attempts=0,
        epoch=0,
        error="",
    )
    return await db.execute(session, insert.on_conflict_do_nothing(index_elements=["key"])) == 1


async def claim(
    session: AsyncSession, provider: str, *, now: datetime, lease: float, limit: int = 5
) -> Sequence[Errand]:
    """The oldest errands that are due are ours for `lease` seconds."""
    given = {"whose": provider, "at": now, "most": limit, "ends": now + timedelta(seconds=lease)}
    taken = await session.execute(_claiming(), given)
    return sorted((Errand(*row) for row in taken), key=lambda errand: errand.id)


@cache
def _claiming() -> UpdateBase:
    """The statement that claims what is due; building it costs more than executing it."""
    table, now = models.Errand, bindparam("at", type_=Utc())
    due = or_(
        and_(table.state == "pending", table.not_before <= now),
        and_(table.state == "claimed", table.lease_until < now),
    )
    mine = select(table.id).where(table.provider == bindparam("whose", type_=String()), due).order_by(table.id)
    oldest = mine.limit(bindparam("most", type_=Integer())).with_for_update(skip_locked=True)
    locked = oldest.cte("locked")
    return (
        update(table)
        .where(table.id == locked.c.id)
        .values(
            state="claimed",
            epoch=table.epoch + 1,
            attempts=table.attempts + 1,
            lease_until=bindparam("ends", type_=Utc()),
        )
        .returning(*(getattr(table, name) for name in Errand.__slots__))
        .execution_options(synchronize_session=False)
    )


async def done(session: AsyncSession, errand: Errand, *, now: datetime) -> None:
    """The provider has done it; raises LostLeaseError when another worker has taken it over."""
    await _settle(session, errand, state="done", error="")
    await health.clear(session, _alarm_key(errand), now=now)


async def later(session: AsyncSession, errand: Errand, error: str, *, now: datetime) -> None:
    """It is due again after a pause that doubles with each attempt, ten minutes at most; nothing is given up."""
    wait = min(_LONGEST, timedelta(seconds=2 ** min(errand.attempts, 10)))
    await _settle(session, errand, state="pending", error=error[:200], not_before=now + wait)


async def failed(session: AsyncSession, errand: Errand, error: str, *, now: datetime) -> None:
    """The provider refuses it; an alarm says what a person has to do instead."""
    await _settle(session, errand, state="failed", error=error[:200])
    text = f"{errand.provider} refuses to do '{errand.act}' for {errand.target} ({error}): please do it by hand there."
    await health.alarm(session, _alarm_key(errand), text, now=now)


async def waiting(session: AsyncSession, member_id: int) -> Sequence[models.Errand]:
    """What is still to be done for this member, oldest first, and what failed."""
    mine = select(models.Errand).where(models.Errand.member_id == member_id, models.Errand.state != "done")
    return (await session.scalars(mine.order_by(models.Errand.id))).all()


def _alarm_key(errand: Errand) -> str:
    return f"errand_failed:{errand.id}"


async def _settle(session: AsyncSession, errand: Errand, **values: object) -> None:
    mine = update(models.Errand).where(
        models.Errand.id == errand.id, models.Errand.epoch == errand.epoch, models.Errand.state == "claimed"
    )
    if await db.execute(session, mine.values(lease_until=None, **values)) != 1:
        raise errors.LostLeaseError(f"The errand {errand.id} was taken over by another worker.")
