"""A backtest as one dictionary of plain values, the same for chat, API and `signalstack backtest --json`."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from core import catalogue, clock, db, strategies
from core.backtest import engine, figures, source
from core.market import candles, timeframes

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to know: a strategy on a market, with the params, exits and costs that it would have live.

    `since` and `until` are the first and the last open time that count, epoch milliseconds. `words` are what the
    command line needs besides, to do the same again.
    """

    key: candles.Key
    strategy: str
    params: Mapping[str, Any]
    exits: tuple[catalogue.Exit, ...] = ()
    costs: catalogue.Costs = field(default_factory=catalogue.Costs)
    since: int | None = None
    until: int | None = None
    words: Words = ()

    @property
    def warmup(self) -> int:
        """How many candles before the first one that counts the strategy looks back on."""
        return self.rules(Decimal(1)).strategy.warmup

    def rules(self, tick: Decimal) -> engine.Rules:
        """The rules for a market with this tick; raises ConfigError for an unknown strategy or impossible params."""
        made = strategies.create(self.strategy, self.params)
        return engine.Rules(made, self.key.timeframe, tick, self.exits, self.costs)


def asked(
    book: catalogue.Catalogue,
    key: candles.Key,
    strategy: str,
    *,
    params: Mapping[str, Any] | None = None,
    exits: Sequence[catalogue.Exit] | None = None,
    costs: catalogue.Costs | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    words: Words = (),
) -> Asked:
    """The question as the catalogue completes it: the watch of this market and strategy gives its params and exits.

    What is said here stands: `params` replace those of the same name, `exits` and `costs` all of them.
    """
    watch = next((one for one in book.watches if _fits(one, key, strategy)), None)
    given: dict[str, Any] = {**(watch.params if watch else {}), **(params or {})}
    own = watch.exits if watch else ()
    first, last = (None if moment is None else clock.to_ms(moment) for moment in (since, until))
    known = tuple(own if exits is None else exits)
    return Asked(key, strategy, given, known, costs or book.costs, first, last, words)


async def from_table(
    database: db.Database,
    book: catalogue.Catalogue,
    symbol: str,
    strategy: str,
    timeframe: str,
    *,
    exchange: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    params: Mapping[str, Any] | None = None,
    with_trades: bool = False,
) -> dict[str, Any]:
    """The report on the candles in the table; without `exchange`, of the one on which the catalogue watches the market.

    Raises ConfigError for an unknown strategy or impossible params, RefusedError where there are no candles.
    """
    known = [watch.exchange for watch in book.watches if watch.symbol == symbol]
    on = exchange or next(iter(known), "binance")
    question = asked(book, candles.Key(on, symbol, timeframe), strategy, params=params, since=since, until=until)
    return told(question, await tried(database, question), with_trades=with_trades)


async def tried(database: db.Database, question: Asked) -> engine.Outcome:
    """What the candles in the table say; computed in a thread. Finer candles there decide what is unclear."""
    history = await source.kept(
        database, question.key, since=question.since, until=question.until, warmup=question.warmup
    )
    rules = question.rules(history.tick)
    finer: dict[int, Sequence[candles.Candle]] = {}

    def known(open_time: int) -> Sequence[candles.Candle]:
        return finer.get(open_time, ())

    while True:
        outcome = await asyncio.to_thread(engine.run, history.series, rules, since=history.first, finer=known)
        # What a finer candle decides may lead to others that need one.
        if not (unknown := outcome.unclear - finer.keys()):
            return outcome
        finer |= await source.finer(database, question.key, unknown)


def told(question: Asked, outcome: engine.Outcome, *, with_trades: bool = False) -> dict[str, Any]:
    """The report: JSON values only; prices in it are texts, exact."""
    times = outcome.series.open_time
    span = (int(times[outcome.first]), int(times[-1])) if outcome.first < len(times) else None
    report: dict[str, Any] = {
        "symbol": question.key.symbol,
        "exchange": question.key.exchange,
        "timeframe": question.key.timeframe,
        "strategy": question.strategy,
        "params": outcome.rules.strategy.params.model_dump(mode="json"),
        "exits": [_exit(part) for part in outcome.rules.exits],
        "since": None if span is None else _iso(span[0]),
        "until": None if span is None else _iso(span[1] + timeframes.ms(question.key.timeframe)),
        "candles": len(times) - outcome.first,
        "gaps": 0 if span is None else _missing(outcome, question.key.timeframe),
        "tick": str(outcome.rules.tick),
        "costs": {name: str(value) for name, value in outcome.rules.costs.model_dump().items()},
        "summary": asdict(figures.summary(outcome)),
        "equity": figures.equity_points(outcome),
        "command": command(question, outcome),
    }
    if with_trades:
        report["trades"] = [trade(one) for one in outcome.trades()]
    return report


def trade(one: engine.Trade) -> dict[str, Any]:
    """A trade in JSON values."""
    return {
        "candle": _iso(one.candle),
        "direction": "long" if one.long else "short",
        "entry": str(one.entry),
        "stop": str(one.stop),
        "targets": [{"price": str(level.price), "share": str(level.share)} for level in one.levels],
        "filled_at": None if one.filled_at is None else _iso(one.filled_at),
        "filled": None if one.filled is None else str(one.filled),
        "exits": [
            {
                "event": change.event,
                "candle": _iso(change.candle),
                "price": str(change.price),
                "share": str(change.share),
            }
            for change in one.exits
        ],
        "status": str(one.status),
        "percent": None if one.percent is None else str(one.percent),
        "r": None if one.r is None else str(one.r),
    }


def command(question: Asked, outcome: engine.Outcome) -> str:
    """The command line that gives the same result from the same candles."""
    rules, times = outcome.rules, outcome.series.open_time
    words = ["signalstack", "backtest", question.key.symbol, "--exchange", question.key.exchange]
    words += ["--strategy", question.strategy, "--timeframe", question.key.timeframe]
    if outcome.first < len(times):
        words += ["--since", _iso(int(times[outcome.first])), "--until", _iso(int(times[-1]))]
    for name, value in sorted(rules.strategy.params.model_dump(mode="json").items()):
        words += ["--param", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    words += ["--exits", ",".join(map(exit_words, rules.exits)) or "none"]
    if question.words:  # from a file, where nobody else knows it
        words += ["--tick", f"{rules.tick:f}"]
    words += ["--fee", f"{rules.costs.fee_percent:f}", "--slippage", f"{rules.costs.slippage_percent:f}"]
    return shlex.join([*words, *question.words])


def exit_words(part: catalogue.Exit) -> str:
    """A part of the way out in one word, as the command line takes it: at:share or at:share:stop."""
    return ":".join([f"{part.at:f}", f"{part.share:f}", *([part.stop] if part.stop else [])])


def _exit(part: catalogue.Exit) -> dict[str, str]:
    return {"at": f"{part.at:f}", "share": f"{part.share:f}", "stop": part.stop}


def _fits(watch: catalogue.Watch, key: candles.Key, strategy: str) -> bool:
    return (watch.exchange, watch.symbol, watch.timeframe, watch.strategy) == (*key, strategy)


def _iso(milliseconds: int) -> str:
    return clock.from_ms(milliseconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def _missing(outcome: engine.Outcome, timeframe: str) -> int:
    """How many candles are missing between the first that counts and the last."""
    times = outcome.series.open_time[outcome.first :]
    return int(times[-1] - times[0]) // timeframes.ms(timeframe) + 1 - len(times)
