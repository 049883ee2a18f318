"""An operator ends an open signal at a price that everybody can check, and its readers hear of it."""

import asyncio
from decimal import Decimal

import pytest

from core import errors
from core.models import Delivery, SignalEvent
from core.signals import results
from tests.core import people
from tests.core.signals import desk
from tests.core.signals.stage import NEWEST, Stage, opening
from tests.core.signals.test_outside import scanned


async def running(stage: Stage, *, hours: int = 2) -> int:
    """A long signal from 100.50 that has seen so many candles."""
    await scanned(stage)
    taken = await desk.take(stage, desk.order())
    await later(stage, hours)
    return taken.signal


async def later(stage: Stage, hours: int) -> None:
    for _ in range(hours):
        stage.close_candle()
        await (await stage.scan(*desk.BOOK.watches[1:])).run()


async def refused(stage: Stage, number: int, price: str | None = None) -> str:
    with pytest.raises(errors.RefusedError) as refusal:
        await desk.close(stage, number, price)
    return str(refusal.value)


async def test_a_signal_ends_at_the_last_known_close_and_its_readers_hear(stage: Stage) -> None:
    stage.write((NEWEST + 1, 101.0), (NEWEST + 2, 101.5))
    payer, number = await stage.pay(), await running(stage)

    closed = await desk.close(stage, number)

    assert (closed.status, closed.left, closed.close_price) == ("closed", 0, Decimal("101.5"))
    assert (closed.filled, closed.close_candle) == (Decimal(101), opening(NEWEST + 2))
    opened, ended = await stage.rows(Delivery)
    assert (ended.kind, ended.event, ended.member_id, ended.after_id) == (
        "update",
        "closed",
        payer.member_id,
        opened.id,
    )
    assert [row.event for row in await stage.rows(SignalEvent)] == ["opened", "closed"]


async def test_a_price_near_it_may_be_named(stage: Stage) -> None:
    number = await running(stage)

    assert "101.60 is more than 1% away from the last price 100.50" in await refused(stage, number, "101.6")
    assert (await desk.close(stage, number, "100.994")).close_price == Decimal("100.99")


async def test_what_was_not_filled_is_withdrawn_and_counts_from_its_entry(stage: Stage) -> None:
    await stage.pay()
    number = await running(stage, hours=0)

    closed = await desk.close(stage, number, "100.6")

    assert (closed.filled, closed.close_candle) == (Decimal("100.50"), closed.candle)
    assert results.percent(closed) == Decimal("-0.20")  # a tenth of a percent, and what both sides cost
    await later(stage, 1)
    assert [row.event for row in await stage.rows(Delivery)] == ["opened", "closed"]


async def test_only_what_is_left_goes_out(stage: Stage) -> None:
    stage.write((NEWEST + 1, 101.0), (NEWEST + 2, 102.1))
    await scanned(stage)
    halves = [{"price": "102", "share": "0.5"}, {"price": "104", "share": "0.5"}]
    taken = await desk.take(stage, desk.order(targets=halves))
    await later(stage, 2)

    closed = await desk.close(stage, taken.signal)

    assert closed.close_price == (Decimal(102) + Decimal("102.1")) / 2
    assert [row.share for row in await stage.rows(SignalEvent)] == [0, Decimal("0.5"), Decimal("0.5")]


async def test_what_cannot_be_ended_is_said(sqlite_stage: Stage) -> None:
    stage = sqlite_stage
    number = await running(stage)

    assert "There is no signal #999" in await refused(stage, 999)
    stage.skip(4 * 3600)
    assert "minutes old" in await refused(stage, number)
    await later(stage, 1)
    await desk.close(stage, number)
    assert f"Signal #{number} has ended already" in await refused(stage, number)


async def test_nobody_ends_a_signal_before_the_candle_that_may_have_stopped_it(sqlite_stage: Stage) -> None:
    stage = sqlite_stage
    stage.write((NEWEST + 2, 98.0), (NEWEST + 3, 98.0))
    number = await running(stage, hours=1)
    async with stage.database.transaction() as session:
        from core.market import candles

        key = candles.Key("binance", people.BTC, "1h")
        await candles.keep(session, key, [candles.Candle(opening(NEWEST + 2), *map(Decimal, (100, 100, 98, 98, 1)))])
    stage.close_candle()

    assert "being held against a new candle" in await refused(stage, number)


async def test_two_operators_at_once_end_it_once(stage: Stage) -> None:
    await stage.pay()
    number = await running(stage)

    ends = await asyncio.gather(*(desk.close(stage, number) for _ in range(3)), return_exceptions=True)

    assert sum(isinstance(end, errors.RefusedError) for end in ends) == 2
    assert [row.event for row in await stage.rows(Delivery)] == ["opened", "closed"]


async def test_an_end_by_hand_and_a_candle_at_the_same_moment_end_it_once(stage: Stage) -> None:
    stage.write((NEWEST + 1, 101.0), (NEWEST + 2, 100.9), (NEWEST + 3, 98.0))
    await stage.pay()
    number = await running(stage)
    scan = await stage.scan(*desk.BOOK.watches[1:])
    await scan.run()
    stage.close_candle()

    await asyncio.gather(scan.run(), desk.close(stage, number), scan.run(), return_exceptions=True)
    await scan.run()

    kinds = [row.event for row in await stage.rows(SignalEvent)]
    assert kinds in (["opened", "stopped"], ["opened", "closed"])
    assert [row.event for row in await stage.rows(Delivery)] == kinds
