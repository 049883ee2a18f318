"""Fixtures for everybody: real databases, a real Redis, an opened stack, and a world without the developer's `.env`."""

import asyncio
import gc
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import make_url

from core import catalogue, clock, db, stack
from core import settings as core_settings
from tests import compiled, databases, servers
from tests.browser import chromium

_RUN = "SIGNALSTACK_TEST_RUN"
_HERE = Path(__file__).parent
_LONG = {"proofs", "browser", "bench", "rights", "test_every_strategy.py", "test_membership_machine.py"}
_LONG |= {"test_seats_machine.py", "test_canaries.py", "test_equality.py", "test_drift.py"}
_opened: list[servers.Run] = []


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # pytest-xdist: the workers use the run of the one who started them
        _opened.append(servers.Run())
        os.environ[_RUN] = str(_opened[0].folder)

    compiled.share()
    # As the product writes them; by itself structlog draws each traceback with its source and its variables.
    *processors, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*processors, plain])


def pytest_unconfigure() -> None:
    while _opened:
        _opened.pop().close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Files go to the workers in this order, and the last long one decides when all of them end.
    items.sort(key=lambda item: _LONG.isdisjoint(item.path.relative_to(_HERE).parts))


def pytest_collection_finish() -> None:
    # Thousands of collected tests are looked through at every full collection of garbage, which then stops a process
    # for seconds in the middle of a test: longer than Discord waits for an answer. They stay until the end anyway.
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    # Here and not beside the browser tests: with pytest-xdist only this file is loaded in the process that reports.
    if sentence := chromium.left_out(config.args, config.rootpath):
        terminalreporter.write_line(sentence)


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """No setting of this machine reaches a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in core_settings.Settings.model_fields:
            patch.delenv(name.upper(), raising=False)
        yield


@pytest.fixture(scope="session")
def database_maker() -> Iterator[databases.Maker]:
    folder = Path(os.environ[_RUN])
    url = os.environ.get("TEST_DATABASE_URL") or servers.shared(folder, servers.Postgres)
    with databases.Maker(url) as maker:
        yield maker


@pytest.fixture
def postgres_url(database_maker: databases.Maker) -> Iterator[str]:
    """A PostgreSQL database of this test alone, with every table."""
    url = database_maker.filled()
    yield url
    database_maker.drop(url)


@pytest.fixture
def empty_postgres_url(database_maker: databases.Maker) -> Iterator[str]:
    """A PostgreSQL database of this test alone, without tables."""
    url = database_maker.empty()
    yield url
    database_maker.drop(url)


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    alone(databases.create_tables(f"sqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """An SQLite database of this test alone, with every table."""
    return f"sqlite:///{shutil.copy(_sqlite_template, tmp_path / 'signalstack.db')}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database of this test alone, with every table; the test runs once on each kind."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


async def _open(url: str) -> AsyncIterator[db.Database]:
    database = db.Database(url)
    yield database
    await database.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[db.Database]:
    """An open database with every table; the test runs once on each kind."""
    async for database in _open(database_url):
        yield database


@pytest.fixture
async def sqlite_database(sqlite_url: str) -> AsyncIterator[db.Database]:
    """An open SQLite database with every table."""
    async for database in _open(sqlite_url):
        yield database


@pytest.fixture
async def postgres_database(postgres_url: str) -> AsyncIterator[db.Database]:
    """An open PostgreSQL database with every table."""
    async for database in _open(postgres_url):
        yield database


@pytest.fixture(scope="session")
def _redis_url(worker_id: str) -> str:
    given = os.environ.get("TEST_REDIS_URL")
    if not given:
        # One for each worker: channels and FLUSHALL reach over the borders of a Redis database.
        return servers.shared(Path(os.environ[_RUN]), servers.Redis, f"redis-{worker_id}")
    number = int(worker_id.removeprefix("gw")) if worker_id != "master" else 0
    return make_url(given).set(database=str(number)).render_as_string(hide_password=False)


@pytest.fixture
def redis_url(_redis_url: str) -> str:
    """A Redis database that is empty and that no other test uses now."""
    import redis

    with redis.Redis.from_url(_redis_url) as client:
        client.flushdb()
    return _redis_url


@pytest.fixture
def own_redis() -> Iterator[servers.Redis]:
    """A running Redis that the test may stop, let hang and start again."""
    with servers.run() as run:
        server = servers.Redis(run.folder / "redis")
        server.start()
        yield server


@pytest.fixture
def own_postgres() -> Iterator[servers.Postgres]:
    """A running PostgreSQL that the test may stop and start again; its databases are empty."""
    with servers.run() as run:
        server = servers.Postgres(run.folder / "postgres")
        server.start()
        yield server


@pytest.fixture
def now() -> datetime:
    """The moment at which tests play."""
    return datetime(2026, 1, 15, 12, tzinfo=UTC)


StackMaker = Callable[..., Awaitable[stack.Stack]]


@pytest.fixture
async def make_stack() -> AsyncIterator[StackMaker]:
    """Opens stacks: `await make_stack(database, redis_url="", book=None, clock=utcnow, **settings)`."""
    async with AsyncExitStack() as opened:

        async def make(
            database: db.Database,
            *,
            redis_url: str = "",
            book: catalogue.Catalogue | None = None,
            clock: clock.Clock = clock.utcnow,
            **overrides: Any,
        ) -> stack.Stack:
            conf = make_settings(database, redis_url=redis_url, **overrides)
            made = await opened.enter_async_context(stack.opened(conf, book or make_catalogue(conf), now=clock))
            # Two engines on one SQLite file would wait for each other in steps; the test and the stack share one.
            return replace(made, db=database)

        yield make


def make_settings(database: db.Database, **overrides: Any) -> core_settings.Settings:
    """Settings for this database that read nothing from outside."""
    url = database.url.render_as_string(hide_password=False)
    values = {"database_url": url, "secret_key": "a-secret-only-for-tests", **overrides}
    return core_settings.Settings(_env_file=None, **values)


def make_catalogue(conf: core_settings.Settings) -> catalogue.Catalogue:
    """The catalogue of an operator without signalstack.toml: the markets of the settings and one plan."""
    plan = catalogue.Plan(key="signals", name="Signals", price_id=conf.stripe_price_id)
    return catalogue.Catalogue(watches=core_settings._watches(conf), plans=(plan,))


def alone(work: Any) -> None:
    """The work is done on a loop in a thread, because the test's own loop may be running."""
    import threading

    thread = threading.Thread(target=lambda: asyncio.run(work))
    thread.start()
    thread.join()


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """The name of this pytest-xdist worker, "master" without it (also when the plugin is switched off)."""
    with suppress(AttributeError):
        name: str = request.config.workerinput["workerid"]  # type: ignore[attr-defined]
        return name
    return "master"
