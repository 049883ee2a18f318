"""The loop that works on backtests: real candles in a real table, and what it says when something is wrong."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core import catalogue, db, scheduler, stack, work
from core.backtest import jobs, report, worker
from core.models import Backtest
from tests import conftest
from tests.core import people
from tests.core.backtest import stored
from tests.core.signals.stage import Stage
from tests.core.test_scheduler import until

BOOK = catalogue.Catalogue(watches=(catalogue.Watch(symbol="BTC/USDT"),), plans=(people.ALL,))


@pytest.fixture
async def held(database: db.Database, make_stack: conftest.StackMaker) -> stack.Stack:
    await stored.fill(database)
    return await make_stack(database, book=BOOK, lease_seconds=1.0)


async def asked(held: stack.Stack, **given: Any) -> int:
    """The number of a job that waits."""
    now = held.clock()
    async with held.db.transaction() as session:
        who = await people.payer(session, now)
        named = {"symbol": "BTC/USDT", "strategy": "mean_reversion", "timeframe": "1h"} | given
        question = jobs.Question(who.member_id, **named, platform="telegram", address="7", home="7")
        return (await jobs.ask(session, question, now=now))[0].id


@asynccontextmanager
async def working(held: stack.Stack) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    task = asyncio.create_task(work.repeat("backtests", worker.Worker(held, stop).step, stop))
    try:
        yield stop
    finally:
        stop.set()
        held.bell.ring(jobs.TOPIC)
        async with asyncio.timeout(20):
            await task


async def row(held: stack.Stack, number: int) -> Backtest:
    async with held.db.reading() as session:
        return (await session.scalars(select(Backtest).where(Backtest.id == number))).one()


async def ended(held: stack.Stack, number: int) -> Backtest:
    async def over() -> bool:
        return (await row(held, number)).state not in {"pending", "running"}

    await until(over)
    return await row(held, number)


async def test_a_job_is_computed_as_the_report_says_and_answered(held: stack.Stack) -> None:
    number = await asked(held)

    async with working(held):
        done = await ended(held, number)

    said = await report.from_table(held.db, BOOK, "BTC/USDT", "mean_reversion", "1h")
    [delivery] = await people.deliveries(held.db)
    assert (done.state, done.error, done.attempts) == ("done", "", 1)
    assert done.result == said
    assert said["summary"]["trades"] > 0
    assert delivery.payload == {
        "backtest": {"id": number, **{name: value for name, value in said.items() if name != "equity"}}
    }


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"timeframe": "4h"}, "There are no stored 4h candles of BTC/USDT on binance"),
        ({"strategy": "moon"}, "there is no strategy 'moon'"),
    ],
)
async def test_what_cannot_be_computed_is_one_sentence(held: stack.Stack, given: Any, sentence: str) -> None:
    number = await asked(held, **given)

    async with working(held):
        failed = await ended(held, number)

    [delivery] = await people.deliveries(held.db)
    assert failed.state == "failed"
    assert sentence in failed.error
    assert delivery.payload is not None
    assert delivery.payload["backtest"]["error"] == failed.error


async def test_a_strategy_that_breaks_names_no_inner_words(held: stack.Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> Any:
        raise ZeroDivisionError("secret path /home/x")

    monkeypatch.setattr(report, "from_table", broken)
    number = await asked(held)

    async with working(held):
        failed = await ended(held, number)

    assert failed.error == "The strategy mean_reversion failed: ZeroDivisionError."


async def test_a_job_of_a_killed_process_is_taken_again_twice_at_most(held: stack.Stack) -> None:
    number = await asked(held)
    now = held.clock()
    async with held.db.transaction() as session:
        for ago in (40, 30):  # two processes died with it
            claimed = await jobs.claim(session, now=now - timedelta(seconds=ago), lease=1)
            assert claimed is not None

    async with working(held):
        done = await ended(held, number)
    assert (done.state, done.attempts) == ("done", 3)

    other = await asked(held)
    async with held.db.transaction() as session:
        dead = {"state": "running", "attempts": 3, "lease_until": now - timedelta(seconds=1)}
        await session.execute(update(Backtest).where(Backtest.id == other).values(**dead))
    async with working(held):
        failed = await ended(held, other)
    assert (failed.state, failed.attempts) == ("failed", 4)
    assert "could not be finished three times" in failed.error


async def test_a_long_job_keeps_its_lease_and_a_stop_gives_it_back(
    held: stack.Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def endless(*_: Any) -> Any:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(report, "from_table", endless)
    number = await asked(held)

    async with working(held):
        await begun.wait()
        first = (await row(held, number)).lease_until

        async def renewed() -> bool:
            return (await row(held, number)).lease_until != first

        await until(renewed)

    waiting = await row(held, number)
    assert (waiting.state, waiting.attempts, waiting.lease_until) == ("pending", 0, None)


async def test_a_job_that_another_worker_has_taken_over_is_left_to_it(
    held: stack.Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def endless(*_: Any) -> Any:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(report, "from_table", endless)
    number = await asked(held)

    async with working(held) as stop:
        await begun.wait()
        async with held.db.transaction() as session:
            theirs = {"attempts": 2, "lease_until": held.clock() + timedelta(hours=1)}
            await session.execute(update(Backtest).where(Backtest.id == number).values(**theirs))
        await asyncio.sleep(0.6)  # longer than a third of the lease
        assert not stop.is_set()

    assert ((await row(held, number)).state, (await row(held, number)).attempts) == ("running", 2)
    assert await people.deliveries(held.db) == []


async def test_what_takes_too_long_is_said(held: stack.Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_LONGEST", 0.05)
    monkeypatch.setattr(report, "from_table", lambda *_: asyncio.sleep(60))
    number = await asked(held)

    async with working(held):
        failed = await ended(held, number)

    assert "longer than five minutes" in failed.error


async def test_the_scheduler_works_on_backtests_beside_its_scans(stage: Stage) -> None:
    book = stage.held.catalogue.model_copy(update={"watches": BOOK.watches})
    settings = stage.held.settings.model_copy(update={"exchange_api_url": stage.url, "scan_seconds": 60.0})
    held = replace(stage.held, catalogue=book, settings=settings)
    await stored.fill(held.db)
    number = await asked(held)
    stop = asyncio.Event()
    task = asyncio.create_task(scheduler.run(held, stop))

    done = await ended(held, number)
    stop.set()
    await task

    assert done.state == "done"
