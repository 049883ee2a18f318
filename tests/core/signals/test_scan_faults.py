"""An exchange that fails in any way makes no signal and no crash, tells the operator, and is used again afterwards."""

import asyncio
import json
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from core import errors, models
from core.market import refusals
from core.models import Delivery
from core.signals import judge, results, scan
from tests.core.signals import stage as stages
from tests.core.signals.stage import BTC, ETH, NEWEST, Stage, Witness, notes, opening, watch
from tests.sandbox.server import serving

WITNESS = watch(strategy="witness")
PASSING = ["drop", "html", "500", "502", "503", "empty", "null_rows", "null", "nan", "inf", "negative"]


async def _failing(stage: Stage, kind: str, scanned: scan.Scan, **options: Any) -> list[str]:
    """What a run says while the exchange has the fault at the close of a candle that makes an entry."""
    stage.write((NEWEST + 1, 95.0))
    await scanned.run()
    stage.standin.faults.add(kind, times=None, **options)
    stage.close_candle()
    return notes(await scanned.run())


@pytest.mark.parametrize(
    ("kind", "path"), [*((kind, "klines") for kind in PASSING), *((kind, "time") for kind in PASSING[:5])]
)
async def test_c04_a_passing_fault_makes_no_signal_and_is_over_afterwards(
    sqlite_stage: Stage, witness: type[Witness], kind: str, path: str
) -> None:
    stage, scanned = sqlite_stage, await sqlite_stage.scan(WITNESS)
    (note,) = await _failing(stage, kind, scanned, path=path)
    assert note.startswith(("binance", "a candle", "the candle", "a row"))
    assert await stage.signals() == []
    assert await stage.alarms() == []
    for _ in range(2):
        stage.skip(60)
        await scanned.run()
    (alarm,) = await stage.alarms()
    assert alarm.startswith("No new candles: ")
    stage.standin.faults.clear()
    stage.skip(60)
    (verdict,) = await scanned.run()
    assert (verdict.late, await stage.signals()) == (False, [NEWEST + 1])
    assert await stage.alarms() == []
    assert witness.seen == [opening(NEWEST), opening(NEWEST + 1)]


async def test_after_an_error_the_exchange_is_left_alone_for_a_while(stage: Stage) -> None:
    scanned = await stage.scan()
    assert "status 503" in (await _failing(stage, "503", scanned, path="time"))[0]
    asked = len(stage.standin.history.of("exchange_request"))
    assert notes(await scanned.run()) == ["left alone for a while after an error"]
    assert len(stage.standin.history.of("exchange_request")) == asked
    stage.skip(2)
    assert "status 503" in notes(await scanned.run())[0]


async def test_c07_a_clock_that_is_set_back_makes_nobody_wait_longer(stage: Stage) -> None:
    scanned = await stage.scan()
    await _failing(stage, "503", scanned, path="time")
    stage.standin.faults.clear()
    stage.off = -3600
    await scanned.run()
    assert await stage.signals() == [NEWEST + 1]


async def test_an_alarm_of_an_earlier_process_ends_when_the_market_works(stage: Stage) -> None:
    await _failing(stage, "451", await stage.scan())
    assert len(await stage.alarms()) == 1
    stage.standin.faults.clear()
    await (await stage.scan()).run()
    assert await stage.alarms() == []
    assert await stage.signals() == [NEWEST + 1]


@pytest.mark.parametrize("kind", ["451", "403", "no_key"])
async def test_c06_a_refusal_alarms_at_once_and_is_not_repeated(stage: Stage, kind: str) -> None:
    scanned = await stage.scan()
    await _failing(stage, kind, scanned)
    (alarm,) = await stage.alarms()
    assert "Use another exchange, or another place for the server." in alarm
    asked = len(stage.standin.history.of("exchange_request"))
    for _ in range(14):
        stage.skip(60)
        await scanned.run()
    assert len(stage.standin.history.of("exchange_request")) == asked
    stage.standin.faults.clear()
    stage.skip(360)
    await scanned.run()
    assert await stage.alarms() == []
    assert await stage.rows(models.Signal)


@pytest.mark.parametrize(("kind", "seconds"), [("429", 30), ("418", 120)])
async def test_c05_a_ban_is_kept_to_the_second(stage: Stage, kind: str, seconds: int) -> None:
    scanned = await stage.scan()
    await _failing(stage, kind, scanned, seconds=seconds)
    assert len(await stage.alarms()) == 1
    stage.standin.faults.clear()
    asked = len(stage.standin.history.of("exchange_request"))
    stage.skip(seconds - 1)
    await scanned.run()
    assert len(stage.standin.history.of("exchange_request")) == asked
    stage.skip(2)
    await scanned.run()
    assert await stage.alarms() == []
    assert await stage.signals() == [NEWEST + 1]


