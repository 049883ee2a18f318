"""A backtest is what live would have published: on markets that jump and gap, and on a dose of real candles."""

import asyncio
import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as draws

from core import catalogue, db
from core.backtest import report
from core.market import candles
from tests.core.backtest import dice
from tests.proofs import equality
from tests.sandbox import market_history

_numbers = itertools.count()
REPLAY = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


async def _both(url: str, market: dice.Jumps, params: dict[str, object], exits: tuple[catalogue.Exit, ...]) -> int:
    """How many trades were compared, on a market that the database has not seen yet."""
    database = db.Database(url)
    try:
        key = candles.Key("binance", f"M{next(_numbers)}/USDT", "1h")
        watch = catalogue.Watch(
            exchange=key.exchange, symbol=key.symbol, timeframe="1h", strategy="dice", params=params, exits=exits
        )
        await equality.keep(database, key._replace(timeframe="15m"), market.quarters(), market.tick)
        await equality.keep(database, key, market.candles(), market.tick)
        strategy = dice.Dice(dice.DiceParams.model_validate(params))
        await equality.replay(database, key, market.candles(), [(watch, strategy)], market.tick)
        question = report.asked(catalogue.Catalogue(watches=(watch,)), key, "dice")
        found = equality.compare(await equality.published(database, watch), await report.tried(database, question))
        assert found.differences == []
        return len(found.live)
    finally:
        await database.close()


@given(
    market=dice.jumps(),
    seed=draws.integers(0, 1000),
    reach=draws.sampled_from([0.004, 0.02, 0.1]),
    expires_after=draws.sampled_from([1, 3, 12, 90]),
    ladder=draws.sampled_from(dice.LADDERS),
)
@REPLAY
def test_every_trade_is_the_same_live_and_tested(
    dice_strategy: None,
    sqlite_url: str,
    market: dice.Jumps,
    seed: int,
    reach: float,
    expires_after: int,
    ladder: tuple[catalogue.Exit, ...],
) -> None:
    params = {"seed": seed, "reach": reach, "expires_after": expires_after}
    asyncio.run(_both(sqlite_url, market, params, ladder))


@pytest.mark.parametrize("ladder", dice.LADDERS, ids=len)
def test_the_markets_of_this_test_are_eventful(
    dice_strategy: None, sqlite_url: str, ladder: tuple[catalogue.Exit, ...]
) -> None:
    """Without this the property above could hold because nothing ever happens."""
    assert asyncio.run(_both(sqlite_url, dice.Jumps(seed=3, hours=150), {}, ladder)) > 20


@pytest.mark.skipif(not market_history.SHARED.is_dir(), reason=f"no recorded candles in {market_history.SHARED.name}")
async def test_real_candles_make_the_same_trades_with_every_strategy(tmp_path: Path) -> None:
    outcome = await equality.prove(tmp_path, equality.Scale(hours=0.03, five_minutes=0.003, symbols=("BTC/USDT",)))
    assert outcome.differences == []
    assert sum(outcome.counts.values()) > 20
