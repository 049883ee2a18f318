"""Every closed candle is judged once, in order, whoever is away in between, and only then."""

import asyncio
import time

import pytest

from core import errors, leases, models, strategies
from core.market import candles, ticks
from core.models import Delivery
from core.signals import scan
from tests.core.signals import stage as stages
from tests.core.signals.stage import BTC, ETH, HOUR, NEWEST, Stage, Witness, notes, opening, watch

WITNESS = watch(strategy="witness")


async def test_a_candle_that_just_closed_becomes_a_signal_for_everyone_who_pays(stage: Stage) -> None:
    stage.write((NEWEST + 1, 95.0))
    payer, other = await stage.pay(), await stage.pay(plan="ether")
    scanned = await stage.scan()
    assert notes(await scanned.run()) == ["no entry"]
    stage.close_candle(after=-10)
    await scanned.run()
    assert scanned.next_close == pytest.approx(10 + candles.LAG_MS / 1000)
    stage.close_candle()
    (verdict,) = await scanned.run()
    (signal,) = await stage.rows(models.Signal)
    assert (verdict.signal, verdict.late, verdict.ended) == (signal.id, False, ())
    assert (signal.candle, signal.direction, str(signal.entry)) == (opening(NEWEST + 1), "long", "95.00")
    assert signal.stop < signal.entry < signal.target
    assert signal.expires == opening(NEWEST + 1) + 5 * HOUR
    (delivery,) = await stage.rows(Delivery)
    assert (delivery.member_id, delivery.event, delivery.kind) == (payer.member_id, "opened", "opening")
    assert delivery.member_id != other.member_id
    # The opening may be sent until a quarter of an hour after the close, and two seconds of that are gone.
    assert (delivery.expires_at - stage.now()).total_seconds() == pytest.approx(898, abs=0.01)
    assert await stage.held.bell.wait("outbox:telegram", timeout=0.01)


async def test_the_first_look_at_a_market_judges_the_newest_candle_only(stage: Stage, witness: type[Witness]) -> None:
    stage.write((30, 95.0), (NEWEST, 95.0))
    await (await stage.scan(WITNESS)).run()
    assert witness.seen == [opening(NEWEST)]
    assert await stage.signals() == [NEWEST]


async def test_the_first_look_does_not_act_on_an_old_candle(stage: Stage) -> None:
    stage.write((NEWEST, 95.0))
    stage.skip(1000)
    (verdict,) = await (await stage.scan()).run()
    assert "too old" in verdict.note
    assert await stage.signals() == []


async def test_c01_the_open_candle_never_decides(stage: Stage) -> None:
    stage.write((NEWEST, 100.0))
    hours = stage.standin.markets["BTCUSDT"].frames["1h"]
    hours.low[NEWEST + 1] = 90.0  # a deep dip within the hour, that closes where it began
    scanned, trapped = await stage.scan(), 0
    strategy = strategies.create("mean_reversion", stages.PARAMS)
    door = scanned._exchanges["binance"]
    for _ in range(12):
        stage.skip(295)
        await scanned.run()
        rows = await door._client.fetch_ohlcv(BTC, "1h", opening(0), 100)
        seen = [candles.Candle(row[0], *map(ticks.exact, row[1:])) for row in rows]
        trapped += seen[-1].open_time == opening(NEWEST + 1) and strategy.decide(candles.series(seen)) is not None
    assert trapped > 3  # who believes the open candle publishes a ghost
    stage.close_candle()
    await scanned.run()
    assert await stage.signals() == []


async def test_c02_a_late_candle_is_waited_for_and_then_judged_once(stage: Stage, witness: type[Witness]) -> None:
    stage.write((NEWEST + 1, 95.0))
    scanned = await stage.scan(WITNESS)
    await scanned.run()
    stage.standin.faults.add("late", times=None, seconds=60)
    stage.close_candle()
    assert notes(await scanned.run()) == ["waiting for the exchange to deliver the newest candle"]
    assert await stage.signals() == []
    stage.skip(61)
    (verdict,) = await scanned.run()
    assert (verdict.late, await stage.signals()) == (False, [NEWEST + 1])
    await scanned.run()
    assert witness.seen == [opening(NEWEST), opening(NEWEST + 1)]


