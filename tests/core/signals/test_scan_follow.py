"""What becomes of open signals, whoever gave them: followed to their end over real scans, told in order, once."""

import email.utils
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from core import catalogue, models
from core.delivery import outcomes
from core.market import exchange
from core.models import Delivery, SignalEvent
from core.signals import scan
from tests.core import people
from tests.core.signals import desk
from tests.core.signals.desk import order, take
from tests.core.signals.stage import BTC, NEWEST, Stage, opening, watch
from tests.sandbox import market_history

HALF, THIRD = Decimal("0.5"), Decimal("0.3333")
HALVES = [{"price": "102", "share": "0.5", "stop": "entry"}, {"price": "104", "share": "0.5"}]
QUARTER = 900_000


async def looked(stage: Stage, *watches: catalogue.Watch) -> scan.Scan:
    """A scan that has looked once, and half of the next hour is over."""
    scanned = await stage.scan(*(watches or desk.WATCHES[1:]))
    await scanned.run()
    stage.skip(1800)
    return scanned


async def hours(stage: Stage, scanned: scan.Scan, count: int = 1) -> None:
    for _ in range(count):
        stage.close_candle()
        await scanned.run()


async def events(stage: Stage) -> list[tuple[str, str]]:
    """Everything that happened to signals: what, and at which price."""
    return [(row.event, f"{row.price:.2f}") for row in await stage.rows(SignalEvent)]


async def told(stage: Stage, who: models.Identity | None = None) -> list[str | None]:
    """The events of the deliveries (to one person), oldest first."""
    rows: Sequence[Delivery] = await stage.rows(Delivery)
    return [row.event for row in rows if who is None or row.identity_id == who.id]


def shape(stage: Stage, index: int, **prices: float) -> None:
    """One candle of the market has these prices."""
    frame = stage.standin.markets["BTCUSDT"].frames["1h"]
    for name, price in prices.items():
        getattr(frame, name)[index] = price


def with_quarters(stage: Stage, *, whole: bool = True) -> None:
    """The market has candles of fifteen minutes too, in the two hours from NEWEST: flat at each hour's open.

    When not `whole`, the exchange has lost one of them.
    """
    frame = stage.standin.markets["BTCUSDT"].frames["1h"]
    count = 4 * len(frame)
    ts = np.array([int(frame.ts[0]) + at * QUARTER for at in range(count)], np.int64)
    flat = np.repeat(frame.open, 4)
    made = market_history.Candles("15m", "written", ts, *(flat.copy() for _ in range(4)), np.full(count, 1.0))
    if not whole:
        keep = np.arange(count) != 4 * (NEWEST + 2) + 1
        fields = {name: getattr(made, name)[keep] for name in market_history._FIELDS}
        made = replace(made, **fields)
    stage.standin.markets["BTCUSDT"].frames["15m"] = made


def quarter(stage: Stage, index: int, part: int, **prices: float) -> None:
    """One quarter of an hour of the market has these prices."""
    frame = stage.standin.markets["BTCUSDT"].frames["15m"]
    place = int(np.searchsorted(frame.ts, opening(index) + part * QUARTER))
    for name, price in prices.items():
        getattr(frame, name)[place] = price


async def test_a_signal_by_hand_is_followed_to_its_end(stage: Stage) -> None:
    stage.write((NEWEST + 1, 101.0), (NEWEST + 2, 98.0))
    payer = await stage.pay()
    scanned = await looked(stage)
    taken = await take(stage, order())

    await hours(stage, scanned, 3)

    signal = await desk.signal(stage, taken.signal)
    assert (signal.status, signal.filled, signal.close_price) == ("stopped", Decimal(101), Decimal(99))
    assert (signal.left, signal.close_candle) == (0, opening(NEWEST + 2))
    assert await told(stage, payer) == ["opened", "stopped"]


async def test_a_signal_by_hand_expires_after_its_candles(stage: Stage) -> None:
    scanned = await looked(stage)
    taken = await take(stage, order(expires_after=2))

    await hours(stage, scanned, 3)
    assert (await desk.signal(stage, taken.signal)).status == "expired"
    assert (await desk.signal(stage, taken.signal)).close_candle == opening(NEWEST + 3)


