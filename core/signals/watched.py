"""How far each watched market has been looked at: when its last judged candle closed, by the exchange's clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, clock
from core.market import candles, timeframes
from core.models import ScanMark

_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Watched:
    """A market and timeframe; `age` is that of the last candle that all its strategies have judged, in seconds.

    None where one of them has not judged any yet.
    """

    key: candles.Key
    age: float | None

    @property
    def late(self) -> bool:
        """Whether the next candle should have been judged long ago."""
        frame = self.key.timeframe
        return self.age is not None and self.age > timeframes.seconds(frame) + timeframes.staleness(frame)


async def markets(session: AsyncSession, book: catalogue.Catalogue, *, now: datetime) -> Sequence[Watched]:
    """Every market of the catalogue, in its order."""
    marks = {mark.watch: mark for mark in await session.scalars(select(ScanMark).order_by(ScanMark.scanned_at))}
    # The mark made last comes last and decides; where the exchange was never asked, our clock is all we have.
    there = {
        watch.exchange: mark.clock + (now - mark.scanned_at) // _MS
        for watch, mark in sorted(_known(book, marks), key=lambda known: known[1].scanned_at)
        if mark.clock
    }
    found: dict[candles.Key, float | None] = {}
    for watch in book.watches:
        key, mark = candles.Key(watch.exchange, watch.symbol, watch.timeframe), marks.get(watch.key)
        before = found.get(key, 0.0)
        if mark is None or before is None:
            found[key] = None
            continue
        closed = mark.candle + timeframes.ms(watch.timeframe)
        found[key] = max(before, (there.get(watch.exchange, clock.to_ms(now)) - closed) / 1000)
    return [Watched(key, age) for key, age in found.items()]


def _known(book: catalogue.Catalogue, marks: dict[str, ScanMark]) -> list[tuple[catalogue.Watch, ScanMark]]:
    return [(watch, marks[watch.key]) for watch in book.watches if watch.key in marks]
