"""The public results in figures: every closed signal counted, losses included."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from core.models import Signal, SignalStatus
from core.signals import results

ENOUGH = 30
"""From so many closed signals on, a share of gains says something."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How all closed signals ended. `gains` brought more than nothing, `losses` less; R before fees.

    `late` of them came too late to be sent as fresh. `first` and `last` are when the first signal was published and the
    last one closed.
    """

    target: int
    stopped: int
    expired: int
    gains: int
    losses: int
    r: Decimal
    late: int
    running: int
    first: datetime | None
    last: datetime | None

    @property
    def closed(self) -> int:
        """How many are closed."""
        return self.target + self.stopped + self.expired

    @property
    def rate(self) -> Decimal | None:
        """The share of gains in percent, None while there are too few to speak of one."""
        return Decimal(100 * self.gains) / self.closed if self.closed >= ENOUGH else None


async def count(session: AsyncSession) -> Tally:
    """The tally of everything that was ever published."""
    needed = load_only(Signal.status, Signal.direction, Signal.entry, Signal.stop, Signal.close_price, Signal.late)
    ended = (Signal.status != SignalStatus.OPEN, Signal.close_price.is_not(None))
    rows = (await session.scalars(select(Signal).where(*ended).options(needed))).all()
    spans = await session.execute(select(func.min(Signal.created_at), func.max(Signal.closed_at)).where(*ended))
    first, last = spans.one()
    running = await session.scalar(select(func.count()).where(Signal.status == SignalStatus.OPEN))
    brought = [results.r(row) for row in rows]
    by = [row.status for row in rows]
    return Tally(
        target=by.count(SignalStatus.TARGET),
        stopped=by.count(SignalStatus.STOPPED),
        expired=by.count(SignalStatus.EXPIRED),
        gains=sum(r > 0 for r in brought),
        losses=sum(r < 0 for r in brought),
        r=sum(brought, Decimal(0)),
        late=sum(row.late for row in rows),
        running=running or 0,
        first=first,
        last=last,
    )
