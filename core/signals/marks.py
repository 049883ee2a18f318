"""Where markets stand: the newest close we know of each, for results so far."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue
from core.market import candles, timeframes
from core.models import Signal
from core.signals import quotes


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest known price of a market, a close, and how many seconds ago that was by the exchange's clock."""

    price: Decimal
    age: float


async def of(
    session: AsyncSession, book: catalogue.Catalogue, signals: Iterable[Signal], *, now: datetime
) -> Mapping[int, Mark]:
    """For each signal's number the newest close of its market, whatever candles it is from; none where we have none."""
    markets: dict[tuple[str, str], set[str]] = {}
    shown = list(signals)
    for signal in shown:
        markets.setdefault((signal.exchange, signal.symbol), set()).add(signal.timeframe)
    for watch in book.watches:
        if (names := markets.get((watch.exchange, watch.symbol))) is not None:
            names.add(watch.timeframe)
    found = {market: await _newest(session, *market, names, now) for market, names in markets.items()}
    marks = {signal.id: found[signal.exchange, signal.symbol] for signal in shown}
    return {number: mark for number, mark in marks.items() if mark is not None}


async def _newest(
    session: AsyncSession, exchange: str, symbol: str, names: Iterable[str], now: datetime
) -> Mark | None:
    closes: list[tuple[int, Decimal]] = []
    for name in names:
        rows = await candles.recent(session, candles.Key(exchange, symbol, name), 1)
        closes += [(row.open_time + timeframes.ms(name), row.close) for row in rows]
    if not closes:
        return None
    at, price = max(closes)
    return Mark(price, max(0.0, (await quotes.there(session, exchange, now=now) - at) / 1000))
