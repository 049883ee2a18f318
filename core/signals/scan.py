"""The scan: fetch what closed, follow the open signals, judge each new candle, publish; in this order, once.

What is due follows from the database (`scan_marks`), never from the tick that woke us: a scan that was missed, or cut
off halfway, is made good by the next one, candle by candle. The network is asked before any transaction begins, and
each candle of a market is judged in one transaction.
"""

import asyncio
import itertools
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, clock, errors, figures, health, leases, stack, strategies
from core.market import candles, exchange, refusals, timeframes
from core.signals import judge
from core.strategies.base import Strategy

LEASE = "scheduler"
_BARRED_PAUSE = 300.0
_LONGEST_PAUSE = 60.0
_HISTORY = 990  # candles of a market that is new to us: one page of most exchanges, so that a backtest has some
_BUDGET = 10.0  # seconds of one run after which no further market of an exchange is begun
log = structlog.get_logger()


@dataclass(slots=True)
class _Patience:
    """How something that failed is asked again: after pauses that double, with jitter."""

    failures: int = 0
    since: datetime | None = None
    not_before: datetime | None = None

    def failed(self, error: errors.SignalStackError, now: datetime) -> None:
        """Nothing is asked for as long as the exchange said, or for our own back-off."""
        self.failures += 1
        pause = min(_LONGEST_PAUSE, 2.0**self.failures) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        if isinstance(error, refusals.BannedError):
            pause = error.seconds
        elif isinstance(error, refusals.BarredError):
            pause = _BARRED_PAUSE
        self.since, self.not_before = now, now + timedelta(seconds=pause)

    def waits(self, now: datetime) -> bool:
        """Whether it is too early to ask again; a clock that was set back makes nobody wait longer."""
        return self.since is not None and self.not_before is not None and self.since <= now < self.not_before


@dataclass(slots=True)
class _Market:
    """One market and timeframe with the watches on it, and how far this process knows it was judged."""

    key: candles.Key
    watches: list[tuple[catalogue.Watch, Strategy]] = field(default_factory=list)
    tick: Decimal | None = None
    judged: int = -1
    filled: bool = False

    @property
    def warmup(self) -> int:
        """How many candles the most demanding strategy wants; one where signals are only followed."""
        return max((strategy.warmup for _, strategy in self.watches), default=1)


