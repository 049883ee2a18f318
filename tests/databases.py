"""Fresh PostgreSQL databases, cloned from a template in some milliseconds and dropped afterwards."""

import asyncio
import secrets
import threading
from collections.abc import Coroutine
from typing import Any, Self

import asyncpg
from alembic.runtime.migration import MigrationContext
from sqlalchemy import make_url

import migrations
from core import db, models


class Maker:
    """Makes and drops databases on one server, over one connection that lives in a thread of its own.

    The thread lets fixtures with and without an event loop use it alike.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="postgres-maker", daemon=True)
        self._template = f"test_{secrets.token_hex(6)}_template"
        self._ready = False

    def __enter__(self) -> Self:
        self._thread.start()
        self._connection: Any = self._do(asyncpg.connect(self._text(self._url.database)))
        return self

    def __exit__(self, *_: object) -> None:
        if self._ready:
            self.drop(self._text(self._template))
        self._do(self._connection.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def empty(self) -> str:
        """The URL of a new database without tables."""
        return self._create("template0")

    def filled(self) -> str:
        """The URL of a new database with every table."""
        if not self._ready:
            self._run(f"CREATE DATABASE {self._template} TEMPLATE template0")
            self._do(create_tables(self._text(self._template)))
            self._ready = True
        return self._create(self._template)

    def drop(self, url: str) -> None:
        """The database is gone, whoever was connected to it."""
        self._run(f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)")

    def _create(self, template: str) -> str:
        name = f"test_{secrets.token_hex(6)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self._text(name)

    def _run(self, statement: str) -> None:
        self._do(self._connection.execute(statement))

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def _text(self, database: str | None) -> str:
        return self._url.set(database=database).render_as_string(hide_password=False)


async def create_tables(url: str) -> None:
    """The database has every table of the models and counts as migrated; tests/migrations proves it the same."""
    database = db.Database(url)
    try:
        async with database.engine.begin() as connection:
            await connection.run_sync(models.Base.metadata.create_all)
            await connection.run_sync(
                lambda inner: MigrationContext.configure(inner).stamp(migrations.scripts(), "head")
            )
    finally:
        await database.close()
