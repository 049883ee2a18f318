"""The restore drill: a backup becomes a database of its own, is looked at as a whole, and is thrown away."""

import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import ProgrammingError

import migrations
from bot import copies
from core import db, errors, models
from core.signals import entries, proof, record

Say = Callable[[str], None]
_PAGE = 2000
_NO_RIGHT = "42501"
_SHOWN = ("members", "subscriptions", "signals", "record_entries", "deliveries", "candles")


async def from_sqlite(file: Path, say: Say) -> int:
    """The copy in this file was restored beside it in a scratch folder, and is whole; raises otherwise."""
    with tempfile.TemporaryDirectory(prefix="signalstack-drill-") as folder:
        scratch = Path(folder) / "scratch.db"
        copies.copy(file, scratch)
        database = db.Database(f"sqlite:///{scratch}")
        try:
            await _looked_at(database, say)
        finally:
            await database.close()
    return _over(file, say)


async def from_postgres(live: db.Database, file: Path, say: Say) -> int:
    """The dump was restored into a scratch database on the server of `live`, and is whole; raises otherwise."""
    if live.dialect != "postgresql":
        raise errors.RefusedError(
            f"{file} is a dump of PostgreSQL; set DATABASE_URL to a PostgreSQL server to restore it on."
        )
    name = f"signalstack_drill_{secrets.token_hex(4)}"
    await _order(live, f"CREATE DATABASE {name} TEMPLATE template0")
    database = db.Database(live.url.set(database=name).render_as_string(hide_password=False))
    try:
        options = ("--no-owner", "--no-privileges", "--exit-on-error", f"--dbname={name}")
        await copies.call("pg_restore", database.url, *options, str(file))
        await _looked_at(database, say)
    finally:
        await database.close()
        await _order(live, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    return _over(file, say)


async def _order(live: db.Database, statement: str) -> None:
    """The statement was executed outside any transaction, as those about whole databases must be."""
    try:
        async with live.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.exec_driver_sql(statement)
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", "") != _NO_RIGHT:
            raise
        raise errors.RefusedError(
            "The database user may not create databases; run the drill with a user that may (ALTER ROLE … CREATEDB)."
        ) from None


async def _looked_at(database: db.Database, say: Say) -> None:
    async with database.engine.connect() as connection:
        if not await connection.run_sync(lambda inner: inspect(inner).has_table("alembic_version")):
            raise errors.RefusedError("This is no backup of SignalStack: it has not our tables.")
    behind = await migrations.pending(database)
    await _sound(database)
    say("  ok   every page of the copy can be read, and every row that is referred to is there")
    await migrations.upgrade(database)
    say(f"  ok   schema: {'an older one, brought up to date' if behind else 'the one of this version'}")
    say(f"  ok   rows: {', '.join(f'{name} {number:,}' for name, number in (await _counts(database)).items())}")
    report = await _chain(database)
    say(f"  ok   record: {report.entries} entries, every hash and result is right; newest hash {report.head}")


async def _sound(database: db.Database) -> None:
    """PostgreSQL has read every row and checked every key while it restored them; SQLite is asked to."""
    if database.dialect != "sqlite":
        return
    async with database.reading() as session:
        said = (await session.execute(text("PRAGMA integrity_check(1)"))).scalar_one()
        torn = (await session.execute(text("PRAGMA foreign_key_check"))).first()
    if said != "ok":
        raise errors.RefusedError(f"The backup is damaged: {str(said)[:200]}.")
    if torn is not None:
        raise errors.RefusedError(f"The backup is damaged: a row of {torn[0]} refers to one that is not there.")


async def _counts(database: db.Database) -> dict[str, int]:
    found = {}
    async with database.reading() as session:
        for name in _SHOWN:
            table = models.Base.metadata.tables[name]
            found[name] = await session.scalar(select(func.count()).select_from(table)) or 0
    return found


async def _chain(database: db.Database) -> proof.Report:
    """What the record holds, checked line by line from its beginning."""
    chain, after = proof.Chain(), 0
    async with database.reading() as session:
        newest = await record.head(session)
        while page := await record.lines(session, after=after, until=newest.n, limit=_PAGE):
            for after, line in page:  # noqa: B007 - the last one is where the next page begins
                chain.take(f"{line}\n".encode())
    chain.take(entries.trailer(*newest))
    return chain.end()


def _over(file: Path, say: Say) -> int:
    say(f"{file} can be restored. Keep the signing key (SECRET_KEY, or the .key file) with it: links need it.")
    return 0
