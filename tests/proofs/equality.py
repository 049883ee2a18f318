"""Proof: a backtest is what live would have published: every trade, field by field, on real candles.

Recorded candles go through the live path (`judge.follow`, then `judge.candle`, on a real database, one candle after
the other with the rows that the scan gives), and the backtest reads the same candles from the same table.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from sqlalchemy import select

from core import catalogue, clock, db, models, strategies
from core.backtest import engine, report
from core.market import candles, timeframes
from core.signals import judge, lifecycle, results
from core.strategies import base
from tests import databases
from tests.sandbox import market_history

LADDER = (
    catalogue.Exit(at=Decimal("0.5"), share=Decimal("0.4"), stop="entry"),
    catalogue.Exit(at=Decimal("0.75"), share=Decimal("0.3"), stop="previous"),
    catalogue.Exit(at=Decimal(1), share=Decimal("0.3")),
)
# A watch is named by its market, so the two ways out stand on two exchanges.
EXITS: dict[str, tuple[catalogue.Exit, ...]] = {"binance": (), "kraken": LADDER}
TICK = Decimal("0.01")
_TOGETHER = 500


@dataclass(frozen=True, slots=True)
class Seen:
    """What both sides say of one signal."""

    candle: int
    long: bool
    entry: Decimal
    stop: Decimal
    levels: tuple[object, ...]
    filled: Decimal | None
    exits: tuple[lifecycle.Change, ...]
    status: str
    percent: Decimal | None
    r: Decimal | None


@dataclass(frozen=True, slots=True)
class Scale:
    """Which share of each market's candles is compared, from the beginning."""

    hours: float = 1.0
    five_minutes: float = 0.25
    symbols: tuple[str, ...] = ("BTC/USDT", "ETH/USDT")
    workers: int = 1


@dataclass(slots=True)
class Outcome:
    """What was compared, for each strategy and way out, and the first differences."""

    label: str
    candles: int = 0
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    def add(self, part: "Outcome") -> None:
        """What one market showed counts for the whole."""
        self.label = self.label if part.label == market_history.REAL else part.label
        self.candles += part.candles
        self.differences += part.differences
        for whole, one in ((self.counts, part.counts), (self.ends, part.ends)):
            for name, count in one.items():
                whole[name] = whole.get(name, 0) + count

    @property
    def ok(self) -> bool:
        return not self.differences and bool(self.counts) and all(self.counts.values())

    def __str__(self) -> str:
        lines = [f"{self.label}: {self.candles:,} candles judged live, candle by candle, in {self.seconds:.0f} s"]
        lines += [f"  {name}: {count} trades" for name, count in self.counts.items()]
        lines += [f"  {count} ended as {name}" for name, count in sorted(self.ends.items())]
        lines += self.differences[:10]
        total, wrong = sum(self.counts.values()), len(self.differences)
        verdict = "GOOD: all agree field by field" if self.ok else f"BAD: {wrong} differ, or a strategy was silent"
        return "\n".join([*lines, f"{total} trades compared. {verdict}"])


async def prove(folder: Path, scale: Scale) -> Outcome:
    """Every strategy on every market, live and as a backtest; each market with a database of its own."""
    began = time.monotonic()
    units = [(symbol, timeframe, on) for symbol in scale.symbols for timeframe in ("5m", "1h") for on in EXITS]
    if scale.workers == 1:
        parts = [await _market(folder, scale, unit) for unit in units]
    else:
        loop = asyncio.get_running_loop()
        with ProcessPoolExecutor(scale.workers, multiprocessing.get_context("spawn")) as pool:
            asked = [loop.run_in_executor(pool, _alone, folder, scale, unit) for unit in units]
            parts = list(await asyncio.gather(*asked))
    whole = Outcome(market_history.REAL)
    for part in parts:
        whole.add(part)
    whole.seconds = time.monotonic() - began
    return whole


def _alone(folder: Path, scale: Scale, unit: tuple[str, str, str]) -> Outcome:
    """The same for one market in a process of its own."""
    return asyncio.run(_market(folder, scale, unit))


async def _market(folder: Path, scale: Scale, unit: tuple[str, str, str]) -> Outcome:
    symbol, timeframe, exchange_id = unit
    url = f"sqlite:///{folder / '-'.join((*symbol.split('/'), timeframe, exchange_id))}.db"
    await databases.create_tables(url)
    database = db.Database(url)
    outcome = Outcome(market_history.REAL)
    try:
        fine = _rows(symbol, "5m", scale.five_minutes, outcome)
        rows = fine if timeframe == "5m" else _rows(symbol, timeframe, scale.hours, outcome)
        if timeframe != "5m":  # they decide which of stop and target came first
            await keep(database, candles.Key(exchange_id, symbol, "5m"), fine, TICK)
        await _compared(database, candles.Key(exchange_id, symbol, timeframe), rows, outcome)
        outcome.candles = len(rows)
    finally:
        await database.close()
    return outcome


def _rows(symbol: str, timeframe: str, share: float, outcome: Outcome) -> list[candles.Candle]:
    history = market_history.load(symbol, timeframe, api=None)
    if history.label != market_history.REAL:
        outcome.label = history.label
    return recorded(history)[: round(share * len(history))]


def recorded(history: market_history.Candles) -> list[candles.Candle]:
    """The history as exact candles."""
    columns = (history.ts, history.open, history.high, history.low, history.close, history.volume)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [candles.Candle(ts, *(Decimal(repr(value)) for value in values)) for ts, *values in rows]


