"""A stand-in for Binance's public REST interface that plays history, quickly, with every candle fresh.

Its clock runs at real speed and jumps to just after the next candle close when asked: days pass in seconds, and yet
each candle is only seconds old when the product sees it.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from aiohttp import web

from tests.sandbox import exchange_faults, exchange_rows, market_history
from tests.sandbox.history import History

WEIGHTS = {"ping": 1, "time": 1, "exchangeInfo": 20, "klines": 2, "price": 4}
WEIGHT_LIMIT = 6000
INTERVALS = {*market_history.LENGTHS}

Route = Callable[[web.Request, list[exchange_faults.Fault]], Any]


class RefusedError(Exception):
    """An answer with Binance's error body."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.body, self.status = {"code": code, "msg": message}, status


class Exchange:
    """Serves `markets` ({"BTC/USDT": {"1h": candles}}) as they were known at its own time, which begins at `start`.

    `skew` (seconds, may be changed at any time) is added to its whole clock: it is the exchange that is right and the
    reader's clock that is off. `monotonic` makes the clock run.
    """

    def __init__(
        self,
        history: History,
        markets: dict[str, dict[str, market_history.Candles]],
        *,
        start: datetime,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.history = history
        self.markets = {
            symbol.replace("/", ""): exchange_rows.Market(symbol, dict(markets[symbol])) for symbol in markets
        }
        self.label = market_history.label_of(markets)
        self.skew = 0.0
        self.faults = exchange_faults.Faults()
        self._monotonic = monotonic
        self._base, self._mark = start.astimezone(UTC), monotonic()
        self._told = self._ms()
        self._used, self._minute = 0, 0
        self.app = self._build()

    @property
    def now(self) -> datetime:
        """The exchange's clock, UTC."""
        return self._base + timedelta(seconds=self._monotonic() - self._mark + self.skew)

    @property
    def ends(self) -> datetime:
        """When the last candle of the shortest market closes."""
        last = min(int(c.ts[-1]) + c.length for market in self.markets.values() for c in market.frames.values())
        return datetime.fromtimestamp(last / 1000, UTC)

    def skip_to(self, moment: datetime) -> datetime:
        """The exchange's clock stands at `moment`; candles that closed on the way are in the history."""
        self._base, self._mark = moment.astimezone(UTC) - timedelta(seconds=self.skew), self._monotonic()
        self._tell_closes()
        return self.now

    def skip_to_next_close(self, timeframe: str = "1h", after: float = 2.0) -> datetime:
        """The clock stands `after` seconds past the next close of the timeframe; returns that time."""
        close = int(market_history.opening(self._ms(), timeframe)) + market_history.LENGTHS[timeframe]
        return self.skip_to(datetime.fromtimestamp(close / 1000 + after, UTC))

    async def play(self, every: float, timeframe: str = "1h") -> None:
        """A candle closes every `every` seconds of real time, until cancelled or the history has ended."""
        while self.now < self.ends:
            await asyncio.sleep(every)
            self.skip_to_next_close(timeframe)

    def delist(self, symbol: str) -> None:
        """Trading in the market has ended now: it is listed as BREAK and no new candle opens."""
        self.markets[symbol.replace("/", "")].delisted = self._ms()

    def _ms(self) -> int:
        return round(self.now.timestamp() * 1000)

    def _tell_closes(self) -> None:
        now = self._ms()
        for market in self.markets.values():
            for timeframe, candles in market.frames.items():
                lo = np.searchsorted(candles.ts, self._told - candles.length, "right")
                hi = np.searchsorted(candles.ts, now - candles.length, "right")
                for ts in candles.ts[lo:hi]:
                    if market.delisted is None or ts <= market.delisted:
                        self._tell_close(market.symbol, timeframe, int(ts))
        self._told = max(now, self._told)

    def _tell_close(self, symbol: str, timeframe: str, ts: int) -> None:
        self.history.add("exchange_candle_closed", symbol=symbol, timeframe=timeframe, open_time=ts)

    def _build(self) -> web.Application:
        app = web.Application()
        routes: dict[str, Route] = {
            "ping": lambda *_: {},
            "time": lambda *_: {"serverTime": self._ms()},
            "exchangeInfo": self._exchange_info,
            "klines": self._klines,
            "ticker/price": self._ticker_price,
        }
        for name, route in routes.items():
            app.router.add_get(f"/api/v3/{name}", self._answering(route))
        app.on_shutdown.append(self._release)
        return app

    async def _release(self, app: web.Application) -> None:
        self.faults.over.set()

    def _answering(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            self._tell_closes()
            symbol = self._symbol_of(request)
            met = self.faults.take(request.path, symbol, request.query.get("interval"))
            used = self._weigh(request.path.rsplit("/", 1)[1])
            response = await exchange_faults.strike(met, request, self.faults.over)
            if response is None and used > WEIGHT_LIMIT:
                response = await exchange_faults.INSTEAD["429"](_overuse(), request, self.faults.over)
            response = response or self._plain(route, request, met)
            response.headers["X-MBX-USED-WEIGHT-1M"] = response.headers["X-MBX-USED-WEIGHT"] = str(used)
            self.history.add("exchange_request", path=request.path, symbol=symbol, status=response.status, used=used)
            return response

        return answer

    def _plain(self, route: Route, request: web.Request, met: list[exchange_faults.Fault]) -> web.Response:
        try:
            return web.json_response(route(request, met))
        except RefusedError as refusal:
            return web.json_response(refusal.body, status=refusal.status)

    def _symbol_of(self, request: web.Request) -> str | None:
        market = self.markets.get(request.query.get("symbol", ""))
        return market.symbol if market else None

    def _weigh(self, name: str) -> int:
        minute = int(self._monotonic() // 60)
        if minute != self._minute:
            self._used, self._minute = 0, minute
        self._used += WEIGHTS[name]
        return self._used

    def _market(self, name: str) -> exchange_rows.Market:
        if name not in self.markets:
            raise RefusedError(-1121, "Invalid symbol.")
        return self.markets[name]

    def _klines(self, request: web.Request, met: list[exchange_faults.Fault]) -> Any:
        query = request.query
        market, timeframe = self._market(_needed(query, "symbol")), _needed(query, "interval")
        if timeframe not in INTERVALS or market.candles(timeframe) is None:
            raise RefusedError(-1120, "Invalid interval.")
        now, length = self._ms(), market_history.LENGTHS[timeframe]
        span = exchange_rows.Span(
            _number(query, "startTime"), _number(query, "endTime"), _number(query, "limit") or 500
        )
        rows = exchange_rows.klines(market, timeframe, now - exchange_faults.lag(met), span)
        return exchange_faults.bend(met, rows, now, length)

    def _ticker_price(self, request: web.Request, met: list[exchange_faults.Fault]) -> Any:
        if "symbol" in request.query:
            return self._price(self._market(request.query["symbol"]))
        return [self._price(market) for market in self.markets.values()]

    def _price(self, market: exchange_rows.Market) -> dict[str, str]:
        price = market.price(min(self._ms(), market.delisted or self._ms()))
        return {"symbol": market.id, "price": exchange_rows.text(price or 0.0)}

    def _exchange_info(self, request: web.Request, met: list[exchange_faults.Fault]) -> Any:
        return {
            "timezone": "UTC",
            "serverTime": self._ms(),
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_LIMIT},
                {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61000},
            ],
            "exchangeFilters": [],
            "symbols": [_listing(market) for market in self._asked(request)],
        }

    def _asked(self, request: web.Request) -> list[exchange_rows.Market]:
        if "symbol" in request.query:
            return [self._market(request.query["symbol"])]
        if "symbols" in request.query:
            try:
                names = json.loads(request.query["symbols"])
            except ValueError:
                raise _malformed("symbols") from None
            return [self._market(str(name)) for name in names]
        return list(self.markets.values())


def _needed(query: Any, name: str) -> str:
    if not query.get(name):
        raise RefusedError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return str(query[name])


def _number(query: Any, name: str) -> int | None:
    try:
        return int(query[name]) if name in query else None
    except ValueError:
        raise _malformed(name) from None


def _malformed(name: str) -> RefusedError:
    return RefusedError(-1100, f"Illegal characters found in parameter '{name}'.")


def _overuse() -> exchange_faults.Fault:
    return exchange_faults.Fault("429", "", None, None, 1, 60, 0)


def _listing(market: exchange_rows.Market) -> dict[str, Any]:
    base, quote = market.symbol.split("/")
    precisions = dict.fromkeys(("baseAssetPrecision", "quotePrecision", "quoteAssetPrecision"), 8)
    commissions = dict.fromkeys(("baseCommissionPrecision", "quoteCommissionPrecision"), 8)
    allowed = (
        "icebergAllowed",
        "ocoAllowed",
        "quoteOrderQtyMarketAllowed",
        "allowTrailingStop",
        "isSpotTradingAllowed",
    )
    return {
        "symbol": market.id,
        "status": "TRADING" if market.delisted is None else "BREAK",
        "baseAsset": base,
        "quoteAsset": quote,
        **precisions,
        **commissions,
        "orderTypes": [
            "LIMIT",
            "LIMIT_MAKER",
            "MARKET",
            "STOP_LOSS",
            "STOP_LOSS_LIMIT",
            "TAKE_PROFIT",
            "TAKE_PROFIT_LIMIT",
        ],
        **dict.fromkeys(allowed, True),
        "isMarginTradingAllowed": False,
        "filters": _filters(market),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"],
    }


def _filters(market: exchange_rows.Market) -> list[dict[str, Any]]:
    tick = f"{Decimal(1).scaleb(-market.decimals):.8f}"
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "97.0", "stepSize": "0.00000000"},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000", "maxNotional": "9000000.00000000"},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
    ]
