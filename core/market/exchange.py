"""The exchanges, and the only file that imports ccxt: public data only, no keys, every answer checked.

ccxt's own throttle measures by the wall clock and stalls when that is set back, so requests are spaced here, by the
monotonic clock, and every call has an end. ccxt's retries stay off: the next scan is the retry.
"""

import asyncio
import difflib
import email.utils
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from types import TracebackType
from typing import Any, Self

import ccxt.async_support as ccxt
import structlog

from core import errors
from core.market import candles, refusals, ticks, timeframes

PAGE = 1000
BURST = 10
MARKETS_LIVE, _HALTED = 6 * 3600.0, 300.0
"""Seconds after which the list of markets is read again: a delisting is seen within them, the end of a halt sooner."""
MARKETS_BUDGET = 30.0
BARRED_FOR = 900.0
BANNED_FOR = 120.0
_STEP = 300  # candles to step over where an exchange that answers in windows has none

log = structlog.get_logger()


@dataclass
class _Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str:
        return next((text.strip() for key, text in self.headers.items() if key.lower() == name), "")


# Calls share one ccxt instance; what the exchange answered to each is kept apart here.
_answer: ContextVar[_Answer] = ContextVar("_answer")


class Exchange:
    """One exchange over one connection pool; nothing is contacted before the first question.

    `budget` is how many seconds one question may take, waiting for its turn included. `derivatives`: whether markets
    such as BTC/USDT:USDT are wanted too.
    """

    def __init__(
        self,
        name: str,
        *,
        api_url: str = "",
        budget: float = 8.0,
        derivatives: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._client = _client(name, api_url, derivatives=derivatives)
        self._client.on_rest_response = _note
        self._budget = budget
        self._monotonic = monotonic
        self._turn, self._loading = asyncio.Lock(), asyncio.Lock()
        self._next = self._markets_until = self._closed_until = monotonic()
        self._closed: Callable[[float], errors.SignalStackError] = errors.SignalStackError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Every connection to the exchange is closed."""
        await self._client.close()

    async def now_ms(self, symbol: str) -> int:
        """The exchange's clock, epoch milliseconds; ask before asking for candles, so that it is never ahead of them.

        Where the exchange has no such question, the Date of its answer about `symbol` tells (whole seconds).
        """
        if self._client.has["fetchTime"]:
            now = await self._call(self._client.fetch_time)
        else:
            await self._market(symbol)
            now = _date_ms((await self._ask(self._budget, self._client.fetch_ticker, symbol))[1])
        if type(now) is not int or now < 1_000_000_000_000:
            raise refusals.UnusableError(f"{self.name} does not tell its time.")
        return now

    async def tick(self, symbol: str) -> Decimal:
        """The market's smallest step in price; raises DelistedError for one that is unknown or no longer traded."""
        market = await self._market(symbol)
        return _tick(self._client.precisionMode, market["precision"]["price"])

    async def closed(self, symbol: str, timeframe: str, *, since: int, now_ms: int) -> list[candles.Candle]:
        """All closed candles from `since` (epoch milliseconds) to `now_ms` of the exchange's clock, oldest first.

        Raises UnreachableError (also as UnusableError, BannedError) when it may work later, BarredError when it will
        not. An answer without any candle is not believed.
        """
        return [candle async for page in self.pages(symbol, timeframe, since=since, now_ms=now_ms) for candle in page]

    async def pages(
        self, symbol: str, timeframe: str, *, since: int, now_ms: int
    ) -> AsyncIterator[list[candles.Candle]]:
        """The same as `closed`, page by page, for long histories."""
        await self._market(symbol)
        self._check_timeframe(timeframe)
        length, due = timeframes.ms(timeframe), candles.newest_due(timeframe, now_ms)
        at, empty = since, since <= due
        while at <= due:
            limit = min(self._page_limit(symbol), (due - at) // length + 2)
            rows = await self._call(self._client.fetch_ohlcv, symbol, timeframe, at, limit)
            page = [row for row in candles.closed(rows, timeframe, now_ms) if row.open_time >= at]
            if page:
                empty = False
                yield page
            at = page[-1].open_time + length if page else at + _STEP * length
        if empty:
            raise refusals.UnusableError(f"{self.name} answers without any {timeframe} candle of {symbol}.")

    def _check_timeframe(self, timeframe: str) -> None:
        known = list(self._client.timeframes or {})
        if timeframe not in known:
            raise refusals.BarredError(f"{self.name} has no {timeframe} candles; it has {', '.join(known)}.")

    def _page_limit(self, symbol: str) -> int:
        limit = self._client.feature_value(symbol, "fetchOHLCV", "limit", PAGE)
        return min(PAGE, limit) if isinstance(limit, int) and limit > 1 else PAGE

    async def _market(self, symbol: str) -> dict[str, Any]:
        async with self._loading:
            if not self._client.markets or self._monotonic() >= self._markets_until:
                await self._load_markets()
        market: dict[str, Any] | None = self._client.markets.get(symbol)
        if market is None:
            raise refusals.DelistedError(f"{self.name} has no market {symbol}.")
        if market["active"] is False:
            # A halt may be over in minutes, so this is not believed for hours.
            self._markets_until = min(self._markets_until, self._monotonic() + _HALTED)
            raise refusals.DelistedError(f"{symbol} is not traded on {self.name} any more.")
        return market

    async def _load_markets(self) -> None:
        """Not ccxt's load_markets: a maintenance page would leave that with no markets, and every symbol unknown."""
        try:
            found = (await self._ask(MARKETS_BUDGET, self._client.fetch_markets))[0]
            if not found:
                raise refusals.UnusableError(f"{self.name} names no markets.")
        except errors.UnreachableError as error:
            if not self._client.markets:
                raise
            log.warning("market_list_kept", exchange=self.name, error=str(error))
            self._markets_until = self._monotonic() + 60
            return
        with localcontext():
            self._client.set_markets(found)
        self._markets_until = self._monotonic() + MARKETS_LIVE

    async def _call(self, question: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        return (await self._ask(self._budget, question, *args))[0]

    async def _ask(self, budget: float, question: Callable[..., Awaitable[Any]], *args: Any) -> tuple[Any, _Answer]:
        if self._monotonic() < self._closed_until:
            raise self._closed(self._closed_until - self._monotonic())
        answer = _Answer()
        _answer.set(answer)
        try:
            async with asyncio.timeout(budget):
                await self._wait_turn()
                with localcontext():  # ccxt changes how decimals are rounded, for everybody
                    return await question(*args), answer
        except Exception as error:  # ccxt lets through whatever its parsers raise on a strange answer
            raise self._named(error, answer, budget) from error

    async def _wait_turn(self) -> None:
        interval = self._client.rateLimit / 1000
        async with self._turn:
            self._next = max(self._next, self._monotonic() - BURST * interval) + interval
            await asyncio.sleep(max(0.0, self._next - self._monotonic()))

    def _named(self, error: Exception, answer: _Answer, budget: float) -> errors.SignalStackError:
        if isinstance(error, ccxt.DDoSProtection | ccxt.RateLimitExceeded) or answer.status in {418, 429}:
            return self._stop_banned(answer)
        if isinstance(error, ccxt.AuthenticationError) or answer.status in {401, 403, 451}:
            return self._stop_barred(answer)
        if isinstance(error, ccxt.BadSymbol | ccxt.NotSupported):
            self._markets_until = self._monotonic()
            return refusals.BarredError(f"{self.name} does not serve this: {str(error)[:160]}.")
        if isinstance(error, TimeoutError | ccxt.RequestTimeout):
            return errors.UnreachableError(f"{self.name} did not answer within {budget:g} seconds.")
        if isinstance(error, ccxt.BaseError):
            what = f"status {answer.status}" if answer.status else "no answer"
            return errors.UnreachableError(f"{self.name} is not available ({type(error).__name__}, {what}).")
        return refusals.UnusableError(f"{self.name} sent something unreadable ({type(error).__name__}).")

    def _stop_banned(self, answer: _Answer) -> errors.SignalStackError:
        told = answer.header("retry-after")
        seconds = float(told) if re.fullmatch(r"\d{1,6}", told) else BANNED_FOR
        text = f"{self.name} wants no more requests for a while (status {answer.status})."
        return self._stop(max(seconds, 1.0), lambda left: refusals.BannedError(text, left))

    def _stop_barred(self, answer: _Answer) -> errors.SignalStackError:
        text = (
            f"{self.name} does not serve this machine (status {answer.status}): it may block the region. "
            "Use another exchange, or another place for the server."
        )
        return self._stop(BARRED_FOR, lambda _: refusals.BarredError(text))

    def _stop(self, seconds: float, closed: Callable[[float], errors.SignalStackError]) -> errors.SignalStackError:
        self._closed, self._closed_until = closed, self._monotonic() + seconds
        log.error("market_exchange_stopped", exchange=self.name, seconds=seconds, reason=str(closed(seconds)))
        return closed(seconds)


class Exchanges:
    """One instance of each exchange that is asked for, all closed when the block ends.

    `api_url` replaces the address of every exchange; `derivatives` names the exchanges whose derivatives are watched.
    """

    def __init__(self, *, api_url: str = "", derivatives: frozenset[str] = frozenset()) -> None:
        self._api_url, self._derivatives = api_url, derivatives
        self._open: dict[str, Exchange] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(exchange.close() for exchange in self._open.values()), return_exceptions=True)

    def __getitem__(self, name: str) -> Exchange:
        """The exchange that ccxt spells so; raises ConfigError for one it does not know."""
        if name not in self._open:
            self._open[name] = Exchange(name, api_url=self._api_url, derivatives=name in self._derivatives)
        return self._open[name]


def _client(name: str, api_url: str, *, derivatives: bool) -> Any:
    if name not in ccxt.exchanges:
        close = difflib.get_close_matches(name, ccxt.exchanges, 1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise errors.ConfigError(f"CCXT_EXCHANGE: ccxt knows no exchange '{name}'.{hint}")
    # The time-outs that count are ours; `number` keeps prices as the exchange wrote them.
    client = getattr(ccxt, name)({"enableRateLimit": False, "timeout": 60_000, "number": str})
    client.number = str
    client.has["fetchCurrencies"] = False
    client.enableLastHttpResponse = client.enableLastJsonResponse = client.enableLastResponseHeaders = False
    kinds = client.options.get("fetchMarkets")
    if not derivatives and isinstance(kinds, dict) and "types" in kinds:
        client.options.update({"fetchMarkets": {**kinds, "types": ["spot"]}, "defaultType": "spot"})
    if api_url:
        client.urls["api"] = _moved(client.urls["api"], api_url)
    if api_url.startswith("http://"):
        client.timeout_on_exit = 0  # ccxt waits a quarter of a second for TLS to say goodbye
    return client


def _moved(address: Any, api_url: str) -> Any:
    if isinstance(address, dict):
        return {name: _moved(value, api_url) for name, value in address.items()}
    return re.sub(r"^https?://[^/]+", lambda _: api_url, address) if isinstance(address, str) else address


def _note(status: int, _reason: str, _url: str, _method: str, headers: dict[str, str], body: str, *_: Any) -> str:
    answer = _answer.get(None)
    if answer is not None:
        answer.status, answer.headers = status, headers
    return body.strip()


def _date_ms(answer: _Answer) -> int | None:
    try:
        return int(email.utils.parsedate_to_datetime(answer.header("date")).timestamp()) * 1000
    except ValueError:
        return None


def _tick(mode: int, precision: object) -> Decimal:
    if precision is None or mode == ccxt.SIGNIFICANT_DIGITS:
        return ticks.FINEST
    step = ticks.exact(precision)
    if mode == ccxt.DECIMAL_PLACES:
        return Decimal(1).scaleb(-int(step))
    return step if step > 0 else ticks.FINEST
