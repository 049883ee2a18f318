"""The delivery worker while its database is away."""

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import structlog

from core import db
from core.delivery import recovery
from core.models import State
from tests import databases, servers
from tests.bot import stage as stages
from tests.bot.stage import Fault, Kind


@pytest.fixture
async def stage(own_postgres: servers.Postgres, open_stage: stages.Opener) -> AsyncIterator[stages.Stage]:
    """A stage on a PostgreSQL that the test may stop."""
    await databases.create_tables(own_postgres.url)
    database = db.Database(own_postgres.url)
    yield await open_stage(database=database)
    await database.close()


async def died(server: servers.Postgres) -> None:
    await asyncio.to_thread(server.stop, signal.SIGQUIT)


async def test_q10_what_was_sent_while_the_database_was_away_is_settled_when_it_is_back(
    stage: stages.Stage, own_postgres: servers.Postgres
) -> None:
    chats = await stage.join(3)
    stage.world.faults.add(Fault(Kind.DELAY, seconds=0.5, times=3))
    await stage.publish()
    worker, tries = stage.worker(), 0
    settle = worker._settle

    async def counted(ending: Any) -> None:
        nonlocal tries
        tries += 1
        await settle(ending)

    worker._settle = counted  # type: ignore[assignment]
    async with stage.working(worker):
        await stages.seen(lambda: len(stage.sent()) == 3)  # they lie in the chats, the answer is on its way
        await died(own_postgres)
        await stages.seen(lambda: tries > 3)
        await asyncio.to_thread(own_postgres.start)
        await stage.settled()

    assert [(row.state, row.ambiguities) for row in await stage.rows()] == [(State.SENT, 0)] * 3
    assert [len(stage.world.chat(chat)) for chat in chats] == [1] * 3


async def test_q10_what_was_claimed_when_the_database_went_away_is_delivered_later(
    stage: stages.Stage, own_postgres: servers.Postgres
) -> None:
    [chat] = await stage.join(1)
    worker = stage.worker()
    prepare, gone = worker._prepare, False

    async def slowly(*given: Any) -> Any:
        nonlocal gone
        if not gone:
            gone = True
            await died(own_postgres)  # between the claim and the mark that it is being sent
        return await prepare(*given)

    worker._prepare = slowly  # type: ignore[method-assign]
    with structlog.testing.capture_logs() as lines:
        await stage.publish(drawable=False)
        async with stage.working(worker):
            await stages.seen(lambda: any(line["event"] == "delivery_interrupted" for line in lines))
            await asyncio.to_thread(own_postgres.start)
            stage.clock.ahead = timedelta(seconds=31)
            async with stage.held.db.transaction() as session:
                assert await recovery.recover(session, now=stage.now()) == (1, 0)
            await stage.settled()

    assert len(stage.world.chat(chat)) == 1
    assert [(row.state, row.ambiguities) for row in await stage.rows()] == [(State.SENT, 0)]