class Scan:
    """All watches of the catalogue; one `run` looks at each of them once."""

    def __init__(self, held: stack.Stack, exchanges: exchange.Exchanges) -> None:
        self._stack, self._exchanges = held, exchanges
        self._patience: dict[str, _Patience] = defaultdict(_Patience)
        self._fine: set[str] = set()  # what is known to work; an earlier process may have left an alarm for the others
        self._markets: dict[candles.Key, _Market] = {}
        for watch in held.catalogue.watches:
            key = candles.Key(watch.exchange, watch.symbol, watch.timeframe)
            market = self._markets.setdefault(key, _Market(key))
            market.watches.append((watch, strategies.create(watch.strategy, watch.params)))
        self.next_close = _LONGEST_PAUSE  # seconds from the last run to the next close of a candle
        self._late = True  # an earlier process may have left late signals without a summary

    async def run(self, epoch: int | None = None) -> list[judge.Verdict]:
        """Everything that closed since the last run is judged; raises LostLeaseError when another process does this.

        Exchanges are asked side by side, so a slow one delays only its own markets.
        """
        self.next_close = _LONGEST_PAUSE
        looks = [self._exchange(name, markets, epoch) for name, markets in (await self._due()).items()]
        parts = await asyncio.gather(*looks, return_exceptions=True)
        for error in (part for part in parts if isinstance(part, BaseException)):
            raise error  # only now: no exchange is still being asked when the next run begins
        if self._late:
            async with self._stack.db.transaction() as session:
                told = await judge.sum_up(session, self._stack.catalogue, now=self._stack.clock())
            self._late = False
            if told:
                self._stack.deliver()
        return [verdict for part in parts if isinstance(part, list) for verdict in part]

    async def _due(self) -> dict[str, list[_Market]]:
        """The markets of each exchange: those that are watched, and those on which a signal is still open.

        Shorter candles come first, because they decide what a longer one leaves unclear.
        """
        async with self._stack.db.reading() as session:
            followed = await judge.followed_markets(session)
        for key in followed:
            self._markets.setdefault(key, _Market(key))
        found: dict[str, list[_Market]] = defaultdict(list)
        for market in sorted(self._markets.values(), key=lambda one: timeframes.ms(one.key.timeframe)):
            if market.watches or market.key in followed:
                found[market.key.exchange].append(market)
        return found

    async def _exchange(self, name: str, markets: list[_Market], epoch: int | None) -> list[judge.Verdict]:
        now = self._stack.clock()
        if self._patience[name].waits(now):
            return [judge.Verdict(name, "left alone for a while after an error")]
        try:
            clock = await self._there(name, markets)
        except (errors.UnreachableError, refusals.BarredError) as error:
            return [await self._unwell(name, error)]
        await self._well(name)
        verdicts, end = [], time.monotonic() + _BUDGET
        for market in markets:
            if time.monotonic() > end:
                break  # the next run goes on here: what is judged costs it nothing, what failed it leaves alone
            what = " ".join(market.key)
            if self._patience[what].waits(now):
                continue
            try:
                verdicts += await self._look(market, clock, epoch)
                if market.judged >= candles.newest_due(market.key.timeframe, clock):
                    await self._well(what)
            except (errors.UnreachableError, refusals.BarredError) as error:
                if isinstance(error, refusals.DelistedError):
                    verdicts += await self._delist(market.key, clock, epoch)
                verdicts.append(await self._unwell(what, error))
        return verdicts

    async def _there(self, name: str, markets: list[_Market]) -> int:
        """The exchange's clock, asked about a market that it still trades; ours where it trades none of these."""
        for market in markets:
            with suppress(refusals.DelistedError):
                return await self._exchanges[name].now_ms(market.key.symbol)
        return clock.to_ms(self._stack.clock())

    async def _delist(self, key: candles.Key, clock: int, epoch: int | None) -> list[judge.Verdict]:
        async with self._stack.db.transaction() as session:
            if epoch is not None:
                await leases.check(session, LEASE, epoch)
            closed = await judge.delist(session, key, moment=judge.Moment(clock, self._stack.clock()))
        return self._told([judge.Verdict(" ".join(key), "delisted", ended=tuple(one.id for one in closed))])

    async def _well(self, what: str) -> None:
        if what not in self._fine:
            self._fine.add(what)
            self._patience[what] = _Patience()
            async with self._stack.db.transaction() as session:
                await health.clear(session, f"market:{what}", now=self._stack.clock())

    async def _unwell(self, what: str, error: errors.SignalStackError) -> judge.Verdict:
        patience, now = self._patience[what], self._stack.clock()
        patience.failed(error, now)
        self._fine.discard(what)
        self._stack.counted.count(figures.EXCHANGE, f"{what.partition(' ')[0]} {_kind(error)}")
        log.warning("scan_market_failed", market=what, error=str(error), failures=patience.failures)
        if patience.failures >= 3 or isinstance(error, refusals.BannedError | refusals.BarredError):
            async with self._stack.db.transaction() as session:
                await health.alarm(session, f"market:{what}", f"No new candles: {error}", now=now)
        return judge.Verdict(what, str(error), failed=True)

    async def _look(self, market: _Market, clock: int, epoch: int | None) -> list[judge.Verdict]:
        length = timeframes.ms(market.key.timeframe)
        due = candles.newest_due(market.key.timeframe, clock)
        self.next_close = min(self.next_close, (due + 2 * length + candles.LAG_MS - clock) / 1000)
        if due <= market.judged:
            return []
        await self._fetch(market, due, clock)
        async with self._stack.db.reading() as session:
            watches = [watch for watch, _ in market.watches]
            first = await judge.first_unjudged(session, market.key, watches, due)
            rows = await candles.between(session, market.key, first - (market.warmup + 1) * length, due)
        fresh = [place for place, row in enumerate(rows) if row.open_time >= first]
        verdicts = []
        for place in fresh:
            verdicts += await self._judge(market, rows[max(0, place + 1 - market.warmup) : place + 1], clock, epoch)
        if rows:
            market.judged = rows[-1].open_time
        if verdicts or market.judged >= due:
            return verdicts
        return [_absent(market, clock)]

    async def _fetch(self, market: _Market, due: int, clock: int) -> None:
        """Closed candles up to `due` are in the table, if the exchange has them; only missing ones are asked for."""
        key, length, source = market.key, timeframes.ms(market.key.timeframe), self._exchanges[market.key.exchange]
        if market.tick is None:
            market.tick = await source.tick(key.symbol)
            async with self._stack.db.transaction() as session:
                await candles.keep_tick(session, key.exchange, key.symbol, market.tick, now=self._stack.clock())
        start = due - (market.warmup + 1) * length
        async with self._stack.db.reading() as session:
            kept = await candles.recent(session, key, market.warmup + 2, until=due)
        whole = market.filled or (bool(kept) and kept[0].open_time <= start)
        # The newest kept candle is asked for again, the exchange may have corrected it; a gap, it may have filled it.
        since = _whole_until(kept, length) if kept and whole else start
        if not kept:
            since = min(start, due - _HISTORY * length)
        async for page in source.pages(key.symbol, key.timeframe, since=since, now_ms=clock):
            async with self._stack.db.transaction() as session:
                await candles.keep(session, key, page)
        market.filled = True

    async def _judge(
        self, market: _Market, rows: Sequence[candles.Candle], clock: int, epoch: int | None
    ) -> list[judge.Verdict]:
        """The last of these candles is followed and judged for every watch of the market, in one transaction."""
        moment = judge.Moment(clock, self._stack.clock())
        assert market.tick is not None  # noqa: S101 - fetched before anything is judged
        verdicts = []
        async with self._stack.db.transaction() as session:
            if epoch is not None:
                await leases.check(session, LEASE, epoch)
            moved = await judge.follow(session, market.key, rows[-1], now=moment.now)
            for watch, strategy in market.watches:
                verdict = await judge.candle(
                    session, self._stack.catalogue, watch, strategy, rows, tick=market.tick, moment=moment
                )
                verdicts.append(replace(verdict, ended=tuple(one.id for one in moved if one.watch == watch.key)))
                await self._watch_over(session, watch.key, verdict)
        watched = {watch.key for watch, _ in market.watches}
        if others := tuple(one.id for one in moved if one.watch not in watched):
            verdicts.append(judge.Verdict(" ".join(market.key), "followed", ended=others))
        return self._told(verdicts)

    async def _watch_over(self, session: AsyncSession, watch: str, verdict: judge.Verdict) -> None:
        """A strategy that failed has an alarm, which is over when it has judged a candle again."""
        if verdict.broken:
            self._fine.discard(watch)
            text = f"{watch}: {verdict.note}. It gives no signals; the other watches go on."
            await health.alarm(session, f"strategy:{watch}"[:100], text, now=self._stack.clock())
        elif watch not in self._fine:
            self._fine.add(watch)
            await health.clear(session, f"strategy:{watch}"[:100], now=self._stack.clock())

    def _told(self, verdicts: list[judge.Verdict]) -> list[judge.Verdict]:
        for verdict in verdicts:
            self._late = self._late or verdict.late
            if verdict.signal or verdict.ended:
                log.info("scan_decided", watch=verdict.watch, signal=verdict.signal, ended=verdict.ended)
                self._stack.deliver()
        return verdicts


def _whole_until(kept: Sequence[candles.Candle], length: int) -> int:
    """The open time of the last candle before the first gap; of the newest one if there is none."""
    pairs = itertools.pairwise(kept)
    return next((one.open_time for one, other in pairs if other.open_time - one.open_time > length), kept[-1].open_time)


def _kind(error: errors.SignalStackError) -> str:
    return type(error).__name__.removesuffix("Error").lower()


def _absent(market: _Market, clock: int) -> judge.Verdict:
    """The verdict on a candle that may still come; raises UnusableError when it is too late for it."""
    newest = market.judged if market.judged > 0 else None
    patience = timeframes.staleness(market.key.timeframe)
    if candles.arrival(newest, market.key.timeframe, clock, patience=patience) is candles.Arrival.MISSING:
        exchange_id, symbol = market.key[:2]
        raise refusals.UnusableError(f"{exchange_id} has not delivered the newest candle of {symbol}.")
    return judge.Verdict(" ".join(market.key), "waiting for the exchange to deliver the newest candle")
