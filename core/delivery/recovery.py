"""What dead workers held: free again, or ambiguous, because nobody knows whether it arrived."""

from datetime import datetime

from sqlalchemy import and_, case, literal, or_, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db
from core.columns import Utc
from core.delivery import outcomes
from core.models import Delivery, State


async def recover(session: AsyncSession, *, now: datetime) -> tuple[int, int]:
    """What dead workers held is free again; says how many rows returned and how many are ambiguous because of it."""
    late = Delivery.lease_until < now
    returned = await db.execute(
        session,
        update(Delivery).where(late, Delivery.state == State.CLAIMED).values(state=State.PENDING, lease_until=None),
    )
    again = or_(
        and_(Delivery.kind.in_(outcomes.RESENT_KINDS), Delivery.ambiguities == 0),
        Delivery.kind == outcomes.DOOR,
        Delivery.platform.in_(outcomes.RECOGNISED),
    )
    unsure = await db.execute(
        session,
        update(Delivery)
        .where(late, Delivery.state == State.SENDING)
        .values(
            state=case((again, State.PENDING.value), else_=State.AMBIGUOUS.value),
            settled_at=case((again, None), else_=literal(now, Utc)),
            reason="the process ended while it was being sent",
            ambiguities=Delivery.ambiguities + 1,
            lease_until=None,
        ),
    )
    return returned, unsure
