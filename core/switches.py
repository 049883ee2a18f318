"""Switches: what an operator has turned on by hand, for as long as it is on."""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import db
from core.models import Switch

PAUSED = "paused"
"""No new signals are published; those that are open are followed to their end."""


async def turned_on(session: AsyncSession, name: str) -> Switch | None:
    """Who turned it on and when, None while it is off."""
    return await session.scalar(select(Switch).where(Switch.name == name))


async def turn_on(session: AsyncSession, name: str, *, by: str, now: datetime) -> bool:
    """It is on; says whether it was off before."""
    row = db.insert(session, Switch).values(name=name, by=by, at=now)
    return await db.execute(session, row.on_conflict_do_nothing(index_elements=["name"])) == 1


async def turn_off(session: AsyncSession, name: str) -> bool:
    """It is off; says whether it was on before."""
    return await db.execute(session, delete(Switch).where(Switch.name == name)) == 1
