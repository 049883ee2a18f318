"""The door to the exchanges, against the exchange stand-in; the clock of the exchange is turned by the test."""

import asyncio
import gc
import time
import warnings
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, getcontext, localcontext

import aiohttp
import pytest

from core import errors
from core.market import candles, exchange, refusals
from tests.sandbox import market_history
from tests.sandbox.exchange import Exchange as StandIn
from tests.sandbox.history import History
from tests.sandbox.server import serving

HOUR = 3_600_000
START = datetime(2023, 1, 20, 0, 0, 2, tzinfo=UTC)
NOW = int(START.timestamp() * 1000)
SINCE, UNTIL = datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 2, 1, tzinfo=UTC)
BTC = "BTC/USDT"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def standin(clock: Clock) -> StandIn:
    base = market_history.simulate(BTC, SINCE, UNTIL)
    frames = {frame: market_history.aggregate(base, frame) for frame in ("5m", "1h")}
    return StandIn(History(), {BTC: frames}, start=START, monotonic=clock)


@pytest.fixture
async def url(standin: StandIn) -> AsyncIterator[str]:
    async with serving(standin.app) as url:
        yield url


@pytest.fixture
async def binance(url: str, clock: Clock) -> AsyncIterator[exchange.Exchange]:
    # The door's own clock runs, so that requests take their turns; the clock fixture only lets bans end.
    def monotonic() -> float:
        return clock.seconds + time.monotonic()

    async with exchange.Exchange("binance", api_url=url, budget=2.0, monotonic=monotonic) as opened:
        yield opened


def asked(standin: StandIn, path: str = "klines") -> int:
    return len(standin.history.of("exchange_request", path=f"/api/v3/{path}"))


async def latest(door: exchange.Exchange, count: int = 3) -> list[candles.Candle]:
    now = await door.now_ms(BTC)
    return await door.closed(BTC, "1h", since=candles.newest_due("1h", now) - (count - 1) * HOUR, now_ms=now)


async def test_prices_come_exact_and_ticks_from_the_market(binance: exchange.Exchange, standin: StandIn) -> None:
    hours = standin.markets["BTCUSDT"].frames["1h"]
    at = int(hours.ts.searchsorted(NOW)) - 2
    last = (await latest(binance))[-1]
    assert last.open_time == hours.ts[at] == datetime(2023, 1, 19, 23, tzinfo=UTC).timestamp() * 1000
    assert [str(value) for value in last[1:5]] == [
        f"{column[at]:.2f}".rstrip("0").rstrip(".") for column in (hours.open, hours.high, hours.low, hours.close)
    ]
    assert await binance.tick(BTC) == Decimal("0.01")


async def test_a_long_history_comes_in_pages(binance: exchange.Exchange, standin: StandIn) -> None:
    since = int(SINCE.timestamp() * 1000)
    pages = [page async for page in binance.pages(BTC, "5m", since=since, now_ms=NOW)]
    assert [len(page) for page in pages] == [1000] * 5 + [19 * 288 - 5000]
    whole = [candle.open_time for page in pages for candle in page]
    assert whole == list(range(since, whole[-1] + 1, 300_000))
    assert asked(standin) == 6


async def test_c01_no_candle_is_seen_before_it_closed(
    binance: exchange.Exchange, standin: StandIn, clock: Clock
) -> None:
    standin.skip_to(START + timedelta(minutes=59, seconds=50))
    for _ in range(24):
        clock.seconds += 0.5
        now = await binance.now_ms(BTC)
        newest = (await latest(binance))[-1]
        assert newest.open_time + HOUR <= now
        assert newest.open_time == candles.newest_due("1h", now)
    assert newest.open_time == NOW - 2000


async def test_c01_an_exchange_that_hides_the_open_candle_gives_the_same(
    binance: exchange.Exchange, standin: StandIn
) -> None:
    seen = await latest(binance)
    standin.faults.add("no_open")
    assert await latest(binance) == seen


async def test_c02_a_late_candle_is_awaited_and_then_there(
    binance: exchange.Exchange, standin: StandIn, clock: Clock
) -> None:
    standin.faults.add("late", times=None, seconds=20)
    newest = (await latest(binance))[-1].open_time
    assert candles.arrival(newest, "1h", await binance.now_ms(BTC), patience=60) is candles.Arrival.AWAITED
    clock.seconds += 18
    newest = (await latest(binance))[-1].open_time
    assert candles.arrival(newest, "1h", await binance.now_ms(BTC), patience=60) is candles.Arrival.HERE


