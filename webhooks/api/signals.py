"""Signals over the API: the newest, all that the caller may read, the open ones, one with its history, and a scan."""

from collections.abc import Hashable, Sequence
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, Select, false, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from core.models import Signal, SignalEvent, SignalStatus
from webhooks import limits
from webhooks.api import frame, shapes

_OPEN = Signal.status == SignalStatus.OPEN
_ASKED = "The scheduler looks at the markets now; a signal comes only when a candle has closed and a strategy sees one."


class Which(frame.Shape):
    """Which signals, and how many at once."""

    symbol: shapes.Symbol = Field("", description="Only this market.", examples=["BTC/USDT"])
    status: shapes.Status | Literal[""] = Field("", description="Only those that stand so.", examples=["target"])
    limit: frame.Whole = Field(20, ge=1, le=100, description="How many at most.")


class Page(Which):
    """Which signals, and from where on."""

    cursor: frame.Whole = Field(
        frame.LARGEST, ge=0, le=frame.LARGEST, description="`next` of the page before; newest first without it."
    )


class Running(frame.Shape):
    """Which open signals."""

    symbol: shapes.Symbol = Field("", description="Only this market.", examples=["BTC/USDT"])
    limit: frame.Whole = Field(100, ge=1, le=100, description="How many at most.")


class Signals(shapes.Form):
    """Signals as of entry `cursor` of the record, from which the stream at /api/v1/ws can go on."""

    signals: list[shapes.Signal]
    cursor: int = Field(description="The number of the record's newest entry when this was looked up.")


class Pages(Signals):
    """One page of signals."""

    next: int | None = Field(description="What to ask for as `cursor` to get the next page; null on the last one.")


class Asked(shapes.Form):
    """The scan is asked for."""

    asked: bool
    message: str


def readable(caller: frame.Caller) -> ColumnElement[bool]:
    """The condition that the caller may read a signal: it is over, or one of their plans has its market."""
    return or_(Signal.status != SignalStatus.OPEN, _mine(caller))


def _mine(caller: frame.Caller) -> ColumnElement[bool]:
    if caller.markets is None:
        return true()
    return Signal.symbol.in_(sorted(caller.markets)) if caller.markets else false()


def _asked(rows: Select[Any], query: Any) -> Select[Any]:
    if query.symbol:
        rows = rows.where(Signal.symbol == query.symbol.upper())
    if getattr(query, "status", ""):
        rows = rows.where(Signal.status == query.status)
    return rows


async def latest(call: frame.Call) -> frame.Reply:
    """The open signals of the caller's plans, newest first, then those that closed last, `limit` together."""
    query = call.query
    async with call.here.stack.db.reading() as session:
        found = await _running(session, call, query.limit)
        if len(found) < query.limit:
            ended = select(Signal).where(Signal.status != SignalStatus.OPEN)
            newest = _asked(ended, query).order_by(Signal.closed_at.desc(), Signal.id.desc())
            found += (await session.scalars(newest.limit(query.limit - len(found)))).all()
    return frame.Reply(Signals(signals=_shown(found), cursor=call.caller.newest))


async def _running(session: AsyncSession, call: frame.Call, limit: int) -> list[Signal]:
    rows = _asked(select(Signal).where(_OPEN, _mine(call.caller)), call.query)
    return list((await session.scalars(rows.order_by(Signal.id.desc()).limit(limit))).all())


async def opened(call: frame.Call) -> frame.Reply:
    """The open signals of the caller's plans, newest first."""
    async with call.here.stack.db.reading() as session:
        found = await _running(session, call, call.query.limit)
    return frame.Reply(Signals(signals=_shown(found), cursor=call.caller.newest))


async def listed(call: frame.Call) -> frame.Reply:
    """One page of everything that the caller may read, newest first."""
    query = call.query
    rows = _asked(select(Signal).where(readable(call.caller), Signal.id < query.cursor), query)
    async with call.here.stack.db.reading() as session:
        found = (await session.scalars(rows.order_by(Signal.id.desc()).limit(query.limit + 1))).all()
    shown = found[: query.limit]
    further = shown[-1].id if len(found) > len(shown) else None
    return frame.Reply(Pages(signals=_shown(shown), cursor=call.caller.newest, next=further))


async def one(call: frame.Call) -> frame.Reply:
    """One signal with its history; who does not have an open one does not learn that it is there."""
    number = call.path.id
    async with call.here.stack.db.reading() as session:
        found = await session.scalar(select(Signal).where(Signal.id == number, readable(call.caller)))
        if found is None:
            raise frame.RefusalError(404, "not_found", f"There is no signal {number} that you may read.")
        events = select(SignalEvent).where(SignalEvent.signal_id == number)
        told = (await session.scalars(events.order_by(SignalEvent.candle, SignalEvent.id))).all()
    return frame.Reply(shapes.story(found, list(told)))


async def refresh(call: frame.Call) -> frame.Reply:
    """The scheduler has been asked to look at the markets now."""
    call.here.stack.look()
    return frame.Reply(Asked(asked=True, message=_ASKED), 202)


def _shown(rows: Sequence[Signal]) -> list[shapes.Signal]:
    return [shapes.signal(row) for row in rows]


def _alike(call: frame.Call) -> Hashable:
    """Callers whose plans open the same markets get the same answer to the same question."""
    return call.caller.markets, call.path, call.query


_UNKNOWN = {404: "There is no signal of this number that you may read."}
ENDPOINTS = (
    frame.Endpoint(
        method="GET",
        path="/api/v1/signals/latest",
        name="signals_latest",
        summary="The newest signals",
        more="The open signals of your plans, newest first, then those that closed last, `limit` together.",
        answer=latest,
        query=Which,
        returns={200: Signals},
        kept=_alike,
    ),
    frame.Endpoint(
        method="GET",
        path="/api/v1/signals/open",
        name="signals_open",
        summary="The open signals of your plans",
        answer=opened,
        query=Running,
        returns={200: Signals},
        kept=_alike,
    ),
    frame.Endpoint(
        method="GET",
        path="/api/v1/signals",
        name="signals_list",
        summary="All signals that you may read, page by page",
        more="Those that are over, which are public, and the open ones of your plans, newest first.",
        answer=listed,
        query=Page,
        returns={200: Pages},
        kept=_alike,
    ),
    frame.Endpoint(
        method="GET",
        path="/api/v1/signals/{id}",
        name="signals_show",
        summary="One signal with everything that happened to it",
        answer=one,
        of=frame.Number,
        returns={200: shapes.Story},
        refusals=_UNKNOWN,
        kept=_alike,
    ),
    frame.Endpoint(
        method="POST",
        path="/api/v1/signals/refresh",
        name="signals_refresh",
        summary="Ask for a scan of the markets now",
        more="At most three times a minute. The scheduler scans by itself as well; this only saves a wait of seconds.",
        answer=refresh,
        returns={202: Asked},
        rule=limits.SCANS,
    ),
)
