"""The feed: what happens to signals, in the order of the record, for programs; the stream, hooks and the API read it.

Its numbers are those of the record's entries, which have no gaps and come in the order of commits: who knows the number
of the last event that they had misses nothing and has nothing twice. What an event says never changes afterwards.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, clock, rights
from core.market import timeframes
from core.models import ApiKey, Grant, RecordEntry, Signal, SignalEvent, Subscription
from core.signals import entries, results

Markets = frozenset[str] | None
"""The markets that somebody may have; None for every one."""
_BY_PRICE = frozenset({"target", "stopped"})
_AT_ONCE = 500


class Event(NamedTuple):
    """One event: `n` is the number of its entry, `body` what a program is told, as JSON values.

    `text` is a block for tools that read words, empty where they need to do nothing. What opens a position is not to
    be acted upon after `fresh_until`.
    """

    n: int
    kind: str
    symbol: str
    signal_id: int
    body: dict[str, Any]
    text: str
    fresh_until: datetime


class Page(NamedTuple):
    """What followed an entry: all events up to entry `cursor`; with `more` there may be further ones already."""

    events: list[Event]
    cursor: int
    more: bool


async def after(session: AsyncSession, n: int, *, markets: Markets = None, limit: int = 100) -> Page:
    """What came after entry `n`, oldest first, from the next `limit` entries; events of other markets are left out."""
    of_it = and_(SignalEvent.signal_id == RecordEntry.signal_id, SignalEvent.seal == RecordEntry.hash)
    rows = (
        select(RecordEntry.n, SignalEvent, Signal)
        .outerjoin(SignalEvent, of_it)
        .outerjoin(Signal, Signal.id == SignalEvent.signal_id)
        .where(RecordEntry.n > n)
        .order_by(RecordEntry.n)
        .limit(limit)
    )
    found = (await session.execute(rows)).all()
    events = [
        told(number, signal, event)
        for number, event, signal in found
        if event is not None and signal is not None and opens(markets, signal.symbol)
    ]
    return Page(events, found[-1][0] if found else n, len(found) == limit)


def opens(markets: Markets, symbol: str) -> bool:
    """Whether this market is among them."""
    return markets is None or symbol in markets


def markets_of(book: catalogue.Catalogue, plans: Iterable[str]) -> Markets:
    """The markets that these plans open together; an empty set when there is no such plan."""
    known = [book.by_key[plan] for plan in plans if plan in book.by_key]
    if any(not plan.symbols for plan in known):
        return None
    return frozenset().union(*(plan.symbols for plan in known))


async def readers(session: AsyncSession, keys: Collection[int], *, now: datetime) -> Mapping[int, frozenset[str]]:
    """The plans that the owners of these keys (by id) have now; a key that works no more is not among them."""
    found: dict[int, set[str]] = {}
    paid = and_(Subscription.member_id == ApiKey.member_id, Subscription.access_until > now)
    given = and_(Grant.member_id == ApiKey.member_id, rights.valid_grant(now))
    rows = select(ApiKey.id, Subscription.plan, Grant.plan).outerjoin(Subscription, paid).outerjoin(Grant, given)
    ids = sorted(keys)
    for start in range(0, len(ids), _AT_ONCE):
        some = rows.where(ApiKey.id.in_(ids[start : start + _AT_ONCE]), ApiKey.revoked_at.is_(None))
        for key, *plans in await session.execute(some):
            found.setdefault(key, set()).update(plan for plan in plans if plan is not None)
    return {key: frozenset(plans) for key, plans in found.items()}


def told(n: int, signal: Signal, event: SignalEvent) -> Event:
    """The event as programs are told of it: decimals in strings, moments as RFC 3339 writes them."""
    fresh_until = decided_at(signal) + timedelta(seconds=timeframes.staleness(signal.timeframe))
    text = _text(signal, event)
    body = {
        "id": n,
        "kind": event.event,
        "at": entries.moment(event.at),
        "signal": _signal(signal, fresh_until),
        "change": None if event.event == entries.OPENED else _change(event),
        "result": _result(signal) if event.event in entries.CLOSINGS else None,
        "text": text,
        "seal": event.seal,
    }
    return Event(n, event.event, signal.symbol, signal.id, body, text, fresh_until)


def decided_at(signal: Signal) -> datetime:
    """The close of the candle that decided it, by the exchange's clock; for an order, when it was published."""
    return min(clock.from_ms(signal.candle + timeframes.ms(signal.timeframe)), signal.created_at)


def _signal(signal: Signal, fresh_until: datetime) -> dict[str, Any]:
    """Only what was decided when it was published, so that an event reads the same whenever it is read."""
    return {
        "id": signal.id,
        "symbol": signal.symbol,
        "exchange": signal.exchange,
        "timeframe": signal.timeframe,
        "strategy": signal.strategy,
        "direction": signal.direction,
        "entry": entries.plain(signal.entry),
        "stop": entries.plain(signal.stop),
        "targets": [
            {
                "price": entries.plain(level.price),
                "share": entries.plain(level.share),
                "stop": None if level.stop is None else entries.plain(level.stop),
            }
            for level in signal.levels
        ],
        "reason": signal.reason,
        "late": signal.late,
        "published_at": entries.moment(signal.created_at),
        "decided_at": entries.moment(decided_at(signal)),
        "fresh_until": entries.moment(fresh_until),
        "expires_at": entries.moment(clock.from_ms(signal.expires)),
    }


def _change(event: SignalEvent) -> dict[str, str | None]:
    stop = None if event.stop is None else entries.plain(event.stop)
    return {"price": entries.plain(event.price), "share": entries.plain(event.share), "stop": stop}


def _result(signal: Signal) -> dict[str, str]:
    made = results.trade(signal)
    return {
        "filled": entries.plain(made.filled),
        "exit": entries.plain(made.exit),
        "percent": entries.plain(made.percent),
        "r": entries.plain(made.r),
    }


def _text(signal: Signal, event: SignalEvent) -> str:
    """A block of words as Cornix documents them: an opening, or "Close" where no price ends the position by itself."""
    if event.event == entries.OPENED:
        return "" if signal.late else "\n".join(_block(signal))
    by_itself = event.event not in entries.CLOSINGS or event.event in _BY_PRICE
    return "" if by_itself else f"Close {_pair(signal)}"


def _pair(signal: Signal) -> str:
    return signal.symbol.partition(":")[0]  # ccxt writes a perpetual as BTC/USDT:USDT


def _block(signal: Signal) -> Sequence[str]:
    targets = [f"{number}) {entries.plain(level.price)}" for number, level in enumerate(signal.levels, 1)]
    return [
        f"#{_pair(signal)}",
        f"Exchange: {signal.exchange}",
        f"Signal Type: Regular ({signal.direction.capitalize()})",
        "",
        "Entry Targets:",
        f"1) {entries.plain(signal.entry)}",
        "",
        "Take-Profit Targets:",
        *targets,
        "",
        "Stop Targets:",
        f"1) {entries.plain(signal.stop)}",
    ]