async def _compared(database: db.Database, key: candles.Key, rows: Sequence[candles.Candle], outcome: Outcome) -> None:
    """All strategies at once on this market: live, then each as a backtest of the same table."""
    watches = [(_watch(key, name, EXITS[key.exchange]), strategies.create(name, {})) for name in strategies.names()]
    await keep(database, key, rows, TICK)
    await replay(database, key, rows, watches, TICK)
    book = catalogue.Catalogue(watches=tuple(watch for watch, _ in watches))
    for watch, _ in watches:
        question = report.asked(book, key, watch.strategy)
        tried = await report.tried(database, question)
        name = f"{watch.strategy} {key.timeframe}, {'ladder' if watch.exits else 'one target'}"
        found = compare(await published(database, watch), tried)
        outcome.counts[name] = outcome.counts.get(name, 0) + len(found.live)
        outcome.differences += [f"{watch.key}: {difference}" for difference in found.differences]
        for one in found.live:
            outcome.ends[one.status] = outcome.ends.get(one.status, 0) + 1


def _watch(key: candles.Key, strategy: str, exits: tuple[catalogue.Exit, ...]) -> catalogue.Watch:
    exchange_id, symbol, timeframe = key
    return catalogue.Watch(exchange=exchange_id, symbol=symbol, timeframe=timeframe, strategy=strategy, exits=exits)


async def keep(database: db.Database, key: candles.Key, rows: Sequence[candles.Candle], tick: Decimal) -> None:
    """The table has these candles and the market's tick."""
    async with database.transaction() as session:
        await candles.keep(session, key, rows)
        await candles.keep_tick(session, key.exchange, key.symbol, tick, now=clock.utcnow())


async def replay(
    database: db.Database,
    key: candles.Key,
    rows: Sequence[candles.Candle],
    watches: Sequence[tuple[catalogue.Watch, base.Strategy]],
    tick: Decimal,
    *,
    begin: int = 0,
) -> None:
    """Every candle from `begin` on went the live path, in its order, with the rows that the scan would have given."""
    book = catalogue.Catalogue(watches=tuple(watch for watch, _ in watches))
    warmup, length = max(strategy.warmup for _, strategy in watches), timeframes.ms(key.timeframe)
    for start in range(begin, len(rows), _TOGETHER):
        # Live has one transaction for each candle; what is decided does not depend on where it ends.
        async with database.transaction() as session:
            for place in range(start, min(start + _TOGETHER, len(rows))):
                closed = rows[place].open_time + length + 2000
                moment = judge.Moment(closed, clock.from_ms(closed))
                await judge.follow(session, key, rows[place], now=moment.now)
                shown = rows[max(0, place + 1 - warmup) : place + 1]
                for watch, strategy in watches:
                    await judge.candle(session, book, watch, strategy, shown, tick=tick, moment=moment)


async def published(database: db.Database, watch: catalogue.Watch) -> list[Seen]:
    """What the tables of signals say, oldest first."""
    async with database.reading() as session:
        query = select(models.Signal).where(models.Signal.watch == watch.key).order_by(models.Signal.candle)
        signals = (await session.scalars(query)).all()
        happened: dict[int, list[lifecycle.Change]] = {signal.id: [] for signal in signals}
        query_events = select(models.SignalEvent).where(
            models.SignalEvent.signal_id.in_(select(models.Signal.id).where(models.Signal.watch == watch.key)),
            models.SignalEvent.event != "opened",
        )
        for one in await session.scalars(query_events.order_by(models.SignalEvent.id)):
            stop = one.stop if one.stop is not None else Decimal("NaN")
            happened[one.signal_id].append(lifecycle.Change(one.event, one.price, one.share, stop, one.candle))
    return [_live(signal, happened[signal.id]) for signal in signals]


def _live(signal: models.Signal, happened: Sequence[lifecycle.Change]) -> Seen:
    closed = signal.close_price is not None
    return Seen(
        candle=signal.candle,
        long=signal.direction == "long",
        entry=signal.entry,
        stop=signal.stop,
        levels=signal.levels,
        filled=signal.filled,
        exits=tuple(happened),
        status=str(signal.status),
        percent=results.percent(signal) if closed else None,
        r=results.r(signal) if closed else None,
    )


def tested(trade: engine.Trade) -> Seen:
    """A trade of the backtest in the same words."""
    return Seen(
        candle=trade.candle,
        long=trade.long,
        entry=trade.entry,
        stop=trade.stop,
        levels=trade.levels,
        filled=trade.filled,
        exits=trade.exits,
        status=str(trade.status),
        percent=trade.percent,
        r=trade.r,
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What live published, and one sentence for each difference."""

    live: list[Seen]
    differences: list[str]


def compare(live: list[Seen], outcome: engine.Outcome) -> Comparison:
    """Both sides, trade by trade, also the figures that the summary is made of."""
    ours = [tested(trade) for trade in outcome.trades()]
    differences = [
        f"live\n  {one}\nbacktest\n  {other}" for one, other in zip(live, ours, strict=False) if one != other
    ]
    if len(live) != len(ours):
        differences.append(f"{len(live)} live and {len(ours)} in the backtest")
    closed = [one for one in ours if one.r is not None]
    if [float(one.r or 0) for one in closed] != outcome.r.tolist():
        differences.append("the array of R differs from the trades")
    if [float(one.percent or 0) for one in closed] != outcome.percent.tolist():
        differences.append("the array of percents differs from the trades")
    return Comparison(live, differences)