async def test_c02_a_correction_shows_when_the_candle_is_read_again(
    binance: exchange.Exchange, standin: StandIn, clock: Clock
) -> None:
    standin.faults.add("corrected", times=None, seconds=60)
    before = await latest(binance)
    clock.seconds += 60
    after = await latest(binance)
    assert before[:-1] == after[:-1]
    assert before[-1].close != after[-1].close


@pytest.mark.parametrize("kind", ["unsorted", "duplicates"])
async def test_c03_disorder_is_put_right(binance: exchange.Exchange, standin: StandIn, kind: str) -> None:
    seen = await latest(binance, 30)
    standin.faults.add(kind)
    assert await latest(binance, 30) == seen


async def test_c03_a_gap_is_passed_on_as_a_gap(binance: exchange.Exchange, standin: StandIn) -> None:
    standin.faults.add("gap", rows=3)
    assert candles.missing(await latest(binance, 30), "1h") == 3


@pytest.mark.parametrize("kind", ["html", "empty", "null_rows", "null", "nan", "inf", "negative"])
async def test_c04_a_strange_answer_is_an_outage(binance: exchange.Exchange, standin: StandIn, kind: str) -> None:
    standin.faults.add(kind)
    with pytest.raises(refusals.UnusableError):
        await latest(binance)
    assert len(await latest(binance)) == 3


@pytest.mark.parametrize("path", ["time", "exchangeInfo"])
async def test_c04_a_maintenance_page_is_not_the_end_of_a_market(
    binance: exchange.Exchange, standin: StandIn, path: str
) -> None:
    standin.faults.add("html", path=path)
    with pytest.raises(refusals.UnusableError):
        await latest(binance)
    assert len(await latest(binance)) == 3


async def test_c04_known_markets_survive_an_outage_of_their_list(
    binance: exchange.Exchange, standin: StandIn, clock: Clock
) -> None:
    await latest(binance)
    standin.faults.add("502", path="exchangeInfo")
    clock.seconds += exchange.MARKETS_LIVE
    assert len(await latest(binance)) == 3


@pytest.mark.parametrize("kind", ["451", "403", "no_key"])
async def test_c06_a_blocked_region_waits_for_the_operator(
    binance: exchange.Exchange, standin: StandIn, clock: Clock, kind: str
) -> None:
    standin.faults.add(kind, times=None)
    with pytest.raises(refusals.BarredError, match="does not serve this machine"):
        await latest(binance)
    before = len(standin.history.of("exchange_request"))
    with pytest.raises(refusals.BarredError):
        await latest(binance)
    assert len(standin.history.of("exchange_request")) == before  # it is not hammered meanwhile
    standin.faults.clear()
    clock.seconds += exchange.BARRED_FOR
    assert len(await latest(binance)) == 3


async def test_unknown_and_delisted_markets_wait_for_the_operator(
    binance: exchange.Exchange, standin: StandIn, clock: Clock
) -> None:
    with pytest.raises(refusals.BarredError, match="no market DOGE/USDT"):
        await binance.tick("DOGE/USDT")
    with pytest.raises(refusals.BarredError, match="no 7h candles"):
        await binance.closed(BTC, "7h", since=0, now_ms=NOW)
    standin.delist(BTC)
    clock.seconds += exchange.MARKETS_LIVE
    with pytest.raises(refusals.BarredError, match="not traded"):
        await latest(binance)


@pytest.mark.parametrize(("kind", "seconds"), [("429", 30), ("418", 600)])
async def test_a_ban_is_waited_out_without_a_request(
    binance: exchange.Exchange, standin: StandIn, clock: Clock, kind: str, seconds: int
) -> None:
    await latest(binance)
    standin.faults.add(kind, seconds=seconds)
    with pytest.raises(refusals.BannedError) as raised:
        await latest(binance)
    assert raised.value.seconds == seconds
    before = len(standin.history.of("exchange_request"))
    clock.seconds += seconds - 5
    with pytest.raises(refusals.BannedError) as raised:
        await latest(binance)
    assert raised.value.seconds <= 5
    assert len(standin.history.of("exchange_request")) == before
    clock.seconds += 5
    assert len(await latest(binance)) == 3


