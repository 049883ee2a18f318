"""A candle is judged wholly or not at all, once, and only if it is closed and sound."""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, db, models, strategies, switches
from core.market import candles, refusals
from core.models import Delivery, Signal
from core.signals import judge
from tests.core import people
from tests.core.signals import stage as stages
from tests.core.signals.stage import BTC, ETH, HOUR, NEWEST, START, opening, watch

BOOK = people.BOOK.model_copy(update={"watches": (watch(),)})
STRATEGY = strategies.create("mean_reversion", stages.PARAMS)
TICK = Decimal("0.01")
CLOSE = opening(NEWEST + 1)


def payload(*moves: tuple[int, float], count: int = NEWEST + 1) -> list[list[Any]]:
    """What the exchange would answer: the last `count` candles of a market with these closes."""
    market = stages.with_candles(stages.calm(), *moves)
    columns = (market.open, market.high, market.low, market.close, market.volume)
    return [[int(market.ts[at]), *(f"{column[at]:.8f}" for column in columns)] for at in range(count)]


def rows(*moves: tuple[int, float], count: int = NEWEST + 1) -> list[candles.Candle]:
    """The same, believed."""
    return candles.closed(payload(*moves, count=count), "1h", opening(count) + 2000)


async def judged(
    session: AsyncSession, given: Sequence[candles.Candle], *, after: float = 2.0, on: catalogue.Watch | None = None
) -> judge.Verdict:
    """The last candle followed and judged `after` seconds past its close."""
    clock = given[-1].open_time + HOUR + round(after * 1000)
    moment = judge.Moment(clock, START)
    moved = await judge.follow(session, candles.Key("binance", BTC, "1h"), given[-1], now=START)
    verdict = await judge.candle(session, BOOK, on or watch(), STRATEGY, given, tick=TICK, moment=moment)
    return replace(verdict, ended=tuple(signal.id for signal in moved))


async def count(database: db.Database, table: type[Any]) -> int:
    async with database.reading() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


@asynccontextmanager
async def _no_deliveries(database: db.Database) -> AsyncIterator[None]:
    """The table of deliveries is away."""
    async with database.transaction() as session:
        await session.execute(text("ALTER TABLE deliveries RENAME TO away"))
    yield
    async with database.transaction() as session:
        await session.execute(text("ALTER TABLE away RENAME TO deliveries"))


@asynccontextmanager
async def _no_commit(database: db.Database) -> AsyncIterator[None]:
    """The process dies when everything is written and nothing is committed."""

    def die(_connection: object) -> None:
        raise OSError("the process has died")

    event.listen(database.engine.sync_engine, "commit", die)
    yield
    event.remove(database.engine.sync_engine, "commit", die)


@pytest.mark.parametrize("death", [_no_deliveries, _no_commit])
async def test_q02_dying_in_between_leaves_neither_signal_nor_deliveries_nor_mark(
    database: db.Database, death: Any
) -> None:
    async with database.transaction() as session:
        await people.payer(session, START)
    async with death(database):
        with pytest.raises((DBAPIError, OSError)):
            async with database.transaction() as session:
                await judged(session, rows((NEWEST, 95.0)))
    for table in (Signal, Delivery, models.ScanMark, models.SignalEvent):
        assert await count(database, table) == 0
    async with database.transaction() as session:
        verdict = await judged(session, rows((NEWEST, 95.0)))
    assert verdict.signal
    for table in (Signal, Delivery, models.ScanMark, models.SignalEvent):
        assert await count(database, table) == 1


async def test_q02_dying_while_a_signal_ends_leaves_it_open(database: db.Database) -> None:
    async with database.transaction() as session:
        await people.payer(session, START)
        await judged(session, rows((NEWEST, 95.0)))
    async with _no_commit(database):
        with pytest.raises(OSError, match="died"):
            async with database.transaction() as session:
                await judged(session, rows((NEWEST, 95.0), (NEWEST + 1, 85.0), count=NEWEST + 2))
    async with database.reading() as session:
        (signal,) = await session.scalars(select(Signal))
        assert (signal.status, signal.followed_to, signal.close_price) == ("open", opening(NEWEST), None)
    assert await count(database, Delivery) == 1


