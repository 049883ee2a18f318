"""Stages for the delivery worker and its role."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from core import db
from tests import conftest
from tests.bot import stage as stages
from tests.sandbox import history, server, telegram


@pytest.fixture
async def open_stage(sqlite_database: db.Database, make_stack: conftest.StackMaker) -> AsyncIterator[stages.Opener]:
    """Opens a stage: `await open_stage(database=<an SQLite one>, limits=<none>, **settings)`."""
    async with AsyncExitStack() as opened:

        async def make(
            *, database: db.Database = sqlite_database, limits: telegram.Limits | None = None, **settings: Any
        ) -> stages.Stage:
            world = telegram.Telegram(history.History(), limits=limits or telegram.Limits.off())
            address = await opened.enter_async_context(server.serving(world.app))
            stage = await stages.opened(world, address, make_stack, database, **settings)
            opened.push_async_callback(stage.bot.stop)
            return stage

        yield make


@pytest.fixture
async def stage(open_stage: stages.Opener) -> stages.Stage:
    """A stage on SQLite without limits of the platform."""
    return await open_stage()
