"""The delivery worker while its database is away."""

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from core import db
from core.delivery import claims
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


async def restarted(server: servers.Postgres) -> None:
    """The server died without a goodbye and is there again."""
    await asyncio.to_thread(server.stop, signal.SIGQUIT)
    await asyncio.to_thread(server.start)


async def test_q10_what_was_sent_while_the_database_was_away_is_settled_when_it_is_back(
    stage: stages.Stage, own_postgres: servers.Postgres
) -> None:
    chats = await stage.join(3)
    stage.world.faults.add(Fault(Kind.DELAY, seconds=1.0, times=3))
    signal_ = await stage.publish()

    async with stage.working():
        await stages.seen(lambda: len(stage.sent()) == 3)  # they lie in the chats, the answer is on its way
        await restarted(own_postgres)
        await stage.settled()

    rows = await stage.rows()
    assert [(row.state, row.ambiguities) for row in rows] == [(State.SENT, 0)] * 3
    assert [len(stage.world.chat(chat)) for chat in chats] == [1] * 3
    assert signal_.id == rows[0].signal_id


async def test_q10_what_was_claimed_when_the_database_went_away_is_delivered_later(
    stage: stages.Stage, own_postgres: servers.Postgres
) -> None:
    [chat] = await stage.join(1)
    slept = asyncio.Event()
    worker = stage.worker()
    prepare = worker._prepare

    async def slowly(*given: object) -> object:
        if not slept.is_set():
            await restarted(own_postgres)  # between the claim and the mark that it is being sent
            slept.set()
        return await prepare(*given)  # type: ignore[arg-type]

    worker._prepare = slowly  # type: ignore[assignment,method-assign]
    await stage.publish(drawable=False)

    async with stage.working(worker):
        await slept.wait()
        await stages.until(lambda: free(stage))
        stage.ring()
        await stage.settled()

    assert len(stage.world.chat(chat)) == 1


async def free(stage: stages.Stage) -> bool:
    """Leases have run out, and what was claimed is free again; true once the row was delivered or is free."""
    if (await stage.rows())[0].state == State.SENT:
        return True
    stage.clock.ahead += timedelta(seconds=31)
    async with stage.held.db.transaction() as session:
        returned, unsure = await claims.recover(session, now=stage.now())
    assert unsure == 0
    return returned == 1
