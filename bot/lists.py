"""Lists of signals for one reader: what is open only for those who have it, how it ended for everybody."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, false, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.messages import offers
from core import catalogue, rights
from core.models import Signal, SignalStatus

_OPEN, _CLOSED = 5, 5


async def latest(
    session: AsyncSession, member_id: int, pair: str, book: catalogue.Catalogue, now: datetime
) -> messages.Message:
    """The newest open signals that the member has, then the newest results, of one pair or of all."""
    watched = sorted({watch.symbol for watch in book.watches})
    wanted = meant(pair, watched)
    if pair and not wanted:
        return offers.which_pair(watched)
    held = await rights.plans_of(session, member_id, now=now)
    plans = [book.by_key[key] for key in sorted(held) if key in book.by_key]
    opened = or_(false(), *(Signal.symbol.in_(sorted(plan.symbols)) if plan.symbols else true() for plan in plans))
    about = Signal.symbol.in_(wanted) if wanted else true()
    newest = select(Signal).where(about).order_by(Signal.id.desc())
    running = await session.scalars(newest.where(and_(Signal.status == SignalStatus.OPEN, opened)).limit(_OPEN))
    ended = await session.scalars(newest.where(Signal.status != SignalStatus.OPEN).limit(_CLOSED))
    pairs = () if pair or len(watched) < 2 else watched
    return offers.latest([*running, *ended], book.service, paying=bool(plans), pairs=pairs)


def meant(pair: str, watched: Collection[str]) -> list[str]:
    """The watched markets that a person means by BTC, btcusdt, BTC-USDT or btc/usdt; none when it is none of them."""
    asked = "".join(filter(str.isalnum, pair.upper()))
    return [
        symbol
        for symbol in watched
        if asked
        in {"".join(filter(str.isalnum, symbol)), symbol.partition("/")[0], symbol.partition(":")[0].replace("/", "")}
    ]
