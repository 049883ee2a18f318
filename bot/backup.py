"""`signalstack backup` and `signalstack restore-drill`: a copy of the database, and the proof that it can be used.

Click is imported here and nothing else, so that `--help` stays quick.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from bot import plainly
from core import errors

if TYPE_CHECKING:
    from core import stack

_ALARM = "backup:failed"


class WithStack(Protocol):
    """Gives work an opened stack; `migrated` False: whatever shape its database has."""

    def __call__(
        self, work: "Callable[[stack.Stack], Coroutine[Any, Any, int]]", *, migrated: bool = True, billing: bool = True
    ) -> int: ...


def backup(with_stack: WithStack) -> click.Command:
    """The command `backup`."""

    @click.command()
    @click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("backups"))
    @click.option("--keep", type=click.IntRange(1, 10_000), help="Remove all but so many of the newest; else none.")
    @click.option("--every", type=click.IntRange(1, 24 * 7), help="Go on: one backup each so many hours.")
    def backup(folder: Path, keep: int | None, every: int | None) -> int:
        """Write a copy of the whole database into a folder, while the product runs."""
        return with_stack(lambda held: _again(held, folder, keep, every), migrated=False, billing=False)

    return backup


def drill(with_stack: WithStack) -> click.Command:
    """The command `restore-drill`."""

    @click.command("restore-drill")
    @click.argument("file", type=click.Path(path_type=Path))
    def restore_drill(file: Path) -> int:
        """Restore a backup into a scratch database, look at everything, throw it away; yours is not touched."""
        from bot import copies, restoring  # noqa: PLC0415

        if copies.kind(file) == "sqlite":
            return asyncio.run(plainly.said(restoring.from_sqlite(file, click.echo)))
        return with_stack(
            lambda held: restoring.from_postgres(held.db, file, click.echo), migrated=False, billing=False
        )

    return restore_drill


async def _again(held: "stack.Stack", folder: Path, keep: int | None, every: int | None) -> int:
    from core import work  # noqa: PLC0415

    if every is None:
        await _once(held, folder, keep)
        return 0
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):  # the first process of a container dies of no signal by itself
        loop.add_signal_handler(number, stop.set)
    while not stop.is_set():
        started = time.monotonic()
        try:
            await _once(held, folder, keep)
        except errors.SignalStackError as error:
            click.echo(str(error), err=True)
        await work.pause(stop, max(0.0, every * 3600.0 - (time.monotonic() - started)))
    return 0


async def _once(held: "stack.Stack", folder: Path, keep: int | None) -> None:
    """A backup is in the folder, or the operators have an alarm."""
    from bot import copies  # noqa: PLC0415

    now = held.clock()
    try:
        made = await copies.write(held.db, folder, now=now)
        removed = copies.remove_older(folder, keep) if keep else 0
    except errors.SignalStackError as error:
        await _noted(held, now, str(error))
        raise
    await _noted(held, now, "")
    click.echo(f"{made} ({made.stat().st_size:,} bytes){f'; {removed} older removed' if removed else ''}")


async def _noted(held: "stack.Stack", now: datetime, failed: str) -> None:
    """How it went stands in the database, if that has this version's shape: a backup also comes before an upgrade."""
    import migrations  # noqa: PLC0415
    from core import figures, health  # noqa: PLC0415

    try:
        if await migrations.pending(held.db):
            return
    except errors.ConfigError:
        return
    async with held.db.transaction() as session:
        if failed:
            await health.alarm(session, _ALARM, f"There is no new backup: {failed}", now=now)
        else:
            await health.clear(session, _ALARM, now=now)
            await figures.keep(session, figures.BACKUP, now.timestamp())