@pytest.mark.parametrize("skew", [-90, 90])
async def test_c07_a_wrong_local_clock_changes_nothing(
    binance: exchange.Exchange, standin: StandIn, monkeypatch: pytest.MonkeyPatch, skew: int
) -> None:
    seen = await latest(binance)
    monkeypatch.setattr(time, "time", lambda: NOW / 1000 + skew)
    assert await latest(binance) == seen
    standin.skew = skew
    assert (await latest(binance))[-1].open_time == candles.newest_due("1h", NOW + skew * 1000)


async def test_c07_a_clock_set_back_stalls_no_request(
    binance: exchange.Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1.0)
    begun = time.monotonic()
    for _ in range(5):
        await latest(binance)
    assert time.monotonic() - begun < 1.5


async def test_c07_without_a_time_question_the_answers_date_tells(binance: exchange.Exchange) -> None:
    binance._client.has["fetchTime"] = False

    async def ticker(symbol: str) -> object:
        return await binance._client.publicGetTickerPrice({"symbol": "BTCUSDT"})

    binance._client.fetch_ticker = ticker
    assert abs(await binance.now_ms(BTC) / 1000 - time.time()) < 3


async def test_c09_a_hanging_exchange_delays_no_other_one(
    url: str, standin: StandIn, binance: exchange.Exchange
) -> None:
    await latest(binance)
    slow = StandIn(History(), {BTC: dict(standin.markets["BTCUSDT"].frames)}, start=START)
    slow.faults.add("hang", path="time", times=None)

    async def timed(door: exchange.Exchange) -> float:
        begun = time.monotonic()
        if door is binance:
            await latest(door)
        else:
            with pytest.raises(errors.UnreachableError, match=r"did not answer within 0\.4 seconds"):
                await latest(door)
        return time.monotonic() - begun

    async with serving(slow.app) as other, exchange.Exchange("binance", api_url=other, budget=0.4) as hanging:
        took = await asyncio.gather(timed(hanging), timed(binance))
    assert 0.35 < took[0] < 1.0
    assert took[1] < 0.35


@pytest.mark.parametrize("kind", ["drop", "500", "502", "503"])
async def test_an_outage_is_named_as_one(binance: exchange.Exchange, standin: StandIn, kind: str) -> None:
    await latest(binance)
    standin.faults.add(kind, times=2)
    with pytest.raises(errors.UnreachableError, match="binance is not available"):
        await latest(binance)
    standin.faults.clear()
    assert len(await latest(binance)) == 3


async def test_requests_beyond_a_burst_are_spaced(binance: exchange.Exchange) -> None:
    await binance.tick(BTC)
    begun = time.monotonic()
    await asyncio.gather(*(binance.now_ms(BTC) for _ in range(exchange.BURST + 6)))
    assert time.monotonic() - begun > 5 * binance._client.rateLimit / 1000


async def test_c11_what_ccxt_sets_for_decimals_stays_with_it(url: str) -> None:
    with localcontext() as common:
        common.rounding = ROUND_HALF_EVEN
        async with exchange.Exchange("binance", api_url=url) as door:
            await door.tick(BTC)
            await door.closed(BTC, "1h", since=NOW - 5 * HOUR, now_ms=NOW)
        assert getcontext().rounding == ROUND_HALF_EVEN


async def test_c10_each_exchange_is_opened_once_and_closed(url: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with exchange.Exchanges(api_url=url) as doors:
            assert doors["binance"] is doors["binance"]
            await latest(doors["binance"])
            session = doors["binance"]._client.session
            assert isinstance(session, aiohttp.ClientSession)
        assert session.closed
        del doors
        gc.collect()


async def test_c10_many_opened_and_closed_leave_nothing_behind(url: str) -> None:
    def sessions() -> int:
        gc.collect()
        return sum(isinstance(thing, aiohttp.ClientSession) for thing in gc.get_objects())

    before = sessions()
    for _ in range(3):
        async with exchange.Exchange("binance", api_url=url) as door:
            await door.now_ms(BTC)
    assert sessions() == before


def test_an_unknown_exchange_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(errors.ConfigError, match=r"no exchange 'binanc'\. Did you mean binance"):
        exchange.Exchanges()["binanc"]