async def test_c06_a_delisted_market_alarms_and_leaves_the_others_alone(stage: Stage) -> None:
    scanned = await stage.scan(watch(), watch(ETH))
    stage.write((NEWEST + 1, 95.0), symbol=ETH)
    await scanned.run()
    stage.standin.delist(BTC)
    stage.skip(6 * 3600)
    await scanned.run()
    stage.skip(1)
    await scanned.run()
    assert await stage.alarms() == [f"No new candles: {BTC} is not traded on binance any more."]
    assert {row.symbol for row in await stage.rows(models.Signal)} == {ETH}


async def test_an_unknown_exchange_or_strategy_ends_the_work(stage: Stage) -> None:
    scanned = await stage.scan(watch(exchange_id="binanec"))
    with pytest.raises(errors.ConfigError, match="Did you mean binance"):
        await scanned.run()
    with pytest.raises(errors.ConfigError, match="there is no strategy 'magic'"):
        await stage.scan(watch(strategy="magic"))


async def test_c03_disorder_and_repetition_change_nothing(stage: Stage) -> None:
    stage.standin.faults.add("unsorted", times=None)
    scanned = await stage.scan()
    await _failing(stage, "duplicates", scanned)
    assert await stage.signals() == [NEWEST + 1]
    assert len({row.open_time for row in await stage.rows(models.Candle)}) == len(await stage.rows(models.Candle))


async def test_c03_a_gap_makes_no_signal_and_is_mended_when_the_exchange_has_the_candles(stage: Stage) -> None:
    stage.write((NEWEST, 95.0), (NEWEST + 5, 95.0))
    fault = stage.standin.faults.add("gap", times=None, rows=2)
    scanned = await stage.scan()
    await scanned.run()
    assert await stage.signals() == []  # an entry, were the gap closed by stealth
    kept = [row.open_time for row in await stage.rows(models.Candle)]
    assert opening(NEWEST - 2) not in kept
    fault.left = 0
    for _ in range(5):
        stage.close_candle()
        await scanned.run()
    assert await stage.signals() == [NEWEST + 5]
    kept = [row.open_time for row in await stage.rows(models.Candle)]
    assert kept == list(range(kept[0], opening(NEWEST + 6), stages.HOUR))


@pytest.mark.parametrize("skew", [90.0, -90.0])
async def test_c07_the_clock_of_the_exchange_decides_what_is_closed(
    stage: Stage, witness: type[Witness], skew: float
) -> None:
    """Our clock is off by a minute and a half either way; candles are judged as if it were right."""
    stage.off = -skew
    stage.write((NEWEST + 1, 95.0))
    await stage.pay()
    scanned = await stage.scan(WITNESS)
    await scanned.run()
    stage.close_candle(after=-5)
    await scanned.run()
    assert witness.seen == [opening(NEWEST)]
    stage.close_candle()
    await scanned.run()
    assert await stage.signals() == [NEWEST + 1]
    (delivery,) = await stage.rows(Delivery)
    assert delivery.expires_at - stage.now() == timedelta(seconds=898)


async def test_c09_one_hanging_market_costs_one_budget_and_the_others_go_on(stage: Stage) -> None:
    stage.write((NEWEST + 1, 95.0), symbol=ETH)
    scanned = await stage.scan(watch(), watch(ETH), budget=0.5)
    await scanned.run()
    stage.standin.faults.add("hang", times=None, symbol=BTC)
    stage.close_candle()
    began = time.monotonic()
    assert "did not answer within 0.5 seconds" in notes(await scanned.run())[0]
    assert time.monotonic() - began < 2
    assert {row.symbol for row in await stage.rows(models.Signal)} == {ETH}


async def test_c09_an_exchange_has_so_much_of_one_run_and_no_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "_BUDGET", 0.1)
    scanned = await stage.scan(watch(), watch(ETH), budget=0.5)
    stage.standin.faults.add("hang", times=None, symbol=BTC)
    assert len(await scanned.run()) == 1  # ETH was not begun
    (verdict,) = await scanned.run()
    assert verdict.watch == watch(ETH).key


async def test_c09_a_slow_exchange_does_not_spoil_another_one(stage: Stage) -> None:
    other = stages.world(stage.clock)
    other.faults.add("hang", times=None, path="time")
    async with serving(other.app) as url:
        scanned = await stage.scan(watch(exchange_id="binanceus"), watch(), budget=2, binanceus=url)
        verdicts = await scanned.run()
    assert [(verdict.watch, verdict.note) for verdict in verdicts] == [
        ("binanceus", "binanceus did not answer within 2 seconds."),
        (watch().key, "no entry"),
    ]


