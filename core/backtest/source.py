"""Where a backtest's candles come from: the table of candles, with the exchange's to fill it up, or a CSV file."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import ColumnElement, Float, String, cast, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors, models
from core.market import candles, refusals, timeframes
from core.market.series import Row, Series

if TYPE_CHECKING:
    from core.market import exchange  # ccxt takes a second to import, and only some backtests ask an exchange

MOST = 1_000_000
"""So many candles one backtest reads, the newest ones."""
_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class History:
    """Candles and the tick of their market; `first` is the open time from which on a candle may decide.

    Earlier candles only warm the strategy up.
    """

    series: Series
    tick: Decimal
    first: int = 0


def cut(series: Series, tick: Decimal, *, since: int | None, until: int | None) -> History:
    """The candles that open until `until`, of which those before `since` only warm up."""
    last = len(series) if until is None else int(np.searchsorted(series.open_time, until, side="right"))
    return History(series.head(last), tick, since or 0)


async def kept(
    database: db.Database, key: candles.Key, *, since: int | None, until: int | None, warmup: int
) -> History:
    """The candles in the table that open from `since` to `until`, and `warmup` more before them.

    Raises RefusedError when there are none, or when the market's tick is not known.
    """
    async with database.reading() as session:
        tick = await candles.tick(session, key.exchange, key.symbol)
        first = None if since is None else await _warm(session, key, since, warmup)
        rows = [row async for page in _pages(session, key, first, until) for row in page]
    if tick is None or not rows:
        raise errors.RefusedError(
            f"There are no stored {key.timeframe} candles of {key.symbol} on {key.exchange} for this time; "
            "watch the market, or name another one or another time."
        )
    return History(Series.from_rows(rows[::-1]), tick, since or 0)


async def _warm(session: AsyncSession, key: candles.Key, since: int, warmup: int) -> int:
    before = await candles.recent(session, key, warmup, until=since - 1)
    return before[0].open_time if before else since


async def _pages(
    session: AsyncSession, key: candles.Key, first: int | None, until: int | None
) -> AsyncIterator[list[Row]]:
    """Rows, the newest first, page by page, so that nobody else in the process waits long."""
    at, left = until, MOST
    while left > 0:
        query = select(models.Candle.open_time, *_floats(session)).where(
            *(getattr(models.Candle, name) == value for name, value in key._asdict().items())
        )
        if first is not None:
            query = query.where(models.Candle.open_time >= first)
        if at is not None:
            query = query.where(models.Candle.open_time <= at)
        query = query.order_by(models.Candle.open_time.desc()).limit(min(_PAGE, left))
        page: list[Row] = [(row[0], *map(float, row[1:])) for row in await session.execute(query)]  # type: ignore[misc]
        yield page
        if len(page) < min(_PAGE, left):
            return
        left -= len(page)
        at = page[-1][0] - 1


def _floats(session: AsyncSession) -> list[ColumnElement[object]]:
    """The five figures as the floats nearest to them, without a detour over decimals."""
    columns = [getattr(models.Candle, name) for name in candles.Candle._fields[1:]]
    if session.get_bind().dialect.name == "sqlite":  # text, which Python reads exactly
        return [type_coerce(column, String) for column in columns]
    return [cast(column, Float(53)) for column in columns]


async def finer(
    database: db.Database, key: candles.Key, open_times: Collection[int]
) -> dict[int, Sequence[candles.Candle]]:
    """For each of these candles the shortest ones in the table that make up exactly it; empty where they are not whole.

    These are the ones that the live product asks.
    """
    async with database.reading() as session:
        market = (models.Candle.exchange == key.exchange, models.Candle.symbol == key.symbol)
        others = (models.Candle.timeframe != key.timeframe, models.Candle.open_time >= min(open_times, default=0))
        if await session.scalar(select(models.Candle.open_time).where(*market, *others).limit(1)) is None:
            return dict.fromkeys(open_times, ())
        return {open_time: await candles.within(session, key, open_time) for open_time in sorted(open_times)}


async def fill(
    database: db.Database,
    door: exchange.Exchange,
    key: candles.Key,
    *,
    since: int,
    until: int,
    now: datetime,
    said: Callable[[int], None],
) -> list[str]:
    """The table has what the exchange has from `since` to `until`; `said` hears how many candles each page brought.

    Only what the table does not have is asked for. Gives back what the exchange could not answer, a sentence each: a
    stretch without trades looks the same. Raises UnreachableError or BarredError when it does not answer at all.
    """
    length, clock_ms = timeframes.ms(key.timeframe), await door.now_ms(key.symbol)
    tick = await door.tick(key.symbol)
    async with database.transaction() as session:
        await candles.keep_tick(session, key.exchange, key.symbol, tick, now=now)
    until = min(until, candles.newest_due(key.timeframe, clock_ms))
    missed = []
    for first, last in await _missing(database, key, since, until):
        end = last + length + candles.LAG_MS
        try:
            async for page in door.pages(key.symbol, key.timeframe, since=first, now_ms=end):
                async with database.transaction() as session:
                    await candles.keep(session, key, page)
                said(len(page))
        except refusals.UnusableError as error:
            missed.append(str(error))
    return missed


async def _missing(database: db.Database, key: candles.Key, since: int, until: int) -> list[tuple[int, int]]:
    """The stretches of candles that the table does not have, as first and last open time."""
    length = timeframes.ms(key.timeframe)
    since = timeframes.floor(key.timeframe, since + length - 1)
    async with database.reading() as session:
        rows = [row[0] async for page in _pages(session, key, since, until) for row in page]
    edges = [since - length, *sorted(rows), timeframes.floor(key.timeframe, until) + length]
    return [(one + length, other - length) for one, other in itertools.pairwise(edges) if other - one > length]
