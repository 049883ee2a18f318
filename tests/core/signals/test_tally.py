"""The public results in figures: nothing left out, the same whoever added them up, and fast when they are many."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert

from core import db
from core.models import Signal, SignalStatus
from core.signals import results, tally
from tests.core import people

START = datetime(2026, 1, 30, 12, tzinfo=UTC)
ENDS = [SignalStatus.TARGET, SignalStatus.STOPPED, SignalStatus.EXPIRED, SignalStatus.CLOSED, SignalStatus.DELISTED]


async def ended(database: db.Database, price: str, *, days: float = 0, kept: bool = True, **given: Any) -> Signal:
    """A signal from 100 with its stop at 95, closed at this price; its result `kept` with it or not."""
    at = START + timedelta(days=days)
    values = {"status": SignalStatus.TARGET, "close_price": Decimal(price), "closed_at": at, "close_candle": 9, **given}
    strategy = values.pop("strategy", "mean_reversion")
    async with database.transaction() as session:
        row = await people.signal(session, START, **values)
        row.strategy = strategy
        if kept:
            row.brought = int(results.r(row).scaleb(2))
    return row


async def counted(database: db.Database) -> tally.Tally:
    async with database.reading() as session:
        return await tally.count(session)


async def test_nothing_published_is_counted_as_nothing(database: db.Database) -> None:
    found = await counted(database)
    assert (found.closed, found.running, found.whole.r, found.first, found.months) == (0, 0, Decimal(0), None, ())
    assert found.whole.rate is None


@pytest.mark.parametrize("kept", [True, False])
async def test_every_end_counts_by_strategy_market_and_month(database: db.Database, kept: bool) -> None:
    fee = {"fee": Decimal("0.1"), "slippage": Decimal("0.05")}
    await ended(database, "110", kept=kept, **fee)
    await ended(database, "94", kept=kept, status=SignalStatus.STOPPED, strategy="donchian", late=True, **fee)
    await ended(database, "100", kept=kept, status=SignalStatus.EXPIRED, symbol="ETH/USDT", days=3)
    await ended(database, "103", kept=kept, status=SignalStatus.CLOSED, symbol="ETH/USDT", days=3, **fee)
    async with database.transaction() as session:
        await people.signal(session, START)
    found = await counted(database)
    assert found.ends == {"target": 1, "stopped": 1, "expired": 1, "closed": 1}
    assert (found.closed, found.running, found.late, found.bare) == (4, 1, 1, 1)
    # 2 and -1.2 and 0 and 0.6, less 0.15 % of the prices on both sides over a risk of 5.
    expected = [Decimal("1.94"), Decimal("-1.26"), Decimal("0.00"), Decimal("0.54")]
    assert found.whole == tally.Group("", 4, 2, 1, sum(expected, Decimal(0)))
    assert [(group.name, group.closed, group.r) for group in found.strategies] == [
        ("donchian", 1, expected[1]),
        ("mean_reversion", 3, expected[0] + expected[2] + expected[3]),
    ]
    assert [(group.name, group.closed) for group in found.markets] == [("BTC/USDT", 2), ("ETH/USDT", 2)]
    assert [(group.name, group.gains, group.losses) for group in found.months] == [("2026-02", 1, 0), ("2026-01", 1, 1)]
    assert (found.first, found.last, found.oldest) == (START, START + timedelta(days=3), START)


async def test_months_are_those_of_utc(database: db.Database) -> None:
    await ended(database, "110", closed_at=datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC))
    await ended(database, "110", closed_at=datetime(2026, 2, 1, 0, 0, 0, tzinfo=UTC))
    assert [group.name for group in (await counted(database)).months] == ["2026-02", "2026-01"]


async def test_a_rate_is_named_from_thirty_closed_signals_of_a_group_on(sqlite_database: db.Database) -> None:
    for number in range(30):
        await ended(sqlite_database, "110" if number < 10 else "95", symbol="ETH/USDT" if number == 7 else "BTC/USDT")
    found = await counted(sqlite_database)
    assert f"{found.whole.rate:.1f}" == "33.3"
    assert [group.rate for group in found.markets] == [None, None]


async def test_the_curve_adds_results_up_in_the_order_in_which_signals_closed(database: db.Database) -> None:
    await ended(database, "110", days=2)
    await ended(database, "95", days=1)
    await ended(database, "95", days=3, kept=False)
    async with database.reading() as session:
        points = await tally.curve(session)
        assert await tally.closed(session) == 3
    first = int(START.timestamp()) * 1000
    assert points == [(first + 86_400_000 * day, r) for day, r in ((1, -1.0), (2, 1.0), (3, 0.0))]


async def test_thousands_of_signals_are_added_up_by_the_database(database: db.Database) -> None:
    dice = random.Random(7)
    rows = [_row(number, dice) for number in range(6_000)]
    async with database.transaction() as session:
        for start in range(0, len(rows), 2_000):
            await session.execute(insert(Signal), rows[start : start + 2_000])
    found = await counted(database)
    assert found.closed == len(rows)
    assert found.whole.r * 100 == sum(row["brought"] for row in rows)
    assert sum(group.closed for group in found.months) == sum(group.closed for group in found.markets) == len(rows)


def _row(number: int, dice: random.Random) -> dict[str, Any]:
    return {
        "watch": "w",
        "strategy": f"s{number % 4}",
        "exchange": "binance",
        "symbol": f"C{number % 20}/USDT",
        "timeframe": "1h",
        "candle": number,
        "direction": "long",
        "entry": Decimal(100),
        "target": Decimal(110),
        "stop": Decimal(95),
        "tick": Decimal("0.01"),
        "reason": "",
        "figures": {},
        "params": {},
        "expires": number + 9,
        "followed_to": number,
        "status": dice.choice(ENDS).value,
        "created_at": START,
        "closed_at": START + timedelta(minutes=15 * number),
        "close_candle": number,
        "close_price": Decimal(101),
        "fee": Decimal("0.1"),
        "slippage": Decimal("0.05"),
        "brought": dice.randint(-120, 200),
    }