async def test_a03_the_same_candle_a_hundred_times_is_one_signal(database: db.Database) -> None:
    given = rows((NEWEST, 95.0))
    async with database.transaction() as session:
        await people.payer(session, START)

    async def once() -> int | None:
        async with database.transaction() as session:
            return (await judged(session, given)).signal

    published = []
    for _ in range(10):
        published += await asyncio.gather(*(once() for _ in range(10)))
    assert len([signal for signal in published if signal]) == 1
    for table in (Signal, Delivery, models.ScanMark, models.SignalEvent):
        assert await count(database, table) == 1


async def test_a03_without_its_mark_a_candle_still_makes_one_signal_only(database: db.Database) -> None:
    async with database.transaction() as session:
        await judged(session, rows((NEWEST, 95.0)))
        signal = (await session.scalars(select(Signal))).one()
        signal.status = models.SignalStatus.STOPPED
        await session.delete(await session.get_one(models.ScanMark, watch().key))
    async with database.transaction() as session:
        verdict = await judged(session, rows((NEWEST, 95.0)))
    assert (verdict.note, verdict.signal) == ("published before", None)
    assert await count(database, Signal) == 1


async def test_while_a_signal_is_open_a_watch_makes_no_second_one(database: db.Database) -> None:
    moves = [(NEWEST, 95.0), (NEWEST + 1, 98.0), (NEWEST + 2, 92.5)]
    async with database.transaction() as session:
        for number in range(3):
            verdict = await judged(session, rows(*moves, count=NEWEST + 1 + number))
    assert verdict.note == "an entry, but this watch has an open signal"
    assert await count(database, Signal) == 1


async def test_while_paused_open_signals_end_and_no_new_one_begins(database: db.Database) -> None:
    moves = [(NEWEST, 95.0), (NEWEST + 1, 99.0), (NEWEST + 2, 110.0)]
    async with database.transaction() as session:
        opened = await judged(session, rows(*moves, count=NEWEST + 1))
        await switches.turn_on(session, switches.PAUSED, by="telegram:1", now=START)
        await judged(session, rows(*moves, count=NEWEST + 2))
        verdict = await judged(session, rows(*moves, count=NEWEST + 3))
    assert (verdict.signal, verdict.ended) == (None, (opened.signal,))
    assert verdict.note == "an entry, but paused by the operator"
    assert await count(database, Signal) == 1


async def test_a_candle_that_ends_a_signal_may_begin_the_next(database: db.Database) -> None:
    moves = [(NEWEST, 95.0), (NEWEST + 1, 99.0), (NEWEST + 2, 110.0)]
    async with database.transaction() as session:
        opened = await judged(session, rows(*moves, count=NEWEST + 1))
        await judged(session, rows(*moves, count=NEWEST + 2))
        verdict = await judged(session, rows(*moves, count=NEWEST + 3))
    assert verdict.ended == (opened.signal,)
    assert verdict.signal not in {None, opened.signal}


async def test_levels_that_fall_together_on_the_ticks_make_no_signal(sqlite_database: db.Database) -> None:
    given = rows((NEWEST, 95.0))
    moment = judge.Moment(CLOSE + 2000, START)
    async with sqlite_database.transaction() as session:
        verdict = await judge.candle(session, BOOK, watch(), STRATEGY, given, tick=Decimal(100), moment=moment)
    assert verdict.note == "an entry whose levels fall together on the market's ticks"


@pytest.mark.parametrize(("after", "late"), [(2.0, False), (899.9, False), (900.0, True), (7200.0, True)])
async def test_q07_an_entry_is_fresh_for_a_quarter_of_an_hour(database: db.Database, after: float, late: bool) -> None:
    async with database.transaction() as session:
        await people.payer(session, START)
        await judged(session, rows(count=NEWEST))
        verdict = await judged(session, rows((NEWEST, 95.0)), after=after)
        signal = await session.get_one(Signal, verdict.signal)
        assert (verdict.late, signal.late) == (late, late)
    assert await count(database, Delivery) == (0 if late else 1)
    for delivery in await people.deliveries(database):
        assert delivery.expires_at == START + timedelta(seconds=900 - after)


