"""For developers: `python -m migrations new "what changes"`, or `redo "…"` to write the newest version again."""

import asyncio
import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import Connection

import migrations
from core import db


def main() -> None:
    """A version file says how the schema becomes what core.models says now."""
    task, message = sys.argv[1:] if len(sys.argv) == 3 else ("", "")
    if task not in {"new", "redo"}:
        raise SystemExit(__doc__)
    newest = migrations.scripts().get_current_head()
    if task == "redo" and newest:
        Path(migrations.scripts().get_revision(newest).path).unlink()
    asyncio.run(_write(message))


async def _write(message: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = db.Database(f"sqlite:///{folder}/before.db")
        if migrations.scripts().get_current_head():
            await migrations.upgrade(database)
        async with database.engine.begin() as connection:
            await connection.run_sync(_compare, message)
        await database.close()


def _compare(connection: Connection, message: str) -> None:
    newest = migrations.scripts().get_current_head()
    asked = migrations.config()
    asked.attributes |= {"connection": connection, "batch": newest is not None}
    command.revision(asked, message, autogenerate=True, rev_id=f"{int(newest or 0) + 1:04}")


if __name__ == "__main__":
    main()
