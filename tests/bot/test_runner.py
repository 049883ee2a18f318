"""Role "bot": what starts, what is watched, and how it ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from bot import commands, platforms, runner
from bot.platforms.telegram import listening
from core import db, errors, inbox, models, rounds, settings, work
from core.delivery import outcomes, pacing
from tests import conftest
from tests.bot import stage as stages
from tests.bot.stage import Fault, Kind


@asynccontextmanager
async def running(
    stage: stages.Stage, *found: platforms.Platform, fails: bool = False
) -> AsyncIterator[asyncio.Task[None]]:
    """The role runs on this stage until the block ends; then it is stopped in good order, unless it `fails` before."""
    stop = asyncio.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platforms, "enabled", lambda _: list(found) or [stage.bot])
        task = asyncio.create_task(runner.run(stage.held, stop))
        try:
            yield task
        finally:
            stop.set()
            await asyncio.wait({task})
    if not fails:
        await task


async def test_a_question_is_heard_answered_and_delivered(stage: stages.Stage) -> None:
    [chat] = await stage.join(1)

    async with running(stage):
        await stage.world.start(chat)
        await stages.seen(lambda: stage.world.chat(chat)[1:])
        signal = await stage.publish(drawable=False)
        await stages.seen(lambda: any(f"#{signal.id}" in line for line in stage.texts(chat)))

    async with stage.held.db.reading() as session:
        lease = await session.get_one(models.Lease, listening.LEASE)
        assert lease.holder == ""
        for part in ("telegram.inbox", "telegram.delivery", "telegram.answers"):
            assert (await session.get_one(models.Heartbeat, part)).limit == 90


async def test_t09_a_listener_that_went_silent_ends_the_process_with_one_clear_line(stage: stages.Stage) -> None:
    async with running(stage, fails=True) as task:
        await stages.seen(stage.world.updates.polling.is_set)
        stage.bot.last_progress = time.monotonic() - 91
        await asyncio.wait({task}, timeout=10)
        [line] = leaves(task.exception())

    assert isinstance(line, errors.UnreachableError)
    assert str(line).startswith("telegram.poller has made no progress for 9")


def leaves(error: BaseException | None) -> list[BaseException | None]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in leaves(inner)]


async def test_t09_a_404_on_get_updates_does_not_end_the_listener(stage: stages.Stage) -> None:
    stage.world.faults.add(Fault(Kind.REFUSE, "getUpdates", code=404))
    [chat] = await stage.join(1)

    async with running(stage):
        await stage.world.start(chat)
        await stages.seen(lambda: stage.world.chat(chat)[1:])


async def test_t11_an_update_that_failed_is_tried_again(stage: stages.Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    [chat] = await stage.join(1)
    answer, tries = commands.answer, 0

    async def failing(*given: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("a fault of ours")
        return await answer(*given)

    monkeypatch.setattr(commands, "answer", failing)

    async with running(stage):
        await stage.world.start(chat)
        await stages.seen(lambda: tries)
        stage.clock.ahead += timedelta(seconds=5)
        await stages.seen(lambda: stage.world.chat(chat)[1:])

    assert tries == 2


class Deaf:
    """A platform whose items are always taken over by somebody else."""

    name = "deaf"
    keeps_pictures = False

    def __init__(self) -> None:
        self.last_progress = time.monotonic()
        self.applied = 0
        self.stopped = False
        self.reachable = True

    async def start(self) -> None:
        if not self.reachable:
            await asyncio.Event().wait()

    async def stop(self) -> None:
        self.stopped = True

    async def listen(self) -> None:
        await asyncio.Event().wait()

    async def apply(self, item: inbox.Item) -> None:
        self.applied += 1
        raise errors.LostLeaseError("taken over")

    async def send(self, parcel: platforms.Parcel) -> outcomes.Outcome:
        return outcomes.Refused("deaf")

    async def attempt(self, act: platforms.Act) -> outcomes.Outcome:
        return outcomes.Refused("deaf")

    async def inspect(self, place: models.Place) -> list[str]:
        return []

    async def roster(self, place: models.Place, known: Sequence[str]) -> rounds.Roster:
        return rounds.Roster(datetime.now(UTC), {})

    def limits(self, conf: settings.Settings) -> pacing.Limits:
        return pacing.Limits()

    def group(self, address: str) -> bool:
        return False


class Away(Deaf):
    """A platform that cannot be reached at first."""

    name = "away"
    starts = 0

    async def start(self) -> None:
        self.starts += 1
        if self.starts < 3:
            raise errors.UnreachableError("away does not answer")


async def test_a_platform_that_is_away_holds_up_no_other_and_is_tried_again(
    stage: stages.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_NOT_REACHED", 0.05)
    away = Away()
    [chat] = await stage.join(1)
    async with stage.held.db.transaction() as session:
        await inbox.put(session, "away", "1", "message", b"{}", now=stage.now())

    async with running(stage, stage.bot, away):
        await stage.world.start(chat)
        await stages.seen(lambda: stage.world.chat(chat)[1:])
        await stages.seen(lambda: away.applied)

    assert away.starts == 3


async def test_an_item_that_another_worker_took_over_is_left_alone(stage: stages.Stage) -> None:
    deaf = Deaf()
    async with stage.held.db.transaction() as session:
        await inbox.put(session, "deaf", "1", "message", b"{}", now=stage.now())

    async with running(stage, deaf):
        await stages.seen(lambda: deaf.applied)

    async with stage.held.db.reading() as session:
        item = await session.get_one(models.Inbox, 1)
    assert (item.state, item.attempts) == ("claimed", 1)
    assert deaf.stopped


async def test_q12_a_stop_is_heard_while_the_platform_is_still_being_reached(stage: stages.Stage) -> None:
    deaf = Deaf()
    deaf.reachable = False

    async with running(stage, deaf) as task:
        await asyncio.sleep(0.01)
        assert not task.done()

    assert deaf.stopped


async def test_t21_a_wrong_token_ends_the_role(stage: stages.Stage) -> None:
    stage.world.faults.add(Fault(Kind.REFUSE, "getMe", code=401))

    async with running(stage, fails=True) as task:
        await asyncio.wait({task}, timeout=10)

    assert [type(error) for error in leaves(task.exception())] == [errors.ConfigError]


async def test_without_a_platform_the_role_says_so_and_waits(
    sqlite_database: db.Database, make_stack: conftest.StackMaker
) -> None:
    held, stop = await make_stack(sqlite_database), asyncio.Event()

    with structlog.testing.capture_logs() as lines:
        task = asyncio.create_task(runner.run(held, stop))
        await asyncio.sleep(0.01)
        assert not task.done()
        stop.set()
        await task

    assert [line["event"] for line in lines] == ["bot_without_platform"]


async def test_watching_ends_with_the_stop() -> None:
    stop = asyncio.Event()
    stop.set()
    await work.watch([], stop)
