"""Candles: which rows of an exchange may be trusted, and the table of closed candles that we keep of them.

Whether a candle is closed is decided by the exchange's clock alone: some exchanges send the open candle, some do not,
and the clock of this machine may be off.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, models
from core.market import refusals, ticks, timeframes
from core.market.series import Series

LAG_MS = 1000
"""So long after its close, by the exchange's clock, a candle counts as closed: last trades are booked late."""

log = structlog.get_logger()


class Key(NamedTuple):
    """Whose candles: exchange as ccxt spells it, symbol as in BTC/USDT, timeframe."""

    exchange: str
    symbol: str
    timeframe: str


class Candle(NamedTuple):
    """One candle; `open_time` in epoch milliseconds, prices in quote units, `volume` in base units, all exact."""

    open_time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class Arrival(StrEnum):
    """Where the newest candle that ought to be closed is."""

    HERE = "here"
    AWAITED = "awaited"
    MISSING = "missing"


class Kept(NamedTuple):
    """What storing candles changed: how many were new, and the open times of those that the exchange corrected."""

    new: int
    corrected: tuple[int, ...]


def newest_due(timeframe: str, now_ms: int) -> int:
    """The open time of the newest candle that counts as closed at `now_ms` of the exchange's clock."""
    return timeframes.last_closed(timeframe, now_ms - LAG_MS)


def arrival(newest: int | None, timeframe: str, now_ms: int, *, patience: float) -> Arrival:
    """Whether the newest candle due is here, may still come, or did not come within `patience` seconds of its close."""
    due = newest_due(timeframe, now_ms)
    if newest is not None and newest >= due:
        return Arrival.HERE
    waited = (now_ms - due - timeframes.ms(timeframe)) / 1000
    return Arrival.AWAITED if waited <= patience else Arrival.MISSING


def closed(rows: Any, timeframe: str, now_ms: int) -> list[Candle]:
    """The closed candles among an exchange's rows [open time, open, high, low, close, volume]: sorted, each once.

    Raises UnusableError if any row that claims to be closed is not a sound candle of this timeframe: a maintenance
    page, None, NaN, a price of nought, a high below the close, the same candle twice with different figures.
    """
    if not isinstance(rows, list):
        raise refusals.UnusableError("the answer is no list of candles")
    due = newest_due(timeframe, now_ms)
    found: dict[int, Candle] = {}
    for row in rows:
        open_time = _open_time(row, timeframe)
        if open_time > due:
            continue
        candle = _sound(open_time, row)
        if found.setdefault(open_time, candle) != candle:
            raise refusals.UnusableError(f"the candle {open_time} came twice with different figures")
    return [found[open_time] for open_time in sorted(found)]


def _open_time(row: Any, timeframe: str) -> int:
    if not isinstance(row, list | tuple) or len(row) < 6 or type(row[0]) is not int:
        raise refusals.UnusableError(f"a row is no candle: {str(row)[:80]}")
    if row[0] <= 0 or timeframes.floor(timeframe, row[0]) != row[0]:
        raise refusals.UnusableError(f"a candle opens at {row[0]}, where no {timeframe} candle opens")
    return row[0]


def _sound(open_time: int, row: Sequence[Any]) -> Candle:
    try:
        candle = Candle(open_time, *(ticks.exact(value) for value in row[1:6]))
    except ValueError as error:
        raise refusals.UnusableError(f"the candle {open_time} has no sound figures: {error}") from None
    highest, lowest = max(candle.open, candle.close), min(candle.open, candle.close)
    if not 0 < candle.low <= lowest <= highest <= candle.high or candle.volume < 0:
        raise refusals.UnusableError(f"the candle {open_time} contradicts itself: {str(row)[:120]}")
    return candle


def missing(candles: Sequence[Candle], timeframe: str) -> int:
    """How many candles the gaps between these candles (sorted) leave out."""
    if not candles:
        return 0
    span = candles[-1].open_time - candles[0].open_time
    return span // timeframes.ms(timeframe) + 1 - len(candles)


def series(candles: Iterable[Candle]) -> Series:
    """The candles as arrays, for strategies and charts; a gap stays a gap."""
    return Series.from_rows([(row[0], *map(float, row[1:])) for row in candles])  # type: ignore[misc]