async def test_a_failure_of_the_database_waits_for_every_exchange(stage: Stage) -> None:
    """Nothing of a failed run is still going on when it ends, or the next one would be doubled."""
    other = stages.world(stage.clock)
    async with serving(other.app) as url:
        scanned = await stage.scan(watch(), watch(exchange_id="binanceus"), binanceus=url)
        other.faults.add("slow", path="time", seconds=0.2)
        before = asyncio.all_tasks()
        with pytest.raises(errors.LostLeaseError):
            await scanned.run(7)
        running = [task.get_coro() for task in asyncio.all_tasks() - before]
        assert [coro for coro in running if "Scan._exchange" in repr(coro)] == []


@pytest.mark.parametrize("tick", ["0.01000000", "0.05000000", "1.00000000"])
async def test_c11_prices_of_a_signal_are_exact_multiples_of_the_tick(
    sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch, tick: str
) -> None:
    stage = sqlite_stage
    answer = stage.standin._exchange_info

    def info(request: Any, met: Any) -> Any:
        text = json.dumps(answer(request, met)).replace('"tickSize": "0.01000000"', f'"tickSize": "{tick}"')
        return json.loads(text)

    monkeypatch.setattr(stage.standin, "_exchange_info", info)
    stage.standin.app = stage.standin._build()
    async with serving(stage.standin.app) as url:
        stage.url = url
        stage.write((NEWEST, 95.03))
        await (await stage.scan()).run()
    (signal,) = await stage.rows(models.Signal)
    assert signal.tick == Decimal(tick)
    for price in (signal.entry, signal.target, signal.stop):
        assert price % Decimal(tick) == 0
    assert results.planned_r(signal, signal.stop) == Decimal("-1.00")


@pytest.mark.parametrize("moves", [[(NEWEST + 1, 95.0)], [(NEWEST + 1, 95.0), (NEWEST + 21, 105.0)]])
async def test_q07_after_an_outage_signals_are_recorded_late_and_summed_up_once(
    stage: Stage, moves: list[tuple[int, float]]
) -> None:
    stage.write(*moves)
    payer, other = await stage.pay(), await stage.pay(plan="ether")
    scanned = await stage.scan()
    await scanned.run()
    stage.standin.faults.add("503", times=None, path="")
    for _ in range(3):
        stage.close_candle(10)
        assert "available" in notes(await scanned.run())[0]
    stage.standin.faults.clear()
    stage.skip(60)
    verdicts = await scanned.run()
    signals = await stage.rows(models.Signal)
    assert await stage.signals() == [index for index, _ in moves]
    assert [row.late for row in signals] == [True] * len(moves)
    assert [verdict.signal for verdict in verdicts if verdict.late] == [row.id for row in signals]
    (notice,) = await stage.rows(Delivery)
    assert (notice.kind, notice.member_id, notice.payload["name"]) == ("notice", payer.member_id, "late_summary")
    assert [fact["id"] for fact in notice.payload["signals"]] == [str(row.id) for row in signals]
    assert {"symbol", "direction", "entry", "target", "stop", "status"} <= set(notice.payload["signals"][0])
    for again in (scanned, await stage.scan()):  # by this process or the next, nobody is told twice
        await again.run()
        async with stage.database.transaction() as session:
            assert await judge.sum_up(session, again._stack.catalogue, now=stage.now()) == 0
    assert len(await stage.rows(Delivery)) == 1
    assert other.member_id != payer.member_id


async def test_q07_a_summary_that_failed_is_made_good(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.write((NEWEST + 1, 95.0))
    await stage.pay()
    scanned = await stage.scan()
    await scanned.run()
    stage.close_candle(after=1000)

    async def away(*_: Any, **__: Any) -> int:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(judge, "sum_up", away)
        with pytest.raises(ConnectionError):
            await scanned.run()
    assert await stage.rows(Delivery) == []
    await scanned.run()
    assert len(await stage.rows(Delivery)) == 1


async def test_a_ban_and_a_refusal_say_for_how_long() -> None:
    patience, now = scan._Patience(), stages.START
    for error, seconds in [(refusals.BannedError("", 7.0), 7.0), (refusals.BarredError(""), 300.0)]:
        patience.failed(error, now)
        assert patience.waits(now + timedelta(seconds=seconds - 0.1))
        assert not patience.waits(now + timedelta(seconds=seconds))
    for _ in range(20):
        patience.failed(errors.UnreachableError(""), now)
    assert patience.waits(now + timedelta(seconds=29))
    assert not patience.waits(now + timedelta(seconds=60))