async def test_c02_a_candle_that_never_comes_is_skipped_and_the_operator_hears(
    stage: Stage, witness: type[Witness]
) -> None:
    scanned = await stage.scan(WITNESS)
    await scanned.run()
    fault = stage.standin.faults.add("late", times=None, seconds=3600)
    stage.close_candle(after=1000)
    for _ in range(3):
        assert notes(await scanned.run()) == ["binance has not delivered the newest candle of BTC/USDT."]
        stage.skip(60)
    assert await stage.alarms() == ["No new candles: binance has not delivered the newest candle of BTC/USDT."]
    fault.left = 0
    await scanned.run()
    assert await stage.alarms() == []
    assert witness.seen == [opening(NEWEST), opening(NEWEST + 1)]


async def test_c02_a_market_that_stands_still_is_no_market_that_was_judged(
    stage: Stage, witness: type[Witness]
) -> None:
    await (await stage.scan()).run()
    stage.standin.faults.add("late", times=None, seconds=60 * 3600)
    stage.close_candle(60)
    scanned = await stage.scan(WITNESS)  # a watch that was never looked at, over candles that are old
    for _ in range(2):
        assert notes(await scanned.run()) == ["waiting for the exchange to deliver the newest candle"]
    assert witness.seen == []


async def test_c02_a_correction_after_the_close_never_changes_a_published_signal(stage: Stage) -> None:
    stage.write((NEWEST + 1, 95.0))
    scanned = await stage.scan()
    await scanned.run()
    stage.standin.faults.add("corrected", times=None, seconds=60)
    stage.close_candle()
    await scanned.run()
    (before,) = await stage.rows(models.Signal)
    assert str(before.entry) == "95.38"
    stage.close_candle()
    await scanned.run()
    after, kept = (await stage.rows(models.Signal))[0], await stage.rows(models.Candle)
    assert {row.open_time: row.close for row in kept}[opening(NEWEST + 1)] == 95  # the table has the last word
    for name in ("entry", "target", "stop", "reason", "figures", "candle", "created_at"):
        assert getattr(after, name) == getattr(before, name)
    assert await stage.signals() == [NEWEST + 1]


@pytest.mark.parametrize("away", [1, 7, 90])
async def test_a01_whatever_was_missed_is_made_good_in_order(stage: Stage, witness: type[Witness], away: int) -> None:
    await (await stage.scan(WITNESS)).run()
    stage.close_candle(away)
    returned = await stage.scan(WITNESS)
    await returned.run()
    await returned.run()
    stage.close_candle()
    await returned.run()
    assert witness.seen == [opening(index) for index in range(NEWEST, NEWEST + away + 2)]


async def test_a01_a_run_that_was_cut_off_goes_on_where_it_was(stage: Stage, witness: type[Witness]) -> None:
    await (await stage.scan(WITNESS)).run()
    stage.close_candle(30)
    cut = asyncio.create_task((await stage.scan(WITNESS)).run())
    while len(witness.seen) < 10:  # noqa: ASYNC110 - a strategy knows no events
        await asyncio.sleep(0)
    cut.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cut
    mark = await stage.mark()
    assert mark is not None
    assert opening(NEWEST + 7) <= mark.candle < opening(NEWEST + 30)
    await (await stage.scan(WITNESS)).run()
    judged = [*dict.fromkeys(witness.seen)]
    assert judged == [opening(index) for index in range(NEWEST, NEWEST + 31)]
    assert len(witness.seen) - len(judged) <= 1  # at most the candle whose transaction was rolled back, again