async def test_a_signal_whose_watch_is_gone_is_followed_to_its_end(stage: Stage) -> None:
    stage.write((NEWEST, 95.0), (NEWEST + 1, 95.2), (NEWEST + 2, 85.0))
    payer = await stage.pay()
    await (await stage.scan()).run()
    (before,) = await stage.rows(models.Signal)

    other = await stage.scan(watch(desk.ETH, params=desk.QUIET))
    await other.run()
    await hours(stage, other, 2)

    after = await desk.signal(stage, before.id)
    assert (after.status, after.close_candle) == ("stopped", opening(NEWEST + 2))
    assert await told(stage, payer) == ["opened", "stopped"]
    assert len(await stage.rows(models.Signal)) == 1


async def test_parts_leave_over_several_candles_with_one_reply_for_each(stage: Stage) -> None:
    stage.write((NEWEST + 1, 101.0), (NEWEST + 2, 102.5), (NEWEST + 3, 103.0), (NEWEST + 4, 100.0))
    first = await stage.pay()
    scanned = await looked(stage)
    parts = [
        {"price": "102", "share": "0.3333", "stop": "entry"},
        {"price": "103", "share": "0.3333", "stop": "previous"},
        {"price": "110", "share": "0.3334"},
    ]
    taken = await take(stage, order(targets=parts))
    later = await stage.pay()  # has not got the opening
    stops = []
    for _ in range(4):
        await hours(stage, scanned)
        stops.append((await desk.signal(stage, taken.signal)).stop_now)

    assert await events(stage) == [
        ("opened", "100.50"),
        ("target1", "102.00"),
        ("target2", "103.00"),
        ("stopped", "102.00"),
    ]
    assert stops[1:] == [Decimal("100.50"), Decimal(102), Decimal(102)]
    signal = await desk.signal(stage, taken.signal)
    average = (THIRD * 102 + THIRD * 103 + Decimal("0.3334") * 102).quantize(Decimal("0.0001"))
    assert (signal.status, signal.reached, signal.close_price) == ("stopped", 2, average)
    assert await told(stage, first) == ["opened", "target1", "target2", "stopped"]
    assert await told(stage, later) == []


async def test_several_targets_in_one_candle_are_one_reply(stage: Stage) -> None:
    stage.write((NEWEST + 1, 101.0), (NEWEST + 2, 103.5), (NEWEST + 3, 105.0))
    payer = await stage.pay()
    scanned = await looked(stage)
    parts = [{"price": price, "share": share} for price, share in (("102", "0.4"), ("103", "0.4"), ("104", "0.2"))]
    await take(stage, order(targets=parts))

    await hours(stage, scanned, 3)

    assert [event for event, _ in await events(stage)] == ["opened", "target1", "target2", "target"]
    assert await told(stage, payer) == ["opened", "target2", "target"]
    reply = (await stage.rows(Delivery))[1]
    assert [change["event"] for change in reply.payload["changes"]] == ["target1", "target2"]
    assert Decimal(reply.payload["left"]) == Decimal("0.2")


async def test_a_stop_moved_by_a_target_counts_from_the_next_candle(stage: Stage) -> None:
    stage.write((NEWEST + 1, 101.0), (NEWEST + 2, 101.0))
    shape(stage, NEWEST + 2, high=102.2, low=100.4)  # the target, and the entry after which the stop moves
    scanned = await looked(stage)
    taken = await take(stage, order(targets=HALVES))

    await hours(stage, scanned, 2)
    assert (await desk.signal(stage, taken.signal)).left == HALF
    await hours(stage, scanned)

    assert (await events(stage))[1:] == [("target1", "102.00"), ("stopped", "100.50")]


async def test_q05_updates_that_queue_up_arrive_in_their_order(stage: Stage) -> None:
    """The platform is away while three candles tell something; then each update goes after the one before it."""
    stage.write((NEWEST + 1, 101.0), (NEWEST + 2, 102.5), (NEWEST + 3, 103.5), (NEWEST + 4, 98.0))
    payer, other = await stage.pay(), await stage.pay()
    scanned = await looked(stage)
    parts = [{"price": "102", "share": "0.3"}, {"price": "103", "share": "0.3"}, {"price": "110", "share": "0.4"}]
    await take(stage, order(targets=parts))
    sent = await people.send(stage.database, stage.now())
    assert [parcel.event for parcel in sent] == ["opened", "opened"]
    for _ in range(4):
        await hours(stage, scanned)
        await people.send(stage.database, stage.now(), outcomes.NotSent("the platform is away", after=7 * 3600.0))
    stage.skip(8 * 3600)
    assert await told(stage, payer) == ["opened", "target1", "target2", "stopped"]

    arrived: list[tuple[str, str | None]] = []
    for _ in range(8):
        arrived += [(p.address, p.event) for p in await people.send(stage.database, stage.now())]

    for who in (payer, other):
        mine = [event for address, event in arrived if address == who.address]
        assert mine == ["target1", "target2", "stopped"]
    assert not await people.claim(stage.database, stage.now())


