"""Copies of the database in files: how they are made, named, recognised and removed."""

import asyncio
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.engine import URL

from core import db, errors

_NAME = re.compile(r"signalstack-\d{8}T\d{6}Z\.(db|dump)")
_LONGEST = 6 * 3600.0  # seconds that pg_dump and pg_restore may take


def kind(file: Path) -> str:
    """Which database wrote this file (sqlite, postgresql), by how it begins; raises RefusedError for anything else."""
    try:
        with file.open("rb") as opened:
            begin = opened.read(16)
    except OSError as error:
        raise errors.RefusedError(f"{file} cannot be read: {error.strerror or error}.") from None
    if begin == b"SQLite format 3\0":
        return "sqlite"
    if begin.startswith(b"PGDMP"):
        return "postgresql"
    raise errors.RefusedError(f"{file} is no backup: neither an SQLite database nor a dump that pg_dump -Fc wrote.")


async def write(database: db.Database, folder: Path, *, now: datetime) -> Path:
    """A whole copy is in the folder under the moment's name, readable by its owner only; or nothing new is there."""
    ending = "db" if database.dialect == "sqlite" else "dump"
    file = folder / f"signalstack-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}.{ending}"
    try:
        with _draft(folder) as draft:
            if database.dialect == "sqlite":
                source = Path(database.url.database or "")
                await asyncio.to_thread(copy, source, draft)
                _keep_key(source.with_suffix(".key"), file.with_suffix(".key"))
            else:
                options = ("--format=custom", "--no-owner", "--no-privileges")
                await call("pg_dump", database.url, *options, f"--file={draft}")
            draft.replace(file)
    except OSError as error:
        raise errors.RefusedError(f"{folder} cannot be written to: {error.strerror or error}.") from None
    return file


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """A new file for the owner only, which is gone afterwards if it was not moved away."""
    folder.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=folder, prefix=".draft-")
    os.close(number)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _keep_key(key: Path, beside: Path) -> None:
    """The signing key that was made for this database lies beside its copy: links and tools' secrets follow from it."""
    if key.is_file():
        beside.touch(0o600)
        beside.write_bytes(key.read_bytes())


def remove_older(folder: Path, keep: int) -> int:
    """Only the newest `keep` backups are left; files with other names are not touched. Says how many went."""
    found = sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), key=lambda path: path.stem)
    for path in found[:-keep]:
        path.unlink()
        path.with_suffix(".key").unlink(missing_ok=True)
    return max(0, len(found) - keep)


def copy(source: Path, draft: Path) -> None:
    """SQLite's own way of copying a database that is being written to, and its own check of the copy."""
    if not source.is_file():
        raise errors.RefusedError(f"There is no database {source}, so there is nothing to copy.")
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)) as here,
            closing(sqlite3.connect(draft)) as there,
        ):
            here.backup(there)  # in one step, which keeps nobody from writing: the database is in WAL mode
            there.execute("PRAGMA journal_mode=DELETE")
            (said,) = there.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise errors.UnreachableError(f"{source} cannot be copied: {error}.") from None
    if said != "ok":
        raise errors.UnreachableError(f"The copy of {source} is damaged, and so the database itself may be: {said}")


async def call(program: str, url: URL, *arguments: str) -> None:
    """PostgreSQL's program has done this with the database at `url`; raises with its own first words otherwise.

    The password goes by the environment, which other users of the machine cannot see.
    """
    found = shutil.which(program)
    if found is None:
        raise errors.RefusedError(
            f"{program} is not installed here: install the client programs of PostgreSQL (Debian: postgresql-client), "
            "of the server's version or newer."
        )
    environment = {**os.environ, **_environment(url)}
    running = await asyncio.create_subprocess_exec(
        found, *arguments, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_LONGEST):
            _, said = await running.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            running.kill()
        await running.wait()
        raise
    if running.returncode:
        words = " ".join(said.decode(errors="replace").split())[:300]
        raise errors.UnreachableError(f"{program} did not do it: {words or f'exit code {running.returncode}'}")


def _environment(url: URL) -> dict[str, str]:
    query = {name: str(value) for name, value in url.query.items()}
    given = {
        "PGHOST": url.host or query.get("host"),
        "PGPORT": str(url.port) if url.port else None,
        "PGUSER": url.username,
        "PGPASSWORD": str(url.password) if url.password else None,
        "PGDATABASE": url.database,
        "PGSSLMODE": query.get("ssl"),
    }
    return {name: value for name, value in given.items() if value} | {"PGCONNECT_TIMEOUT": "10"}
