"""A decision becomes a signal on the market's ticks, with its event and its deliveries; a close becomes a reply."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, models
from core.delivery import outcomes
from core.models import Delivery, Signal, SignalStatus
from core.signals import lifecycle, publish
from core.strategies import base
from tests.core import people
from tests.core.signals.stage import HOUR, START, opening, watch

TICK = Decimal("0.01")
UNTIL = START + timedelta(minutes=15)


def decision(entry: float, target: float, stop: float, **values: Any) -> base.Decision:
    direction = base.Direction.LONG if target > entry else base.Direction.SHORT
    facts = {"expires_after": 4, "reason": "far off", "figures": {"z": -2.5}, "candle_open_time": opening(39), **values}
    return base.Decision(direction, entry, target, stop, **facts)


def draft(**values: Any) -> publish.Draft:
    made = publish.draft(watch(), decision(95.004, 100.006, 91.996, **values), TICK)
    assert made is not None
    return made


async def close(session: AsyncSession, signal: Signal, event: SignalStatus, price: str, candle: int) -> None:
    """All of the signal has left at this price."""
    changes: list[lifecycle.Change] = []
    position = lifecycle.leave(lifecycle.position(signal), event, Decimal(price), candle, changes)
    await publish.changed(session, signal, position, changes, now=START)


@pytest.mark.parametrize(
    ("levels", "tick", "drafted"),
    [
        ((100.0, 110.0, 95.0), "0.01", ("100.00", "110.00", "95.00")),
        ((100.004, 110.006, 94.996), "0.01", ("100.00", "110.01", "95.00")),
        ((100.0, 90.0, 105.0), "0.05", ("100.00", "90.00", "105.00")),
        ((0.000012345, 0.000013, 0.000012), "0.00000001", ("0.00001234", "0.00001300", "0.00001200")),
        ((100.0, 100.4, 99.0), "1", None),
        ((100.0, 101.0, 99.6), "1", None),
        ((100.0, 99.6, 101.0), "1", None),
        ((1.2, 3.0, 0.4), "1", None),  # a stop below one tick is no price
        ((3.0, 0.4, 5.0), "1", None),
    ],
)
def test_c11_levels_are_on_ticks_or_there_is_no_signal(
    levels: tuple[float, float, float], tick: str, drafted: tuple[str, str, str] | None
) -> None:
    made = publish.draft(watch(), decision(*levels), Decimal(tick))
    assert (made and tuple(map(str, (made.entry, made.target, made.stop)))) == drafted


PRICES = st.floats(1e-6, 1e6)
TICKS = st.sampled_from(["0.00000001", "0.0001", "0.01", "0.05", "0.5", "1", "25"]).map(Decimal)


@given(PRICES, PRICES, PRICES, TICKS)
def test_c11_a_draft_is_exact_near_and_the_right_way_up(
    entry: float, target: float, stop: float, tick: Decimal
) -> None:
    made = publish.draft(watch(), decision(entry, target, stop), tick)
    if made is None:
        return
    for price, wanted in ((made.entry, entry), (made.target, target), (made.stop, stop)):
        assert price % tick == 0
        assert abs(price - Decimal(str(wanted))) <= tick / 2
    assert made.stop < made.entry < made.target or made.stop > made.entry > made.target


async def test_a_signal_its_event_and_its_deliveries_come_together(database: db.Database) -> None:
    async with database.transaction() as session:
        payer = await people.payer(session, START)
        await people.payer(session, START, plan="ether")
        await people.payer(session, START - timedelta(days=60))
        muted = await people.payer(session, START)
        (await session.get_one(models.Member, muted.member_id)).muted = True
        await session.flush()
        plan = draft(reason="x" * 500)
        signal = await publish.opened(session, people.BOOK, plan, now=START, send_until=UNTIL)
        assert signal is not None
        assert await publish.opened(session, people.BOOK, plan, now=START, send_until=UNTIL) is None
    async with database.reading() as session:
        row = (await session.scalars(select(Signal))).one()
        event = (await session.scalars(select(models.SignalEvent))).one()
    assert (row.watch, row.symbol, row.timeframe, row.strategy) == (watch().key, "BTC/USDT", "1h", "mean_reversion")
    assert [str(value) for value in (row.entry, row.target, row.stop, row.tick)] == ["95.00", "100.01", "92.00", "0.01"]
    assert (row.direction, row.status, row.late, row.created_at) == ("long", "open", False, START)
    assert (row.expires, row.followed_to) == (opening(39) + 5 * HOUR, opening(39))
    assert (len(row.reason), row.figures, row.params) == (400, {"z": -2.5}, watch().params)
    assert (event.event, event.price, event.candle, event.at) == ("opened", row.entry, row.candle, START)
    (delivery,) = await people.deliveries(database)
    assert (delivery.member_id, delivery.expires_at, delivery.state) == (payer.member_id, UNTIL, "pending")


async def test_q07_a_late_signal_is_recorded_and_sent_to_nobody(database: db.Database) -> None:
    async with database.transaction() as session:
        await people.payer(session, START)
        signal = await publish.opened(session, people.BOOK, draft(), now=START, send_until=None)
        assert signal is not None
        assert signal.late
        await close(session, signal, SignalStatus.TARGET, "100", opening(40))
    assert await people.deliveries(database) == []


async def test_a_close_is_told_to_exactly_those_who_got_the_opening(database: db.Database) -> None:
    async with database.transaction() as session:
        reached, refused = await people.payer(session, START), await people.payer(session, START)
        signal = await publish.opened(session, people.BOOK, draft(), now=START, send_until=UNTIL)
        assert signal is not None
    for parcel in await people.claim(database, START):
        await people.begin(database, [parcel], START)
        outcome: outcomes.Outcome = outcomes.Sent("m1")
        if parcel.address == refused.address:
            outcome = outcomes.Blocked("blocked by the user")
        await people.settle(database, parcel, outcome, START)
    async with database.transaction() as session:
        newcomer = await people.payer(session, START)
        row = await session.get_one(Signal, signal.id)
        await close(session, row, SignalStatus.STOPPED, "91.5", opening(41))
    (update,) = await people.deliveries(database, Delivery.kind == "update")
    (opening_row,) = await people.deliveries(
        database, Delivery.member_id == reached.member_id, Delivery.event == "opened"
    )
    assert (update.member_id, update.event, update.after_id) == (reached.member_id, "stopped", opening_row.id)
    assert newcomer.member_id not in {refused.member_id, update.member_id}
    async with database.reading() as session:
        row = await session.get_one(Signal, signal.id)
        events = (await session.scalars(select(models.SignalEvent).order_by(models.SignalEvent.id))).all()
    assert (row.status, row.close_price, row.close_candle, row.closed_at) == (
        "stopped",
        Decimal("91.5"),
        opening(41),
        START,
    )
    assert [(event.event, event.price) for event in events] == [("opened", row.entry), ("stopped", row.close_price)]


async def test_q02_an_ending_is_recorded_once_only(database: db.Database) -> None:
    async with database.transaction() as session:
        signal = await publish.opened(session, people.BOOK, draft(), now=START, send_until=UNTIL)
        assert signal is not None
        await close(session, signal, SignalStatus.TARGET, "100", opening(40))
    with pytest.raises(IntegrityError):
        async with database.transaction() as session:
            await close(session, await session.get_one(Signal, signal.id), SignalStatus.TARGET, "100", opening(40))
