"""The stage on which the scan is played."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from core import catalogue, db, strategies
from tests.conftest import StackMaker
from tests.core import people
from tests.core.signals import stage as stages
from tests.sandbox.server import serving


async def _opened(database: db.Database, make_stack: StackMaker) -> AsyncIterator[stages.Stage]:
    clock = stages.Clock()
    standin = stages.world(clock)
    async with AsyncExitStack() as opened, serving(standin.app) as url:
        book = catalogue.Catalogue(plans=(people.ALL, people.BITCOIN, people.ETHER))
        made = stages.Stage(clock, standin, url, database, await make_stack(database, book=book), opened)
        made.held = replace(made.held, clock=made.now)
        yield made


@pytest.fixture
async def stage(database: db.Database, make_stack: StackMaker) -> AsyncIterator[stages.Stage]:
    """An exchange with calm markets, 40 candles old, and a database; the test runs once on each kind."""
    async for made in _opened(database, make_stack):
        yield made


@pytest.fixture
async def sqlite_stage(sqlite_database: db.Database, make_stack: StackMaker) -> AsyncIterator[stages.Stage]:
    """The same with SQLite only, for what does not depend on the database."""
    async for made in _opened(sqlite_database, make_stack):
        yield made


@pytest.fixture
def witness(monkeypatch: pytest.MonkeyPatch) -> type[stages.Witness]:
    """The plug-in `witness` is installed and has seen nothing yet."""
    monkeypatch.setitem(strategies._registry(), "witness", stages.Witness)
    stages.Witness.seen.clear()
    return stages.Witness
