"""The candles of the sandbox: recorded, downloaded or simulated, and never unlabelled."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.sandbox import market_history
from tests.sandbox.exchange import Exchange
from tests.sandbox.history import History
from tests.sandbox.server import serving

SINCE, UNTIL = datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 2, 1, tzinfo=UTC)
needs_recorded = pytest.mark.skipif(
    not market_history.SHARED.exists(), reason="the recorded data does not stand beside the project"
)


def test_importing_it_opens_no_socket() -> None:
    code = """
import sys
def refuse(event, args):
    if event.startswith(("socket.connect", "socket.getaddrinfo")):
        raise SystemExit(event)
sys.addaudithook(refuse)
import tests.sandbox.market_history
"""
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True, timeout=30)


@needs_recorded
def test_recorded_hours_equal_the_aggregated_five_minutes() -> None:
    hours = market_history.load("ETH/USDT", "1h", until=datetime(2023, 12, 30, tzinfo=UTC), api=None)
    fine = market_history.load("ETH/USDT", "5m", until=datetime(2023, 12, 30, tzinfo=UTC), api=None)
    made = market_history.aggregate(fine, "1h")
    assert hours.label == made.label == "real Binance history"
    for name in ("ts", "open", "high", "low", "close"):
        np.testing.assert_array_equal(getattr(hours, name), getattr(made, name))
    np.testing.assert_allclose(hours.volume, made.volume, atol=1e-4)


@needs_recorded
def test_recorded_history_keeps_the_halt_as_a_gap() -> None:
    hours = market_history.load("BTC/USDT", "1h", api=None)
    assert np.count_nonzero(np.diff(hours.ts) != 3_600_000) == 1
    assert len(market_history.load("BTC/USDT", "15m", api=None)) == pytest.approx(104816 / 3, abs=3)


def test_without_files_and_network_the_market_is_simulated_and_says_so() -> None:
    first = market_history.load("BTC/USDT", "1h", since=SINCE, until=UNTIL, shared=None, api=None)
    again = market_history.load("BTC/USDT", "1h", since=SINCE, until=UNTIL, shared=None, api=None)
    other = market_history.load("ETH/USDT", "1h", since=SINCE, until=UNTIL, shared=None, api=None)
    assert first.label == "simulated market"
    assert len(first) == 31 * 24
    np.testing.assert_array_equal(first.close, again.close)
    assert not np.allclose(np.diff(np.log(first.close)), np.diff(np.log(other.close)))


def test_the_simulated_market_looks_like_one() -> None:
    candles = market_history.simulate("BTC/USDT", SINCE, datetime(2024, 1, 1, tzinfo=UTC))
    assert (candles.low <= np.minimum(candles.open, candles.close)).all()
    assert (candles.high >= np.maximum(candles.open, candles.close)).all()
    assert (candles.low > 0).all()
    assert (candles.volume > 0).all()
    np.testing.assert_array_equal(candles.close, np.round(candles.close, 2))
    moves = np.abs(np.diff(np.log(candles.close)))
    assert 0.0005 < moves.std() < 0.005
    assert np.corrcoef(moves[:-12], moves[12:])[0, 1] > 0.05  # unrest an hour ago foretells unrest now


def test_one_simulated_market_makes_the_label_simulated() -> None:
    options = {"since": SINCE, "until": UNTIL, "api": None}
    _, label = market_history.load_markets(["BTC/USDT", "NOPE/USDT"], ["1h"], **options)
    assert label == "simulated market"


async def test_a_download_equals_its_source_and_is_kept(tmp_path: Path) -> None:
    base = market_history.simulate("BTC/USDT", SINCE, UNTIL)
    exchange = Exchange(History(), {"BTC/USDT": {"5m": base}}, start=UNTIL)

    def load(api: str | None) -> market_history.Candles:
        return market_history.load("BTC/USDT", "15m", since=SINCE, until=UNTIL, shared=None, cache=tmp_path, api=api)

    async with serving(exchange.app) as url:
        loaded = await asyncio.to_thread(load, url)
    assert loaded.label == "real Binance history"
    np.testing.assert_array_equal(loaded.close, market_history.aggregate(base, "15m").close)
    np.testing.assert_array_equal(load(None).ts, loaded.ts)


async def test_a_silent_exchange_is_asked_once_and_one_line_says_so() -> None:
    exchange = Exchange(History(), {}, start=UNTIL)
    exchange.faults.add("html", path="ping", times=None)
    said: list[str] = []

    def load(url: str, timeframe: str) -> market_history.Candles:
        return market_history.load(
            "BTC/USDT", timeframe, since=SINCE, until=UNTIL, shared=None, api=url, say=said.append
        )

    async with serving(exchange.app) as url:
        for timeframe in ("1h", "5m"):
            assert (await asyncio.to_thread(load, url, timeframe)).label == "simulated market"
    assert len(exchange.history.of("exchange_request")) == 1
    assert len(said) == 1


def test_a_broken_cache_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "binance_BTCUSDT_1h_20230101T0000_20230201T0000.npy").write_bytes(b"half")
    candles = market_history.load("BTC/USDT", "1h", since=SINCE, until=UNTIL, shared=None, cache=tmp_path, api=None)
    assert candles.label == "simulated market"


def test_aggregation_leaves_half_buckets_out() -> None:
    fine = market_history.simulate("BTC/USDT", datetime(2023, 1, 1, 0, 5, tzinfo=UTC), UNTIL)
    hours = market_history.aggregate(fine, "1h")
    assert hours.ts[0] == datetime(2023, 1, 1, 1, tzinfo=UTC).timestamp() * 1000
    weeks = market_history.aggregate(fine, "1w")
    assert weeks.ts[0] == datetime(2023, 1, 2, tzinfo=UTC).timestamp() * 1000
    with pytest.raises(ValueError, match="cannot be made"):
        market_history.aggregate(hours, "5m")
