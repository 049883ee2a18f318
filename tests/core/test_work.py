"""Work goes on through failures, ends when it is told to, and is seen when it hangs."""

import asyncio
import time
from collections.abc import Callable

import pytest
import structlog
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from core import db, errors, models, work
from tests.conftest import StackMaker


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_LONGEST_PAUSE", 0.0)


class Steps:
    """A step that fails with each of these errors in turn, and then tells the work to stop."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures, self.stop, self.taken = list(failures), asyncio.Event(), 0

    async def __call__(self) -> None:
        self.taken += 1
        if self.failures:
            raise self.failures.pop(0)
        self.stop.set()


@pytest.mark.parametrize(
    ("failure", "level", "said"),
    [
        (errors.UnreachableError("binance sleeps."), "warning", "binance sleeps."),
        (errors.LostLeaseError("taken over."), "warning", "taken over."),
        (OperationalError("SELECT 1", {}, Exception("away"), connection_invalidated=True), "warning", "database away"),
        (ConnectionRefusedError(111, "refused"), "warning", "database away (ConnectionRefusedError)"),
        (ZeroDivisionError("division by zero"), "error", "division by zero"),
    ],
)
async def test_whatever_fails_is_logged_and_tried_again(failure: Exception, level: str, said: str) -> None:
    steps = Steps(failure, failure)
    with structlog.testing.capture_logs() as lines:
        await work.repeat("scan", steps, steps.stop)
    assert steps.taken == 3
    assert [(line["log_level"], line["event"], line["work"], line["failures"]) for line in lines] == [
        (level, "work_failed", "scan", 1),
        (level, "work_failed", "scan", 2),
    ]
    assert said in lines[0]["error"]
    assert lines[0].get("exc_info") is (failure if level == "error" else None)


async def test_failures_are_counted_anew_after_a_success() -> None:
    stop, seen = asyncio.Event(), iter([ValueError, None, ValueError, None])

    async def step() -> None:
        kind = next(seen, StopIteration)
        if kind is StopIteration:
            stop.set()
        elif kind:
            raise kind

    with structlog.testing.capture_logs() as lines:
        await work.repeat("sweep", step, stop)
    assert [line["failures"] for line in lines] == [1, 1]


async def test_only_a_fault_of_the_configuration_ends_the_work() -> None:
    steps = Steps(errors.ConfigError("CCXT_EXCHANGE: unknown."))
    with pytest.raises(errors.ConfigError):
        await work.repeat("scan", steps, steps.stop)


async def test_cancelling_is_not_a_failure() -> None:
    steps = Steps(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await work.repeat("scan", steps, steps.stop)


async def test_work_that_was_stopped_before_does_nothing() -> None:
    steps = Steps()
    steps.stop.set()
    await work.repeat("scan", steps, steps.stop)
    assert steps.taken == 0


async def test_a_pause_ends_with_the_stop() -> None:
    stop = asyncio.Event()
    began = time.monotonic()
    await work.pause(stop, 0.02)
    asyncio.get_running_loop().call_soon(stop.set)
    await work.pause(stop, 30)
    assert 0.02 <= time.monotonic() - began < 5


def _silent(pulse: work.Pulse, seconds: float) -> Callable[[], float]:
    pulse.last = time.monotonic() - seconds
    return lambda: pulse.silent_for


async def test_a_part_that_hangs_ends_the_process_with_one_line(
    sqlite_database: db.Database, make_stack: StackMaker
) -> None:
    held = await make_stack(sqlite_database)
    alive, dead = work.Pulse(held, "bot.poll", limit=90), work.Pulse(held, "scheduler.scan", limit=90)
    assert _silent(dead, 91)() >= 91
    with pytest.raises(errors.UnreachableError, match=r"scheduler\.scan has made no progress for 91 seconds"):
        await work.watch([alive, dead], asyncio.Event())


async def test_a_watch_ends_with_the_stop(sqlite_database: db.Database, make_stack: StackMaker) -> None:
    pulse, stop = work.Pulse(await make_stack(sqlite_database), "bot.poll", limit=90), asyncio.Event()
    asyncio.get_running_loop().call_soon(stop.set)
    await work.watch([pulse], stop)


async def test_a_beat_is_written_every_few_seconds_and_no_oftener(
    database: db.Database, make_stack: StackMaker
) -> None:
    pulse = work.Pulse(await make_stack(database), "scheduler.scan", limit=90)
    _silent(pulse, 50)
    for note in ("first", "second"):
        await pulse.beat(note)
    assert pulse.silent_for < 5
    pulse._written -= 6
    await pulse.beat("third")
    pulse._written -= 1
    await pulse.beat("fourth")
    async with database.reading() as session:
        (row,) = await session.scalars(select(models.Heartbeat))
    assert (row.part, row.limit, row.note) == ("scheduler.scan", 90, "third")


async def test_a_beat_hides_no_fault_of_our_own(database: db.Database, make_stack: StackMaker) -> None:
    async with database.transaction() as session:
        await session.execute(text("DROP TABLE heartbeats"))
    with pytest.raises(DBAPIError):
        await work.Pulse(await make_stack(database), "scheduler.scan", limit=90).beat()


async def test_progress_counts_even_when_the_database_is_away(make_stack: StackMaker) -> None:
    away = db.Database("postgresql://signalstack@127.0.0.1:1/none")
    pulse = work.Pulse(await make_stack(away), "scheduler.scan", limit=90)
    _silent(pulse, 50)
    with structlog.testing.capture_logs() as lines:
        await pulse.beat()
    assert pulse.silent_for < 5
    assert [line["event"] for line in lines] == ["heartbeat_not_written"]
    await away.close()
