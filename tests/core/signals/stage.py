"""A market written by the test and served over sockets, the product's scan over it, and one hand on all the clocks."""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from core import catalogue, db, health, models, stack
from core.market import exchange
from core.market.series import Series
from core.signals import judge, scan
from core.strategies import base, mean_reversion
from tests.core import people
from tests.sandbox import market_history
from tests.sandbox.exchange import Exchange as StandIn
from tests.sandbox.history import History

HOUR = 3_600_000
BTC, ETH = people.BTC, people.ETH
FIRST = datetime(2023, 3, 1, tzinfo=UTC)
START = FIRST + timedelta(hours=40, seconds=2)
NEWEST = 39
"""The index of the newest candle that is closed when a stage opens."""
PARAMS = {"window": 20, "threshold": 2.0, "min_reward_risk": 0.0, "expires_after": 4}


def opening(index: int) -> int:
    """The open time of a candle of the market, by its index."""
    return int(FIRST.timestamp()) * 1000 + index * HOUR


def calm(count: int = 200) -> market_history.Candles:
    """A market that goes to and fro between 100.00 and 100.50 and makes no entry."""
    close = np.where(np.arange(count) % 2, 100.5, 100.0)
    ts = np.array([opening(index) for index in range(count)], np.int64)
    opened, high, low = _around(close)
    return market_history.Candles("1h", "written", ts, opened, high, low, close, np.full(count, 10.0))


def _around(close: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    before = np.concatenate(([100.5], close[:-1]))
    return before, np.round(np.maximum(before, close) + 0.2, 2), np.round(np.minimum(before, close) - 0.2, 2)


def with_candles(candles: market_history.Candles, *moves: tuple[int, float]) -> market_history.Candles:
    """The same market with these closes at these indices; the next candle opens there."""
    close = candles.close.copy()
    for index, price in moves:
        close[index] = price
    opened, high, low = _around(close)
    return replace(candles, open=opened, high=high, low=low, close=close)


def watch(symbol: str = BTC, exchange_id: str = "binance", **values: Any) -> catalogue.Watch:
    """A quick mean reversion on this market."""
    return catalogue.Watch(exchange=exchange_id, symbol=symbol, **{"params": PARAMS, **values})


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Witness(mean_reversion.MeanReversion):
    """A plug-in that notes which candles it was asked about, in order."""

    name: ClassVar[str] = "witness"
    seen: ClassVar[list[int]] = []

    def decide(self, series: Series) -> base.Decision | None:
        """The decision of mean reversion."""
        self.seen.append(int(series.open_time[-1]))
        return super().decide(series)


@dataclass
class Stage:
    """One database, one exchange; `held` is the stack of a process, whose clock may be `off` by some seconds."""

    clock: Clock
    standin: StandIn
    url: str
    database: db.Database
    held: stack.Stack
    opened: AsyncExitStack
    off: float = 0.0

    def now(self) -> datetime:
        """The clock of our machine."""
        return START + timedelta(seconds=self.clock.seconds - 1000 + self.off)

    def skip(self, seconds: float) -> None:
        """So much time passes, for everybody."""
        self.clock.seconds += seconds

    def close_candle(self, count: int = 1, *, after: float = 2.0) -> None:
        """It is `after` seconds past the next close (or the one `count` closes on) by the exchange's clock."""
        at = self.standin.now.timestamp()
        self.skip(at // 3600 * 3600 + 3600 * count + after - at)

    def write(self, *moves: tuple[int, float], symbol: str = BTC) -> None:
        """The market of the symbol has these closes."""
        frames = self.standin.markets[symbol.replace("/", "")].frames
        frames["1h"] = with_candles(frames["1h"], *moves)

    async def scan(self, *watches: catalogue.Watch, budget: float = 2.0, **urls: str) -> scan.Scan:
        """The scan of a process that starts now; `urls` for other exchanges than binance."""
        book = self.held.catalogue.model_copy(update={"watches": watches or (watch(),)})
        doors = await self.opened.enter_async_context(exchange.Exchanges(api_url=self.url))
        for name, url in {"binance": self.url, **urls}.items():
            doors._open[name] = exchange.Exchange(name, api_url=url, budget=budget, monotonic=self._monotonic)
        return scan.Scan(replace(self.held, catalogue=book), doors)

    def _monotonic(self) -> float:
        # The door's clock runs too, so that requests take their turns.
        return self.clock.seconds + time.monotonic()

    async def pay(self, *, plan: str = "all") -> models.Identity:
        """Somebody who may have the signals of the plan from now on."""
        async with self.database.transaction() as session:
            return await people.payer(session, self.now(), plan=plan, days=300)

    async def rows(self, table: type[Any]) -> Sequence[Any]:
        """All rows of a table, oldest first."""
        async with self.database.reading() as session:
            return (await session.scalars(select(table).order_by(*table.__table__.primary_key))).all()

    async def signals(self) -> list[int]:
        """The indices of the candles that made a signal."""
        return [(row.candle - opening(0)) // HOUR for row in await self.rows(models.Signal)]

    async def mark(self) -> models.ScanMark | None:
        """How far the first watch was judged."""
        rows = await self.rows(models.ScanMark)
        return rows[0] if rows else None

    async def alarms(self) -> list[str]:
        """The texts of the open alarms."""
        async with self.database.reading() as session:
            report = await health.report(session, now=self.now())
        return [alarm.text for alarm in report.alarms]


def world(clock: Clock) -> StandIn:
    """An exchange with calm markets of BTC and ETH."""
    frames = {BTC: {"1h": calm()}, ETH: {"1h": calm()}}
    return StandIn(History(), frames, start=START, monotonic=clock)


def notes(verdicts: Sequence[judge.Verdict]) -> list[str]:
    """What was said about each watch."""
    return [verdict.note for verdict in verdicts]
