"""What memory looked like, version by version; only forwards.

`await migrations.upgrade(database)` is all that the product needs; see README.md for making a version.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from core import db, errors

FOLDER = Path(__file__).parent
_LOCK = 0x5349474E414C  # any number that every version of the product agrees on


async def upgrade(database: db.Database) -> None:
    """The schema is the newest, whoever else asks for it now; raises ConfigError when it is newer than this program."""
    async with _alone(database) as connection:
        await connection.run_sync(_upgrade)


async def pending(database: db.Database) -> bool:
    """Whether the schema is behind; raises ConfigError when it is newer than this program."""
    async with database.reading() as session:
        connection = await session.connection()
        return await connection.run_sync(_version) != scripts().get_current_head()


def config() -> Config:
    """Alembic's configuration; there is no alembic.ini."""
    made = Config()
    made.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    return made


def scripts() -> ScriptDirectory:
    """The versions in this folder."""
    return ScriptDirectory.from_config(config())


def _upgrade(connection: Connection) -> None:
    _version(connection)
    asked = config()
    asked.attributes["connection"] = connection
    command.upgrade(asked, "head")


def _version(connection: Connection) -> str | None:
    version = MigrationContext.configure(connection).get_current_revision()
    if version is not None and version not in {script.revision for script in scripts().walk_revisions()}:
        raise errors.ConfigError(
            f"The database has schema version {version}, which this version of SignalStack does not know; "
            "install the newer SignalStack again, or restore a backup."
        )
    return version


@asynccontextmanager
async def _alone(database: db.Database) -> AsyncIterator[AsyncConnection]:
    """A transaction that only one process has at a time: all of a migration happens or nothing."""
    if database.dialect == "sqlite":
        async with database.engine.connect() as connection, _unchecked(connection), connection.begin():
            yield connection  # the transaction began IMMEDIATE (core.db), so another writer waits
        return
    engine = create_async_engine(database.url, poolclass=NullPool)  # without the product's limit of 30 s a statement
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection
    finally:
        await engine.dispose()


@asynccontextmanager
async def _unchecked(connection: AsyncConnection) -> AsyncIterator[None]:
    """Foreign keys sleep: SQLite changes a table by copying and dropping it, which would delete what refers to it."""
    raw = (await connection.get_raw_connection()).driver_connection
    if raw is None:
        raise errors.UnreachableError("The database has no connection.")
    await raw.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        await raw.execute("PRAGMA foreign_keys=ON")
