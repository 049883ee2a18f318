"""The exchange stand-in, asked by the real ccxt, on a clock that the test turns."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import ccxt.async_support as ccxt
import numpy as np
import pytest

from tests.sandbox import market_history
from tests.sandbox.exchange import WEIGHT_LIMIT, Exchange
from tests.sandbox.history import History
from tests.sandbox.server import serving

HOUR = 3_600_000
START = datetime(2023, 2, 1, 0, 0, 2, tzinfo=UTC)
SINCE, UNTIL = datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 3, 1, tzinfo=UTC)
RECORDED = market_history.SHARED / "binance_http_recorded.json"
needs_recorded = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded data does not stand beside the project")


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def simulated(*timeframes: str) -> dict[str, dict[str, market_history.Candles]]:
    base = market_history.simulate("BTC/USDT", SINCE, UNTIL)
    return {"BTC/USDT": {frame: market_history.aggregate(base, frame) for frame in timeframes}}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def exchange(clock: Clock) -> Exchange:
    return Exchange(History(), simulated("1h", "5m"), start=START, monotonic=clock)


@pytest.fixture
async def url(exchange: Exchange) -> AsyncIterator[str]:
    async with serving(exchange.app) as url:
        yield url


@pytest.fixture
async def client(url: str) -> AsyncIterator[Any]:
    options = {"fetchCurrencies": False, "fetchMarkets": {"types": ["spot"]}, "defaultType": "spot"}
    binance = ccxt.binance({"options": options, "timeout": 300, "enableRateLimit": False})
    binance.has["fetchCurrencies"], binance.timeout_on_exit = False, 0
    binance.urls["api"] = {name: re.sub("^https://[^/]+", url, old) for name, old in binance.urls["api"].items()}
    async with binance:
        yield binance


@pytest.fixture
async def web(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(url) as session:
        yield session


async def test_ccxt_loads_markets_with_their_precision(client: Any) -> None:
    market = (await client.load_markets())["BTC/USDT"]
    assert market["active"]
    assert market["spot"]
    assert market["precision"]["price"] == 0.01
    assert market["precision"]["amount"] == 0.00001
    assert client.price_to_precision("BTC/USDT", 16541.774) == "16541.77"


async def test_time_is_the_exchanges_own_and_may_be_skewed(exchange: Exchange, client: Any) -> None:
    assert await client.fetch_time() == START.timestamp() * 1000
    exchange.skew = -90
    assert await client.fetch_time() == START.timestamp() * 1000 - 90_000
    exchange.skip_to_next_close()
    assert exchange.now.replace(microsecond=0) == datetime(2023, 2, 1, 0, 0, 2, tzinfo=UTC)


async def test_the_latest_rows_end_with_the_open_candle(exchange: Exchange, client: Any, clock: Clock) -> None:
    clock.seconds += 1798 + 60
    rows = await client.fetch_ohlcv("BTC/USDT", "1h", None, 5)
    opens = [datetime.fromtimestamp(row[0] / 1000, UTC) for row in rows]
    assert opens == [datetime(2023, 2, 1, tzinfo=UTC) - timedelta(hours=n) for n in (4, 3, 2, 1, 0)]
    whole = exchange.markets["BTCUSDT"].frames["1h"]
    at = int(np.searchsorted(whole.ts, rows[-1][0]))
    fine = exchange.markets["BTCUSDT"].frames["5m"]
    begin = int(np.searchsorted(fine.ts, rows[-1][0]))
    assert rows[-1][1] == whole.open[at]
    assert rows[-1][5] < whole.volume[at]
    assert rows[-1][2] >= fine.high[begin : begin + 6].max()
    assert whole.low[at] <= rows[-1][3] <= rows[-1][4] <= rows[-1][2] <= whole.high[at]
    assert rows[-2][1:] == [c[at - 1] for c in (whole.open, whole.high, whole.low, whole.close, whole.volume)]


async def test_rows_from_a_start_and_up_to_an_end(client: Any) -> None:
    since = client.parse8601("2023-01-10T00:00:00Z")
    rows = await client.fetch_ohlcv("BTC/USDT", "1h", since, 24)
    assert [row[0] for row in rows] == [since + n * HOUR for n in range(24)]
    rows = await client.fetch_ohlcv("BTC/USDT", "1h", since, 24, {"until": since + 2 * HOUR})
    assert [row[0] for row in rows] == [since, since + HOUR, since + 2 * HOUR]
    assert len(await client.fetch_ohlcv("BTC/USDT", "5m", since, 5000)) == 1000
    assert await client.fetch_ohlcv("BTC/USDT", "1h", client.parse8601("2023-02-02T00:00:00Z"), 9) == []


async def test_other_timeframes_are_made_from_finer_ones(client: Any) -> None:
    four = await client.fetch_ohlcv("BTC/USDT", "4h", client.parse8601("2023-01-10T04:00:00Z"), 1)
    ones = await client.fetch_ohlcv("BTC/USDT", "1h", four[0][0], 4)
    assert four[0][1] == ones[0][1]
    assert four[0][2] == max(row[2] for row in ones)
    assert four[0][3] == min(row[3] for row in ones)
    assert four[0][4] == ones[-1][4]
    assert four[0][5] == pytest.approx(sum(row[5] for row in ones), abs=1e-7)


async def test_rows_have_binances_shape(web: aiohttp.ClientSession) -> None:
    async with web.get("/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=2") as answer:
        rows = await answer.json()
        assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "2"
    kinds = [int, str, str, str, str, str, int, str, int, str, str, str]
    assert [[type(value) for value in row] for row in rows] == [kinds, kinds]
    assert rows[0][6] == rows[0][0] + HOUR - 1
    assert all(re.fullmatch(r"\d+\.\d{8}", value) for value in rows[0][1:6])


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("symbol=NOPEUSDT&interval=1h", -1121),
        ("symbol=BTCUSDT&interval=7h", -1120),
        ("symbol=BTCUSDT", -1102),
        ("interval=1h", -1102),
        ("symbol=BTCUSDT&interval=1h&limit=x", -1100),
    ],
)
async def test_wrong_questions_get_binances_codes(web: aiohttp.ClientSession, query: str, code: int) -> None:
    async with web.get(f"/api/v3/klines?{query}") as answer:
        assert answer.status == 400
        assert (await answer.json())["code"] == code


async def test_exchange_info_of_chosen_symbols(web: aiohttp.ClientSession) -> None:
    async with web.get("/api/v3/exchangeInfo", params={"symbols": '["BTCUSDT"]'}) as answer:
        assert [row["symbol"] for row in (await answer.json())["symbols"]] == ["BTCUSDT"]
    async with web.get("/api/v3/exchangeInfo", params={"symbol": "NOPE"}) as answer:
        assert (answer.status, (await answer.json())["msg"]) == (400, "Invalid symbol.")


@needs_recorded
async def test_exchange_info_has_only_fields_that_binance_sends(web: aiohttp.ClientSession) -> None:
    recorded = json.loads(RECORDED.read_text())["routes"]["/api/v3/exchangeInfo"]["GET"][0]["data"]
    theirs = next(row for row in recorded["symbols"] if row["symbol"] == "BTCUSDT")
    async with web.get("/api/v3/exchangeInfo") as answer:
        ours = await answer.json()
    assert set(ours) == set(recorded)
    assert set(ours["symbols"][0]) <= set(theirs)
    for row in ours["symbols"][0]["filters"]:
        assert set(row) <= set(next(f for f in theirs["filters"] if f["filterType"] == row["filterType"]))
    assert ours["symbols"][0]["filters"][0]["tickSize"] == theirs["filters"][0]["tickSize"]


async def test_the_last_price_is_the_open_candles_close(client: Any, web: aiohttp.ClientSession, clock: Clock) -> None:
    clock.seconds += 777
    row = (await client.fetch_ohlcv("BTC/USDT", "1h", None, 1))[0]
    async with web.get("/api/v3/ticker/price?symbol=BTCUSDT") as answer:
        assert float((await answer.json())["price"]) == row[4]


async def test_a_delisted_market_stands_still(exchange: Exchange, client: Any) -> None:
    exchange.delist("BTC/USDT")
    exchange.skip_to_next_close()
    exchange.skip_to_next_close()
    assert (await client.load_markets())["BTC/USDT"]["active"] is False
    rows = await client.fetch_ohlcv("BTC/USDT", "1h", None, 3)
    assert rows[-1][0] == datetime(2023, 2, 1, tzinfo=UTC).timestamp() * 1000
    assert len(exchange.history.of("exchange_candle_closed", timeframe="1h")) == 1


def test_the_clock_runs_at_real_speed_and_skips_to_the_next_close(exchange: Exchange, clock: Clock) -> None:
    clock.seconds += 10
    assert exchange.now == START + timedelta(seconds=10)
    assert exchange.skip_to_next_close() == datetime(2023, 2, 1, 1, 0, 2, tzinfo=UTC)
    assert exchange.skip_to_next_close("5m", after=1.5) == datetime(2023, 2, 1, 1, 5, 1, 500_000, tzinfo=UTC)
    assert exchange.skip_to_next_close("1w") == datetime(2023, 2, 6, 0, 0, 2, tzinfo=UTC)


def test_every_close_on_the_way_is_told_once(exchange: Exchange) -> None:
    exchange.skip_to_next_close()
    exchange.skip_to_next_close()
    hours = exchange.history.of("exchange_candle_closed", symbol="BTC/USDT", timeframe="1h")
    first = int(datetime(2023, 2, 1, tzinfo=UTC).timestamp()) * 1000
    assert [row["open_time"] for row in hours] == [first, first + HOUR]
    assert len(exchange.history.of("exchange_candle_closed", timeframe="5m")) == 24


async def test_play_ends_with_the_history(clock: Clock) -> None:
    exchange = Exchange(History(), simulated("1h"), start=UNTIL - timedelta(hours=5), monotonic=clock)
    await asyncio.wait_for(exchange.play(0.0), 5)
    assert exchange.now == UNTIL + timedelta(seconds=2)
    assert len(exchange.history.of("exchange_candle_closed", timeframe="1h")) == 5


async def test_requests_are_in_the_history_with_their_weight(exchange: Exchange, client: Any) -> None:
    await client.fetch_ohlcv("BTC/USDT", "1h", None, 3)
    assert [(row["path"], row["status"], row["used"]) for row in exchange.history.of("exchange_request")] == [
        ("/api/v3/exchangeInfo", 200, 20),
        ("/api/v3/klines", 200, 22),
    ]


async def test_more_weight_than_allowed_in_a_minute_is_refused(client: Any, exchange: Exchange, clock: Clock) -> None:
    await client.load_markets()
    exchange._used = WEIGHT_LIMIT - 1
    with pytest.raises(ccxt.DDoSProtection):
        await client.fetch_ohlcv("BTC/USDT", "1h")
    clock.seconds += 60
    assert await client.fetch_ohlcv("BTC/USDT", "1h")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("hang", ccxt.RequestTimeout),
        ("drop", ccxt.ExchangeNotAvailable),
        ("500", ccxt.OperationFailed),
        ("502", ccxt.ExchangeNotAvailable),
        ("503", ccxt.ExchangeNotAvailable),
        ("403", ccxt.ExchangeNotAvailable),
        ("451", ccxt.ExchangeNotAvailable),
        ("429", ccxt.DDoSProtection),
        ("418", ccxt.DDoSProtection),
        ("no_key", ccxt.AuthenticationError),
    ],
)
async def test_refusals_become_ccxts_errors_once(client: Any, exchange: Exchange, kind: str, error: type) -> None:
    await client.load_markets()
    # aiohttp itself asks once more when a kept-alive connection is dropped, so a single drop goes unseen.
    exchange.faults.add(kind, symbol="BTC/USDT", times=2 if kind == "drop" else 1)
    with pytest.raises(error) as raised:
        await client.fetch_ohlcv("BTC/USDT", "1h", None, 3)
    assert type(raised.value) is error
    assert len(await client.fetch_ohlcv("BTC/USDT", "1h", None, 3)) == 3


async def test_refusals_that_end_say_when(exchange: Exchange, web: aiohttp.ClientSession) -> None:
    exchange.faults.add("429", path="time", seconds=7)
    exchange.faults.add("418", path="ping", seconds=120)
    for path, status, seconds in (("time", 429, "7"), ("ping", 418, "120")):
        async with web.get(f"/api/v3/{path}") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (status, seconds)


async def test_an_unknown_symbol_is_a_bad_symbol(client: Any, exchange: Exchange) -> None:
    await client.load_markets()
    with pytest.raises(ccxt.BadSymbol):
        await client.fetch_ohlcv("DOGE/USDT", "1h")
    del exchange.markets["BTCUSDT"]
    with pytest.raises(ccxt.BadSymbol):
        await client.fetch_ohlcv("BTC/USDT", "1h")


async def test_bent_payloads_pass_through_ccxt_unnoticed(client: Any, exchange: Exchange) -> None:
    async def rows(kind: str) -> list[Any]:
        exchange.faults.add(kind)
        answer: list[Any] = await client.fetch_ohlcv("BTC/USDT", "1h", None, 6)
        return answer

    right = await client.fetch_ohlcv("BTC/USDT", "1h", None, 6)
    assert await rows("empty") == []
    assert all(value is None for row in await rows("html") for value in row[1:])
    assert all(value is None for row in await rows("null_rows") for value in row)
    assert (await rows("null"))[-2][4] is None
    assert np.isnan((await rows("nan"))[-2][4])
    assert np.isinf((await rows("inf"))[-2][4])
    assert (await rows("negative"))[-2][4] == -1
    assert await rows("unsorted") == right  # ccxt sorts
    assert await rows("duplicates") == [row for row in right[-3:] for _ in range(2)]  # cut to the limit
    assert await rows("gap") == [right[0], right[4], right[5]]
    assert await rows("no_open") == right[:-1]


async def test_a_maintenance_page_looks_to_ccxt_like_an_exchange_without_markets(
    client: Any, exchange: Exchange
) -> None:
    exchange.faults.add("html", path="exchangeInfo")
    exchange.faults.add("html", path="time")
    assert await client.load_markets() == {}
    assert await client.fetch_time() is None


async def test_a_late_candle_comes_at_its_time(client: Any, exchange: Exchange, clock: Clock) -> None:
    exchange.faults.add("late", times=None, seconds=20)
    closed = datetime(2023, 1, 31, 23, tzinfo=UTC).timestamp() * 1000
    assert (await client.fetch_ohlcv("BTC/USDT", "1h", None, 3))[-1][0] == closed - HOUR
    clock.seconds += 18
    assert (await client.fetch_ohlcv("BTC/USDT", "1h", None, 3))[-1][0] == closed


async def test_a_stale_exchange_still_shows_the_closed_candle_half_done(client: Any, exchange: Exchange) -> None:
    right = (await client.fetch_ohlcv("BTC/USDT", "1h", None, 3))[-2]
    exchange.faults.add("stale", seconds=600)
    last = (await client.fetch_ohlcv("BTC/USDT", "1h", None, 3))[-1]
    assert last[0] == right[0]
    assert last[5] < right[5]


async def test_a_corrected_candle_changes_its_close(client: Any, exchange: Exchange, clock: Clock) -> None:
    exchange.faults.add("corrected", times=None, seconds=60)
    before = (await client.fetch_ohlcv("BTC/USDT", "1h", None, 3))[-2]
    clock.seconds += 58
    after = (await client.fetch_ohlcv("BTC/USDT", "1h", None, 3))[-2]
    assert before[0] == after[0]
    assert before[4] != after[4]


def test_an_unknown_fault_is_refused(exchange: Exchange) -> None:
    with pytest.raises(ValueError, match="no fault 'rain'"):
        exchange.faults.add("rain")


@needs_recorded
async def test_binances_halt_is_simply_missing_rows(clock: Clock) -> None:
    markets, label = market_history.load_markets(["BTC/USDT"], ["1h", "5m"], api=None)
    assert label == "real Binance history"
    exchange = Exchange(History(), markets, start=datetime(2023, 3, 24, 16, tzinfo=UTC), monotonic=clock)
    async with serving(exchange.app) as url, aiohttp.ClientSession(url) as web:
        answer = await web.get("/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=5")
        hours = [datetime.fromtimestamp(row[0] / 1000, UTC).hour for row in await answer.json()]
    assert hours == [11, 12, 14, 15, 16]
