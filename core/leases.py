"""Leases: work that only one process may do at a time, with an epoch that fences off a holder who was asleep."""

from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors, models


async def acquire(session: AsyncSession, name: str, holder: str, *, ttl: float, now: datetime) -> int | None:
    """The epoch under which `holder` has the lease for `ttl` seconds from now, or None while another one has it.

    A holder who asks again in time keeps the epoch; every change of holder, and every return after the end, raises it.
    """
    until = now + timedelta(seconds=ttl)
    lease = models.Lease
    kept = await session.scalar(
        update(lease)
        .where(lease.name == name, lease.holder == holder, lease.until > now)
        .values(until=until)
        .returning(lease.epoch)
        .execution_options(synchronize_session=False)
    )
    if kept is not None:
        return kept
    free = db.insert(session, lease).values(name=name, holder="", epoch=0, until=now)
    await session.execute(free.on_conflict_do_nothing(index_elements=["name"]))
    return await session.scalar(
        update(lease)
        .where(lease.name == name, or_(lease.until <= now, lease.holder == ""))
        .values(holder=holder, until=until, epoch=lease.epoch + 1)
        .returning(lease.epoch)
        .execution_options(synchronize_session=False)
    )


async def check(session: AsyncSession, name: str, epoch: int) -> None:
    """The lease is still held under this epoch until the transaction ends; raises LostLeaseError otherwise."""
    held = await session.scalar(
        select(models.Lease.epoch)
        .where(models.Lease.name == name, models.Lease.epoch == epoch, models.Lease.holder != "")
        .with_for_update()
    )
    if held is None:
        raise errors.LostLeaseError(f"Another process has taken over the work '{name}'; this one writes nothing.")


async def release(session: AsyncSession, name: str, epoch: int, *, now: datetime) -> None:
    """The lease is free at once, if it was still held under this epoch."""
    freed = update(models.Lease).where(models.Lease.name == name, models.Lease.epoch == epoch)
    await db.execute(session, freed.values(until=now, holder=""))