async def test_q07_a_summary_says_to_each_plan_what_it_opens(database: db.Database) -> None:
    async with database.transaction() as session:
        everything = await people.payer(session, START)
        ether = await people.payer(session, START, plan="ether")
        await people.payer(session, START - timedelta(days=40))
        old = START - timedelta(days=1)
        first = await people.signal(session, START, symbol=BTC, late=True)
        second = await people.signal(session, START, symbol=ETH, late=True)
        await people.signal(session, old, symbol=ETH, late=True)
        await people.signal(session, START, symbol=ETH)
        assert await judge.sum_up(session, people.BOOK, now=START) == 2
        assert await judge.sum_up(session, people.BOOK, now=START) == 0
    told = {
        row.member_id: [fact["id"] for fact in row.payload["signals"]]
        for row in await people.deliveries(database)
        if row.payload
    }
    assert told == {everything.member_id: [str(first.id), str(second.id)], ether.member_id: [str(second.id)]}


ENTRY = payload((NEWEST, 95.0))
SPOILT: list[Any] = [
    None,
    "NaN",
    "Infinity",
    "-Infinity",
    "-1",
    "0",
    "",
    "<html>",
    float("nan"),
    True,
    [],
    {},
    "1e400",
    1e308,
]


def _corrupted(chance: random.Random) -> tuple[list[Any], int]:
    """An answer whose newest candle makes an entry if all is well, often spoilt, and the clock it is seen at."""
    answer: list[Any] = [list(row) for row in ENTRY]
    clock = CLOSE + chance.choice([1000, 2000, 2000, 2000, 899_000, 999, 0, -1, -60_000, -1_800_000])
    for _ in range(chance.randint(0, 2)):
        at = chance.choice([len(answer) - 1, chance.randrange(len(answer))])
        match chance.randrange(8):
            case 0 | 1:
                answer[at][chance.randrange(6)] = chance.choice(SPOILT)
            case 2:
                del answer[at]
            case 3:
                answer.append(list(answer[at]))
            case 4:
                chance.shuffle(answer)
            case 5:
                answer[at] = chance.choice([None, [], answer[at][:5], "row", [None] * 6])
            case 6:
                answer[at][0] = chance.choice([str(answer[at][0]), -1, opening(at) + 1, float(opening(at))])
            case _:
                answer[at][2], answer[at][3] = answer[at][3], answer[at][2]
        if not all(isinstance(row, list) and len(row) == 6 for row in answer):
            break
    return answer, clock


def _is_sound(row: Any) -> bool:
    """Whether a row is a candle that anybody would believe; written apart from the product's own judgement."""
    if type(row) is not list or len(row) != 6 or type(row[0]) is not int or row[0] % HOUR or row[0] <= 0:
        return False
    if any(type(value) is not str for value in row[1:]):
        return False
    try:
        opened, high, low, close, volume = map(float, row[1:])
    except ValueError:
        return False
    return all(map(math.isfinite, (opened, high, low, close, volume))) and (
        0 < low <= min(opened, close) and max(opened, close) <= high and volume >= 0
    )


def _deserves(answer: list[Any], clock: int) -> bool:
    """Whether the answer, seen at this moment, really shows a closed entry candle with a whole history before it."""
    if clock < CLOSE + candles.LAG_MS or not all(_is_sound(row) for row in answer):
        return False
    unique = {tuple(row) for row in answer}
    window = {opening(NEWEST - back) for back in range(STRATEGY.warmup)}
    return len({row[0] for row in unique}) == len(unique) and window <= {row[0] for row in unique}


async def test_c04_whatever_the_exchange_sends_only_sound_closed_candles_decide(sqlite_database: db.Database) -> None:
    """Thousands of payloads around one entry: a signal exactly when the whole answer deserves it."""
    chance, deserving, refused = random.Random(11), [], 0
    for _ in range(5000):
        answer, clock = _corrupted(chance)
        try:
            believed = candles.closed(answer, "1h", clock)
        except refusals.UnusableError:
            refused += 1
            assert not _deserves(answer, clock)
            continue
        decided = STRATEGY.decide(candles.series(believed)) is not None
        assert decided == _deserves(answer, clock), (answer[-3:], clock)
        if decided:
            deserving.append((believed, clock))
    assert len(deserving) > 900
    assert refused > 1500
    for believed, clock in deserving:
        async with sqlite_database.transaction() as session:
            moment = judge.Moment(clock, START)
            await judge.candle(session, BOOK, watch(), STRATEGY, believed, tick=TICK, moment=moment)
    assert await count(sqlite_database, Signal) == 1