async def test_q05_who_never_got_the_opening_hears_nothing_of_its_end(stage: Stage) -> None:
    stage.write((NEWEST + 1, 101.0), (NEWEST + 2, 102.5), (NEWEST + 3, 98.0))
    await stage.pay()
    scanned = await looked(stage)
    await take(stage, order(targets=HALVES))
    await people.send(stage.database, stage.now(), outcomes.NotSent("the platform is away"))
    await hours(stage, scanned, 3)

    assert await people.send(stage.database, stage.now()) == []
    assert set(await people.states(stage.database)) == {"expired"}


async def test_q05_an_update_waits_for_the_one_before_it_only(stage: Stage) -> None:
    stage.write((NEWEST + 1, 101.0), (NEWEST + 2, 102.5), (NEWEST + 3, 98.0))
    payer, other = await stage.pay(), await stage.pay()
    scanned = await looked(stage)
    await take(stage, order(targets=HALVES))
    await people.send(stage.database, stage.now())
    await hours(stage, scanned, 3)

    def slow(parcel: Any) -> outcomes.Outcome:
        away = parcel.address == payer.address
        return outcomes.NotSent("not now", after=60.0) if away else people.SENT

    first = await people.send(stage.database, stage.now(), slow)
    second = await people.send(stage.database, stage.now(), slow)
    stage.skip(61)
    rest = [await people.send(stage.database, stage.now()) for _ in range(2)]

    assert sorted((p.address, p.event) for p in first) == sorted((who.address, "target1") for who in (payer, other))
    assert [(p.address, p.event) for p in second] == [(other.address, "stopped")]
    assert [[(p.address, p.event) for p in part] for part in rest] == [
        [(payer.address, "target1")],
        [(payer.address, "stopped")],
    ]


async def test_q07_an_update_of_what_was_missed_is_told_once_when_we_are_back(stage: Stage) -> None:
    stage.write((NEWEST + 1, 101.0), *((NEWEST + at, 102.5) for at in (2, 3, 4)), (NEWEST + 5, 104.5))
    payer = await stage.pay()
    await looked(stage)
    await take(stage, order(targets=HALVES))
    stage.close_candle(9)

    returned = await stage.scan(*desk.WATCHES[1:])
    await returned.run()
    await returned.run()

    assert await told(stage, payer) == ["opened", "target1", "target"]
    assert [row.candle for row in await stage.rows(SignalEvent)][1:] == [opening(NEWEST + 2), opening(NEWEST + 5)]


async def test_c02_a_corrected_candle_never_changes_a_published_result(stage: Stage) -> None:
    stage.write((NEWEST + 1, 101.0), (NEWEST + 2, 98.0))
    scanned = await looked(stage)
    taken = await take(stage, order())
    await hours(stage, scanned, 2)
    before = vars(await desk.signal(stage, taken.signal))

    shape(stage, NEWEST + 2, low=100.0, close=100.5)  # the exchange thinks better of it
    await hours(stage, scanned, 2)

    kept = {row.open_time: row.close for row in await stage.rows(models.Candle)}
    assert kept[opening(NEWEST + 2)] == Decimal("100.5")  # the table has the last word
    after = vars(await desk.signal(stage, taken.signal))
    assert {**before, "_sa_instance_state": None} == {**after, "_sa_instance_state": None}
    assert (await events(stage))[-1] == ("stopped", "99.00")