async def test_a01_an_open_signal_is_followed_over_the_candles_that_were_missed(stage: Stage) -> None:
    stage.write((NEWEST, 95.0), (NEWEST + 1, 95.2), (NEWEST + 2, 85.0))
    await stage.pay()
    await (await stage.scan()).run()
    stage.close_candle(3)
    verdicts = await (await stage.scan()).run()
    (first, *_) = await stage.rows(models.Signal)
    assert [len(verdict.ended) for verdict in verdicts] == [0, 1, 0]
    assert (first.status, first.close_candle) == ("stopped", opening(NEWEST + 2))
    assert [(row.event, row.price) for row in await stage.rows(models.SignalEvent)][:2] == [
        ("opened", first.entry),
        ("stopped", first.close_price),
    ]
    assert [row.event for row in await stage.rows(Delivery)] == ["opened", "stopped"]


@pytest.mark.parametrize("night", ["2023-03-26T00:00:02+00:00", "2023-10-29T00:00:02+00:00"])
async def test_a02_the_hour_that_comes_twice_or_never_changes_nothing(
    sqlite_stage: Stage, witness: type[Witness], monkeypatch: pytest.MonkeyPatch, night: str
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        start = sqlite_stage.standin._base.fromisoformat(night)
        frames = sqlite_stage.standin.markets["BTCUSDT"].frames
        shift = int(start.timestamp()) * 1000 // HOUR * HOUR - opening(NEWEST + 1)
        frames["1h"].ts[:] += shift
        sqlite_stage.skip((start - sqlite_stage.standin.now).total_seconds())
        scanned = await sqlite_stage.scan(WITNESS)
        for _ in range(4):
            await scanned.run()
            sqlite_stage.close_candle()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert witness.seen == [opening(NEWEST + hour) + shift for hour in range(4)]


async def test_a03_three_schedulers_at_once_publish_one_signal(stage: Stage) -> None:
    stage.write((NEWEST + 1, 95.0), (NEWEST + 9, 105.0))
    await stage.pay()
    three = [await stage.scan() for _ in range(3)]
    for _ in range(10):
        await asyncio.gather(*(one.run() for one in three))
        stage.close_candle()
    assert await stage.signals() == [NEWEST + 1, NEWEST + 9]
    assert [row.event for row in await stage.rows(models.SignalEvent)][::2] == ["opened", "opened"]
    assert [row.event for row in await stage.rows(Delivery)].count("opened") == 2
    mark = await stage.mark()
    assert mark is not None
    assert mark.candle == opening(NEWEST + 9)


async def test_a04_a_leader_who_was_asleep_writes_nothing(stage: Stage) -> None:
    stage.write((NEWEST + 1, 95.0))
    asleep, awake = await stage.scan(), await stage.scan()
    epochs = []
    for holder in ("asleep", "awake"):
        async with stage.database.transaction() as session:
            epochs.append(await leases.acquire(session, scan.LEASE, holder, ttl=15, now=stage.now()))
        if holder == "asleep":
            await asleep.run(epochs[0])
        stage.close_candle()
    mark = await stage.mark()
    with pytest.raises(errors.LostLeaseError):
        await asleep.run(epochs[0])
    assert await stage.signals() == []
    assert mark is not None
    assert vars(mark)["candle"] == (await stage.rows(models.ScanMark))[0].candle == opening(NEWEST)
    await awake.run(epochs[1])
    assert await stage.signals() == [NEWEST + 1]


async def test_markets_side_by_side_each_have_their_own_signal(stage: Stage, witness: type[Witness]) -> None:
    stage.write((NEWEST, 95.0))
    stage.write((NEWEST, 105.0), symbol=ETH)
    both = [watch(), watch(ETH), watch(ETH, strategy="witness", params={**stages.PARAMS, "window": 25})]
    verdicts = await (await stage.scan(*both)).run()
    signals = await stage.rows(models.Signal)
    assert [(row.symbol, row.strategy, row.direction) for row in signals] == [
        (BTC, "mean_reversion", "long"),
        (ETH, "mean_reversion", "short"),
        (ETH, "witness", "short"),
    ]
    assert [verdict.signal for verdict in verdicts] == [row.id for row in signals]
    asked = stage.standin.history.of("exchange_request", path="/api/v3/klines")
    assert len(asked) == 2  # two watches on one market share its candles
