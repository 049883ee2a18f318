"""Signals for one reader: what is open only for those who have it, how it ended for everybody."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from core import catalogue, rights
from core.models import Signal, SignalEvent, SignalStatus
from core.signals import marks

_OPEN, _CLOSED = 5, 5
_PAGE, _OPEN_PAGE = 10, 8
_ENDED = Signal.status != SignalStatus.OPEN


async def latest(
    session: AsyncSession, member_id: int, pair: str, book: catalogue.Catalogue, now: datetime
) -> messages.Message:
    """The newest open signals that the member has, then the newest results, of one pair or of all."""
    watched = _watched(book)
    wanted = meant(pair, watched)
    if pair and not wanted:
        return messages.lists.which_pair(watched)
    plans = await _plans(session, member_id, book, now)
    about = Signal.symbol.in_(wanted) if wanted else true()
    newest = select(Signal).where(about).order_by(Signal.id.desc())
    running = (await session.scalars(newest.where(_open_to(plans)).limit(_OPEN))).all()
    ended = await session.scalars(newest.where(_ENDED).limit(_CLOSED))
    pairs = () if pair or len(watched) < 2 else watched
    live = await _live(session, running, book, now)
    return messages.lists.latest([*running, *ended], book.service, paying=bool(plans), pairs=pairs, live=live)


async def _live(
    session: AsyncSession, shown: Sequence[Signal], book: catalogue.Catalogue, now: datetime
) -> messages.lists.Live:
    """How the open ones of these signals stand, in words."""
    return messages.lists.live(shown, await marks.of(session, book, shown, now=now))


def _watched(book: catalogue.Catalogue) -> list[str]:
    return sorted({watch.symbol for watch in book.watches})


async def _plans(
    session: AsyncSession, member_id: int, book: catalogue.Catalogue, now: datetime
) -> list[catalogue.Plan]:
    held = await rights.plans_of(session, member_id, now=now)
    return [book.by_key[key] for key in sorted(held) if key in book.by_key]


def _open_to(plans: Collection[catalogue.Plan]) -> ColumnElement[bool]:
    """The condition that a signal is open and one of these plans has it."""
    has = or_(false(), *(Signal.symbol.in_(sorted(plan.symbols)) if plan.symbols else true() for plan in plans))
    return and_(Signal.status == SignalStatus.OPEN, has)


def meant(pair: str, watched: Collection[str]) -> list[str]:
    """The watched markets that a person means by BTC, btcusdt, BTC-USDT or btc/usdt; none when it is none of them."""
    asked = "".join(filter(str.isalnum, pair.upper()))
    return [
        symbol
        for symbol in watched
        if asked
        in {"".join(filter(str.isalnum, symbol)), symbol.partition("/")[0], symbol.partition(":")[0].replace("/", "")}
    ]


async def opened(
    session: AsyncSession, member_id: int, page: int, book: catalogue.Catalogue, now: datetime
) -> messages.Message:
    """One page of the open signals that the member has, newest first."""
    plans = await _plans(session, member_id, book, now)
    mine = select(Signal).where(_open_to(plans))
    shown, page, pages = await _page(session, mine.order_by(Signal.id.desc()), page, _OPEN_PAGE)
    live = await _live(session, shown, book, now)
    return messages.lists.opened(shown, book.service, paying=bool(plans), page=page, pages=pages, live=live)


async def history(session: AsyncSession, pair: str, page: int, book: catalogue.Catalogue) -> messages.Message:
    """One page of the closed signals, of one pair or of all, newest first; the same for everybody."""
    watched = _watched(book)
    wanted = meant(pair, watched)
    if pair and not wanted:
        return messages.lists.which_pair(watched, "history")
    ended = select(Signal).where(_ENDED, Signal.symbol.in_(wanted) if wanted else true())
    newest = ended.order_by(Signal.closed_at.desc(), Signal.id.desc())
    shown, page, pages = await _page(session, newest, page, _PAGE)
    named = wanted[0] if len(wanted) == 1 else pair.upper()
    pairs = () if pair or len(watched) < 2 else watched
    return messages.lists.history(shown, book.service, pair=named, page=page, pages=pages, pairs=pairs)


async def _page(session: AsyncSession, rows: Select[Signal], page: int, size: int) -> tuple[Sequence[Signal], int, int]:
    """The rows of that page or of the nearest there is, its number, and how many pages there are."""
    total = await session.scalar(select(func.count()).select_from(rows.order_by(None).subquery())) or 0
    pages = max(1, -(-total // size))
    page = min(max(1, page), pages)
    return (await session.scalars(rows.limit(size).offset((page - 1) * size))).all(), page, pages


async def one(
    session: AsyncSession, member_id: int, number: int, book: catalogue.Catalogue, now: datetime
) -> messages.Message:
    """One signal with what happened to it; who does not have it learns nothing of an open one, not even that it is."""
    signal = await session.get(Signal, number)
    plans = await _plans(session, member_id, book, now)
    has = signal is not None and any(not plan.symbols or signal.symbol in plan.symbols for plan in plans)
    if signal is None or (signal.status == SignalStatus.OPEN and not has):
        return messages.lists.no_signal(number)
    events = await session.scalars(
        select(SignalEvent).where(SignalEvent.signal_id == number).order_by(SignalEvent.candle, SignalEvent.id)
    )
    live = await _live(session, [signal], book, now)
    return messages.lists.whole(signal, events.all(), book.service, levels=has, live=live)
