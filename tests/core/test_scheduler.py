"""When things happen: one leader, a pass that is finished before the end, ends and alarms that are told once."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from core import catalogue, errors, health, inbox, leases, models, scheduler, stack
from core.models import Delivery
from core.signals import scan
from tests.core import people
from tests.core.signals.stage import NEWEST, Stage, watch


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Returns as soon as the condition holds; a test fails when it does not within some seconds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - a database rings no bell
            await asyncio.sleep(0.02)


def held_by(stage: Stage, name: str, *, pace: float = 0.1, admins: str = "") -> stack.Stack:
    """The stack of a process that scans the stage's exchange every `pace` seconds."""
    values = {"exchange_api_url": stage.url, "scan_seconds": pace, "admins": admins}
    book = stage.held.catalogue.model_copy(update={"watches": (watch(),)})
    settings = stage.held.settings.model_copy(update=values)
    return replace(stage.held, holder=name, settings=settings, catalogue=book)


@asynccontextmanager
async def running(held: stack.Stack) -> AsyncIterator[asyncio.Event]:
    """The role runs; when the block ends it is told to stop, and has."""
    stop = asyncio.Event()
    job = asyncio.create_task(scheduler.run(held, stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await job


async def judged(stage: Stage) -> bool:
    return bool(await stage.rows(models.ScanMark))


async def test_a_candle_becomes_a_signal_and_the_lease_is_given_back(stage: Stage) -> None:
    stage.write((NEWEST, 95.0))
    async with running(held_by(stage, "one")):
        await until(lambda: judged(stage))
    assert await stage.signals() == [NEWEST]
    (lease,) = await stage.rows(models.Lease)
    assert (lease.name, lease.holder) == (scan.LEASE, "")
    (beat,) = await stage.rows(models.Heartbeat)
    assert (beat.part, beat.limit) == ("scheduler.scan", 90)


async def test_a06_a_stop_lets_the_running_pass_finish(stage: Stage) -> None:
    stage.write((NEWEST, 95.0))
    fault = stage.standin.faults.add("slow", seconds=0.4)

    async def asked() -> bool:
        return fault.left == 0

    async with running(held_by(stage, "one")) as stop:
        await until(asked)
        stop.set()
        assert await stage.signals() == []
    assert await stage.signals() == [NEWEST]
    assert (await stage.rows(models.Lease))[0].holder == ""
    assert [task for task in asyncio.all_tasks() if "Scheduler" in repr(task.get_coro())] == []


async def test_a06_a_stop_begins_no_further_pass(stage: Stage) -> None:
    async with running(held_by(stage, "one", pace=60)) as stop:
        await until(lambda: judged(stage))  # the first pass begins at once
        asked, began = len(stage.standin.history.of("exchange_request")), time.monotonic()
        stop.set()
    assert time.monotonic() - began < 5
    assert len(stage.standin.history.of("exchange_request")) == asked


async def test_a03_of_two_schedulers_one_leads_and_the_other_takes_over(stage: Stage) -> None:
    stage.write((NEWEST, 95.0), (NEWEST + 1, 98.0), (NEWEST + 3, 107.0))
    async with running(held_by(stage, "two")):
        await until(lambda: judged(stage))
        async with running(held_by(stage, "one")):
            (lease,) = await stage.rows(models.Lease)
            await asyncio.sleep(0.3)
            assert (await stage.rows(models.Lease))[0].epoch == lease.epoch == 1
            assert lease.holder == "two"
            parts = {row.part: row.note for row in await stage.rows(models.Heartbeat)}
            assert set(parts) == {"scheduler.scan"}
    async with running(held_by(stage, "one")):
        stage.close_candle(3)

        async def took_over() -> bool:
            mark = await stage.mark()
            return mark is not None and mark.candle > stage.standin.markets["BTCUSDT"].frames["1h"].ts[NEWEST]

        await until(took_over)
    assert (await stage.rows(models.Lease))[0].epoch == 2
    signals = await stage.signals()
    assert signals == sorted(set(signals))


async def test_a_candle_that_closes_between_two_ticks_is_seen_at_its_close(sqlite_stage: Stage) -> None:
    stage = sqlite_stage
    stage.standin._monotonic = time.monotonic
    stage.standin._mark = time.monotonic()
    stage.standin.skip_to_next_close(after=0.6)  # it counts as closed in 0.4 seconds
    held = held_by(stage, "one", pace=60)
    began = time.monotonic()

    async def newest_judged() -> bool:
        mark = await stage.mark()
        return mark is not None and mark.candle == stage.standin.markets["BTCUSDT"].frames["1h"].ts[NEWEST + 1]

    async with running(replace(held, clock=lambda: stage.standin.now)):
        await asyncio.sleep(0.05)
        held.bell.ring("scan")
        await until(lambda: judged(stage))
        await until(newest_judged)
    assert time.monotonic() - began < 10


async def test_a02_every_trigger_is_in_utc(sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        made = scheduler.Scheduler(held_by(sqlite_stage, "one", pace=60))
        stop = asyncio.Event()
        job = asyncio.create_task(made.run(stop))
        await asyncio.sleep(0.05)
        jobs = made._clock.get_jobs()
        assert len(jobs) >= 4
        assert {str(one.trigger.timezone) for one in jobs} == {"UTC"}
        assert {one.next_run_time.utcoffset() for one in jobs} == {timedelta(0)}
        stop.set()
        await job
    finally:
        monkeypatch.undo()
        os.environ.pop("TZ", None)
        time.tzset()


async def test_the_sweep_tells_of_access_that_ended_and_frees_what_dead_workers_held(stage: Stage) -> None:
    async with stage.database.transaction() as session:
        who = await people.person(session, stage.now())
        ended = stage.now() - timedelta(minutes=1)
        await people.subscription(session, who.member_id, ended, told="on")
        payer = await people.payer(session, stage.now())
        await people.publish(session, stage.now())
    (parcel,) = await people.claim(stage.database, stage.now())
    stage.skip(60)
    held = held_by(stage, "one", pace=60)
    held.bell.ring("sweep")
    await scheduler.Scheduler(held)._sweep()
    assert await people.notices(stage.database, who.member_id) == ["access_ended"]
    (opening,) = await people.deliveries(stage.database, Delivery.kind == "opening")
    assert (opening.state, opening.member_id, opening.id) == ("pending", payer.member_id, parcel.id)
    assert await held.bell.wait("outbox:telegram", timeout=0.01)


async def test_members_are_reminded_every_ten_minutes_at_most(stage: Stage) -> None:
    held = held_by(stage, "one", pace=60)
    made = scheduler.Scheduler(held)
    for number in range(3):
        async with stage.database.transaction() as session:
            who = await people.person(session, stage.now())
            until, told = stage.now() + timedelta(hours=12), {"status": "past_due", "told": "grace"}
            await people.subscription(session, who.member_id, until, **told)
        held.bell.ring("sweep")
        await made._sweep()
        expected = ["grace_ends"] if number != 1 else []
        assert await people.notices(stage.database, who.member_id) == expected
        stage.clock.seconds += 601 if number else 1


async def test_an_alarm_reaches_each_operator_once_for_each_time_it_is_raised(stage: Stage) -> None:
    held = held_by(stage, "one", admins="telegram:7,discord:8")
    made = scheduler.Scheduler(held)

    async def alarm() -> None:
        async with stage.database.transaction() as session:
            await health.alarm(session, "market:binance", "No new candles.", now=stage.now())
        for _ in range(3):
            await made._raise_alarms()

    await alarm()
    first = await people.deliveries(stage.database)
    assert [(row.platform, row.address) for row in first] == [("discord", "@8"), ("telegram", "7")]
    assert first[0].payload == {"name": "alarm", "key": "market:binance", "text": "No new candles."}
    async with stage.database.transaction() as session:
        await health.clear(session, "market:binance", now=stage.now())
    stage.skip(60)
    await alarm()
    assert len(await people.deliveries(stage.database)) == 4


async def test_the_bodies_of_old_inbox_items_are_forgotten(stage: Stage) -> None:
    async with stage.database.transaction() as session:
        for number, age in enumerate([40, 1]):
            at = stage.now() - timedelta(days=age)
            await inbox.put(session, "stripe", f"evt_{number}", "kind", b"personal", now=at)
            (item,) = await inbox.claim(session, "stripe", now=at, lease=30, limit=1)
            await inbox.done(session, item)
    held = held_by(stage, "one", pace=60)
    async with running(held):
        await asyncio.sleep(0.05)
        held.bell.ring("tidy")

        async def forgotten() -> bool:
            return (await stage.rows(models.Inbox))[0].body is None

        await until(forgotten)
    assert (await stage.rows(models.Inbox))[1].body == b"personal"


async def test_an_unknown_exchange_ends_the_role_with_its_sentence(stage: Stage) -> None:
    book = stage.held.catalogue.model_copy(update={"watches": (watch(exchange_id="binanec"),)})
    held = replace(held_by(stage, "one"), catalogue=book)
    with pytest.RaisesGroup(pytest.RaisesExc(errors.ConfigError, match="Did you mean binance")):
        await scheduler.run(held, asyncio.Event())
    assert (await stage.rows(models.Lease))[0].holder == ""


async def test_a04_a_leader_who_lost_the_lease_asks_again_and_goes_on(stage: Stage) -> None:
    made = scheduler.Scheduler(held_by(stage, "asleep"))
    assert await made._lead()
    stage.skip(60)
    async with stage.database.transaction() as session:
        assert await leases.acquire(session, scan.LEASE, "awake", ttl=15, now=stage.now()) == 2
    assert not await made._lead()
    await made._resign()  # gives nothing back that is another's
    assert (await stage.rows(models.Lease))[0].holder == "awake"
    stage.skip(60)
    assert await made._lead()
    assert made._epoch == 3


def test_the_clock_of_the_scheduler_is_utc(sqlite_stage: Stage) -> None:
    assert scheduler.Scheduler(sqlite_stage.held)._clock.timezone is UTC


async def test_the_head_of_the_record_is_posted_once_a_day(sqlite_stage: Stage) -> None:
    stage = sqlite_stage
    stage.write((NEWEST, 95.0))
    plain = held_by(stage, "one")
    held = replace(plain, catalogue=plain.catalogue.model_copy(update={"record": catalogue.Record(telegram="-77")}))

    async def posts(count: int) -> list[str]:
        rows = [row for row in await stage.rows(Delivery) if row.address == "-77"]
        return [row.payload["day"] for row in rows] if len(rows) >= count else []

    async def posted(count: int) -> bool:
        return bool(await posts(count))

    async with running(held):
        await until(lambda: posted(1))
    async with running(held):  # a process that starts on the same day
        await until(lambda: judged(stage))
        stage.skip(86_400)
        await until(lambda: posted(2))
    assert await posts(2) == ["2023-03-02", "2023-03-03"]


async def test_who_leads_notes_minute_by_minute_how_well_each_part_is(stage: Stage) -> None:
    leader, other = scheduler.Scheduler(held_by(stage, "one")), scheduler.Scheduler(held_by(stage, "two"))

    async def minute() -> list[tuple[str, int, int]]:
        for made in (leader, other):
            made._stack.bell.ring("sample")
            await made._sample()
        stage.skip(60)
        return [(row.part, row.well, row.seen) for row in await stage.rows(models.Uptime)]

    async with stage.database.transaction() as session:
        await health.beat(session, "telegram.inbox", limit=90, now=stage.now())
    assert await minute() == []  # nobody leads
    assert await leader._lead()
    assert not await other._lead()
    assert await minute() == []  # somebody leads, and has looked once
    assert await leader._lead()
    await minute()
    async with stage.database.transaction() as session:
        assert await leases.acquire(session, scan.LEASE, "awake", ttl=15, now=stage.now()) == 3
    assert await minute() == [("telegram.inbox", 0, 60)]