async def keep(session: AsyncSession, key: Key, candles: Sequence[Candle]) -> Kept:
    """These closed candles are in the table, with the exchange's latest word where it corrected one.

    A correction changes the candle, never a signal that was made of it.
    """
    if not candles:
        return Kept(0, ())
    before = {row.open_time: row for row in await between(session, key, candles[0].open_time, candles[-1].open_time)}
    changed = [row for row in candles if before.get(row.open_time) != row]
    corrected = tuple(row.open_time for row in changed if row.open_time in before)
    for open_time in corrected:
        log.warning("market_candle_corrected", **key._asdict(), open_time=open_time)
    if changed:
        await _write(session, key, changed)
    return Kept(len(changed) - len(corrected), corrected)


async def _write(session: AsyncSession, key: Key, candles: Sequence[Candle]) -> None:
    of = key._asdict()
    statement = db.insert(session, models.Candle)
    figures = {name: statement.excluded[name] for name in Candle._fields[1:]}
    # Straight to the table, one statement for all rows: the way of the ORM would write one as long as they are many.
    connection = await session.connection()
    await connection.execute(
        statement.on_conflict_do_update(index_elements=[*Key._fields, "open_time"], set_=figures),
        [{**of, **row._asdict()} for row in candles],
    )


async def newest(session: AsyncSession, key: Key) -> int | None:
    """The open time of the newest candle in the table, or None."""
    return await session.scalar(select(func.max(models.Candle.open_time)).where(*_of(key)))


async def recent(session: AsyncSession, key: Key, count: int, *, until: int | None = None) -> list[Candle]:
    """The newest `count` candles in the table, oldest first; with `until`, the newest that open no later than it."""
    query = select(*_columns()).where(*_of(key)).order_by(models.Candle.open_time.desc()).limit(count)
    if until is not None:
        query = query.where(models.Candle.open_time <= until)
    return [Candle(*row) for row in reversed((await session.execute(query)).all())]


async def between(session: AsyncSession, key: Key, first: int, last: int) -> list[Candle]:
    """The candles in the table that open from `first` to `last`, both included, oldest first."""
    query = select(*_columns()).where(*_of(key), models.Candle.open_time.between(first, last))
    return [Candle(*row) for row in await session.execute(query.order_by(models.Candle.open_time))]


async def onward(session: AsyncSession, key: Key, first: int, count: int) -> list[Candle]:
    """At most `count` candles in the table that open at `first` or later, oldest first."""
    query = select(*_columns()).where(*_of(key), models.Candle.open_time >= first)
    return [Candle(*row) for row in await session.execute(query.order_by(models.Candle.open_time).limit(count))]


async def within(session: AsyncSession, key: Key, open_time: int) -> list[Candle]:
    """The shortest candles in the table that make up exactly this one, oldest first; none where they are not whole."""
    length = timeframes.ms(key.timeframe)
    market = (models.Candle.exchange == key.exchange, models.Candle.symbol == key.symbol)
    inside = models.Candle.open_time.between(open_time, open_time + length - 1)
    counted = await session.execute(
        select(models.Candle.timeframe, func.count()).where(*market, inside).group_by(models.Candle.timeframe)
    )
    whole = [name for name, count in counted if name != key.timeframe and count * timeframes.ms(name) == length]
    if not whole:
        return []
    finest = min(whole, key=timeframes.ms)
    return await between(session, key._replace(timeframe=finest), open_time, open_time + length - 1)


async def forget(session: AsyncSession, key: Key, before: int) -> None:
    """Candles that open earlier than `before` are gone from the table."""
    await session.execute(delete(models.Candle).where(*_of(key), models.Candle.open_time < before))


async def keep_tick(session: AsyncSession, exchange: str, symbol: str, tick: Decimal, *, now: datetime) -> None:
    """The market's tick is known."""
    values = {"tick": tick, "updated_at": now}
    statement = db.insert(session, models.Market).values(exchange=exchange, symbol=symbol, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["exchange", "symbol"], set_=values))


async def tick(session: AsyncSession, exchange: str, symbol: str) -> Decimal | None:
    """The market's tick, or None while nobody has asked the exchange for it."""
    query = select(models.Market.tick).where(models.Market.exchange == exchange, models.Market.symbol == symbol)
    return await session.scalar(query)


def _of(key: Key) -> tuple[Any, ...]:
    return tuple(getattr(models.Candle, name) == value for name, value in key._asdict().items())


def _columns() -> tuple[Any, ...]:
    return tuple(getattr(models.Candle, name) for name in Candle._fields)
