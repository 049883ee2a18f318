"""Candles from the table, filled up from a real socket, and the report on them."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from core import catalogue, clock, db, errors
from core.backtest import report, source
from core.market import candles, exchange
from tests.core.backtest import dice
from tests.core.signals import stage as stages
from tests.proofs import equality

KEY = candles.Key("binance", "BTC/USDT", "1h")
MARKET = dice.Jumps(seed=11, hours=120)
ROWS = MARKET.candles()
HOLE = ROWS[50].open_time
BOOK = catalogue.Catalogue(
    watches=(
        catalogue.Watch(
            symbol="BTC/USDT", strategy="dice", params={"seed": 5, "expires_after": 3}, exits=dice.LADDERS[1]
        ),
    )
)


async def test_the_report_has_what_the_table_has(dice_strategy: None, database: db.Database) -> None:
    await equality.keep(database, KEY, ROWS, MARKET.tick)
    since = clock.from_ms(ROWS[20].open_time)
    told = await report.from_table(database, BOOK, "BTC/USDT", "dice", "1h", since=since, with_trades=True)
    assert json.loads(json.dumps(told)) == told
    assert (told["candles"], told["params"]["seed"], len(told["exits"])) == (len(ROWS) - 20, 5, 2)
    assert told["gaps"] == candles.missing(ROWS[20:], "1h") > 0
    assert told["since"] == f"{since:%Y-%m-%dT%H:%M:%SZ}"
    assert told["summary"]["trades"] + told["summary"]["open"] == len(told["trades"]) > 3
    assert all(trade["candle"] >= told["since"] for trade in told["trades"])
    assert "trades" not in await report.from_table(database, BOOK, "BTC/USDT", "dice", "1h")


async def test_the_end_and_other_params_are_respected(dice_strategy: None, sqlite_database: db.Database) -> None:
    await equality.keep(sqlite_database, KEY, ROWS, MARKET.tick)
    until = clock.from_ms(ROWS[40].open_time)
    told = await report.from_table(
        sqlite_database, BOOK, "BTC/USDT", "dice", "1h", until=until, params={"expires_after": 9}
    )
    assert told["candles"] == 41
    assert (told["params"]["seed"], told["params"]["expires_after"]) == (5, 9)


async def test_what_is_not_there_is_said(dice_strategy: None, sqlite_database: db.Database) -> None:
    with pytest.raises(errors.RefusedError, match="no stored 1h candles of BTC/USDT on binance"):
        await report.from_table(sqlite_database, BOOK, "BTC/USDT", "dice", "1h")
    with pytest.raises(errors.ConfigError, match="there is no strategy 'none'"):
        await report.from_table(sqlite_database, BOOK, "BTC/USDT", "none", "1h")
    with pytest.raises(errors.ConfigError, match="param 'seed'"):
        await report.from_table(sqlite_database, BOOK, "BTC/USDT", "dice", "1h", params={"seed": "x"})


async def test_a_long_table_is_read_in_pages(
    dice_strategy: None, sqlite_database: db.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_PAGE", 7)
    await equality.keep(sqlite_database, KEY, ROWS, MARKET.tick)
    history = await source.kept(sqlite_database, KEY, since=None, until=None, warmup=2)
    assert history.series.open_time.tolist() == [row.open_time for row in ROWS]
    assert history.series.close.tolist() == [float(row.close) for row in ROWS]
    monkeypatch.setattr(source, "MOST", 30)
    history = await source.kept(sqlite_database, KEY, since=None, until=None, warmup=2)
    assert history.series.open_time.tolist() == [row.open_time for row in ROWS[-30:]]


async def test_finer_candles_of_the_table_decide(dice_strategy: None, database: db.Database) -> None:
    await equality.keep(database, KEY, ROWS, MARKET.tick)
    question = report.asked(BOOK, KEY, "dice", params={"reach": 0.004})
    blind = await report.tried(database, question)
    assert blind.unclear
    await equality.keep(
        database, KEY._replace(timeframe="15m"), dice.Jumps(seed=11, hours=120, holes=0).quarters(), MARKET.tick
    )
    seeing = await report.tried(database, question)
    assert not seeing.unclear
    assert seeing.trades() != blind.trades()


async def test_only_missing_candles_are_asked_of_the_exchange(sqlite_stage: stages.Stage) -> None:
    stage = sqlite_stage
    until, brought = stages.opening(stages.NEWEST), []
    key = candles.Key("binance", stages.BTC, "1h")
    door = exchange.Exchange("binance", api_url=stage.url, monotonic=stage._monotonic)

    async def filled(since: int) -> list[str]:
        return await source.fill(
            stage.database, door, key, since=stages.opening(since), until=until, now=stage.now(), said=brought.append
        )

    async with door:
        assert await filled(20) == []
        assert brought == [20]
        assert await filled(20) == []
        assert brought == [20], "nothing is asked for twice"
        assert await filled(5) == []
        assert brought == [20, 15]
        later = until + timedelta(days=30) // timedelta(milliseconds=1)
        until = later
        assert await filled(5) == []
        assert brought == [20, 15], "what is not closed yet is not asked for"
    history = await source.kept(
        stage.database, candles.Key("binance", stages.BTC, "1h"), since=None, until=None, warmup=1
    )
    assert (len(history.series), history.tick) == (35, Decimal("0.01"))