async def test_c06_a_market_that_is_gone_closes_its_signals_after_a_day(stage: Stage) -> None:
    payer = await stage.pay()
    scanned = await looked(stage)
    by_hand = await take(stage, order())
    await hours(stage, scanned)
    stage.standin.delist(BTC)
    statuses = []
    for _ in range(5):
        stage.skip(6 * 3600 + 1)
        await scanned.run()
        statuses.append((await desk.signal(stage, by_hand.signal)).status)

    assert statuses == ["open"] * 3 + ["delisted"] * 2
    signal = await desk.signal(stage, by_hand.signal)
    last = [row for row in await stage.rows(models.Candle) if row.symbol == BTC][-1]
    assert (signal.close_price, signal.close_candle) == (last.close, last.open_time)
    assert await told(stage, payer) == ["opened", "delisted"]


async def _dated(stage: Stage, door: exchange.Exchange) -> None:
    """An answer with the Date of the stand-in's clock; the machine that serves it lives in another year."""
    await door._client.publicGetTickerPrice({"symbol": "ETHUSDT"})
    exchange._answer.get().headers["Date"] = email.utils.format_datetime(stage.standin.now, usegmt=True)


@pytest.mark.parametrize("watched", [1, 2])
async def test_c06_an_exchange_without_a_clock_is_asked_about_a_market_that_it_trades(
    stage: Stage, watched: int
) -> None:
    await stage.pay()
    scanned = await stage.scan(*desk.WATCHES[1 : watched + 1])
    door = scanned._exchanges["binance"]
    door._client.has["fetchTime"] = False
    door._client.fetch_ticker = lambda _: _dated(stage, door)
    await scanned.run()
    stage.skip(1800)
    by_hand = await take(stage, order())
    stage.standin.delist(BTC)
    for _ in range(5):
        stage.skip(6 * 3600 + 1)
        await scanned.run()

    assert (await desk.signal(stage, by_hand.signal)).status == "delisted"
    judged = {row.watch: row.candle for row in await stage.rows(models.ScanMark)}
    assert watched == 1 or judged[desk.WATCHES[2].key] >= opening(NEWEST + 30)


@pytest.mark.parametrize("off", [0.0, 1e8])
async def test_c06_a_short_halt_ends_nothing(stage: Stage, off: float) -> None:
    """Whatever our own clock says."""
    stage.off = off
    stage.write((NEWEST + 9, 98.0))
    await stage.pay()
    scanned = await looked(stage)
    by_hand = await take(stage, order())
    stage.standin.delist(BTC)
    stage.skip(6 * 3600 + 1)
    await scanned.run()
    assert await stage.alarms() == [f"No new candles: {BTC} is not traded on binance any more."]

    stage.standin.markets["BTCUSDT"].delisted = None
    stage.skip(301)
    await scanned.run()
    assert (await desk.signal(stage, by_hand.signal)).status == "open"
    assert await stage.alarms() == []
    await hours(stage, scanned, 4)

    assert (await desk.signal(stage, by_hand.signal)).close_candle == opening(NEWEST + 9)


@pytest.mark.parametrize(
    ("whole", "first", "status"),
    [(True, "target", "target"), (True, "stop", "stopped"), (False, "target", "stopped")],
)
async def test_finer_candles_decide_what_came_first_where_they_are_whole(
    stage: Stage, whole: bool, first: str, status: str
) -> None:
    stage.write((NEWEST + 1, 100.5), (NEWEST + 2, 100.5))
    shape(stage, NEWEST + 2, high=102.5, low=98.5)  # both
    with_quarters(stage, whole=whole)
    up, down = (0, 3) if first == "target" else (3, 0)
    quarter(stage, NEWEST + 2, up, high=102.5)
    quarter(stage, NEWEST + 2, down, low=98.5)
    scanned = await looked(stage, watch(timeframe="15m", params=desk.QUIET), watch(params=desk.QUIET))
    hourly = desk.BOOK.model_copy(update={"watches": desk.WATCHES[1:]})
    taken = await take(stage, order(), book=hourly)

    await hours(stage, scanned, 2)

    assert (await desk.signal(stage, taken.signal)).status == status


async def test_without_finer_candles_the_stop_counts(stage: Stage) -> None:
    stage.write((NEWEST + 1, 100.5), (NEWEST + 2, 100.5))
    shape(stage, NEWEST + 2, high=102.5, low=98.5)
    scanned = await looked(stage)
    taken = await take(stage, order())

    await hours(stage, scanned, 2)

    assert (await desk.signal(stage, taken.signal)).status == "stopped"
