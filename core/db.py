"""The database: one engine, and two ways to talk to it, `transaction` (writes) and `reading`.

SQLite has one writer. Waiting for it inside SQLite means sleeping in steps, so the writers of this process queue
at a lock of our own, and every writing transaction begins IMMEDIATE: it can never fail halfway because another
process wrote in between.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiosqlite
import orjson
from sqlalchemy import Connection, CursorResult, UpdateBase, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as NoneFreeError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from core import errors, tracing

# What a restart of the database looks like from here, or one whose connections are all in use; worth another try.
UNAVAILABLE = (OperationalError, InterfaceError, NoneFreeError, ConnectionError, TimeoutError, OSError)
# PostgreSQL's words for the same: connection lost, out of connections or space, starting or stopping, and a deadlock.
_AWAY = ("08", "40", "53", "57P")

_RESTED = 1.0
"""Seconds after which a connection to PostgreSQL is no longer taken on trust."""


def normalised(url: str) -> URL:
    """The URL with the driver that SignalStack uses: aiosqlite or asyncpg, whatever driver the operator named."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number; its text may show the password
        raise errors.ConfigError(
            "DATABASE_URL is not a database address; write sqlite+aiosqlite:///file.db or postgresql://user@host/name."
        ) from None
    backend = parsed.get_backend_name()
    if backend in {"postgresql", "postgres"}:
        # Hosted databases hand out addresses with libpq's word for TLS; asyncpg says `ssl`.
        query = {"ssl" if name == "sslmode" else name: value for name, value in parsed.query.items()}
        return parsed.set(drivername="postgresql+asyncpg", query=query)
    if backend == "sqlite":
        return parsed.set(drivername="sqlite+aiosqlite")
    raise errors.ConfigError(f"DATABASE_URL names {backend}; SignalStack works with SQLite and PostgreSQL.")


class Database:
    """An open database; `dialect` is "sqlite" or "postgresql"."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = normalised(url)
        self.dialect = self.url.get_backend_name()
        self.engine = self._engine(pool_size)
        self._write = async_sessionmaker(self.engine, expire_on_commit=False)
        reading = self.engine.execution_options(sqlite_begin="DEFERRED")
        self._read = async_sessionmaker(reading, expire_on_commit=False)
        alone = {"sqlite_begin": ""} if self.dialect == "sqlite" else {"isolation_level": "AUTOCOMMIT"}
        self._glance = async_sessionmaker(self.engine.execution_options(**alone), expire_on_commit=False)
        self._writer = asyncio.Lock() if self.dialect == "sqlite" else None

    def _engine(self, pool_size: int) -> AsyncEngine:
        if self.dialect == "sqlite":
            connecting = {"timeout": 15, "async_creator_fn": _sqlite}
            engine = create_async_engine(self.url, connect_args=connecting)
            event.listen(engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(engine.sync_engine, "begin", _begin_sqlite)
            return engine
        engine = create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=10,
            pool_timeout=10,
            connect_args={"timeout": 5, "command_timeout": 30, "server_settings": {"application_name": "signalstack"}},
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
        )
        event.listen(engine.sync_engine, "checkin", _stamp)
        event.listen(engine.sync_engine, "checkout", _ask_whether_it_lives)
        return engine

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """All or nothing of what the block writes is in the database when the block ends."""
        if self._writer is None:
            async with tracing.span("transaction", inner=True), self._write.begin() as session:
                yield session
            return
        async with tracing.span("transaction", inner=True), self._writer, self._write.begin() as session:
            yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session for reading; what it writes is thrown away."""
        async with self._read() as session:
            yield session

    @asynccontextmanager
    async def glancing(self) -> AsyncIterator[AsyncSession]:
        """A session for a single statement that reads; no transaction is begun, which is most of what it would cost."""
        async with self._glance() as session:
            yield session

    async def close(self) -> None:
        """Every connection is closed."""
        await self.engine.dispose()


class _SQLite(aiosqlite.Connection):
    """A connection whose thread is told once to end.

    SQLAlchemy closes and stops one whose task was cancelled; who tells it twice waits for ever: the thread is gone.
    """

    _told = False

    def stop(self) -> asyncio.Future[Any] | None:
        if self._told:
            return None
        self._told = True
        return super().stop()


def _sqlite(database: str, **options: Any) -> aiosqlite.Connection:
    connection = _SQLite(lambda: sqlite3.connect(database, **options), 64)
    connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy has it: no process waits for it at its end
    return connection


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Python's own transaction control begins DEFERRED and only at the first write; we begin ourselves, below.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=15000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _stamp(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["used"] = time.monotonic()


def _ask_whether_it_lives(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """A connection that has rested is asked first, and replaced when it is dead; SQLAlchemy's pre-ping asks always.

    Asking takes three round trips, as many as all the rest of a short transaction.
    """
    rested = time.monotonic() - record.info.get("used", time.monotonic()) > _RESTED
    try:
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError("PostgreSQL has closed the connection.")
        if rested:
            connection.ping()
    except connection.dbapi.Error as error:
        raise InvalidatePoolError("PostgreSQL does not answer on the connection.") from error


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
    if mode:
        connection.exec_driver_sql(f"BEGIN {mode}")


def is_unavailable(error: BaseException) -> bool:
    """Whether the error says that the database is away or busy, rather than that our statement is wrong."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(error, OperationalError) and isinstance(error.orig, sqlite3.OperationalError):
        return "locked" in str(error.orig) or "unable to open" in str(error.orig)
    if str(getattr(getattr(error, "orig", error), "sqlstate", "")).startswith(_AWAY):
        return True
    return isinstance(error, UNAVAILABLE)


def insert(session: AsyncSession, table: type[Any]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT of this session's dialect, for its ON CONFLICT clauses (which both databases spell alike)."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement: postgresql.Insert | sqlite.Insert = dialect.insert(table)
    return statement


async def execute(session: AsyncSession, statement: UpdateBase) -> int:
    """The statement is executed without touching loaded objects; says how many rows it changed."""
    result = await session.execute(statement.execution_options(synchronize_session=False))
    return result.rowcount if isinstance(result, CursorResult) else 0
