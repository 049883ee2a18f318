"""The stack: everything that a running process holds open, opened in one place and closed in reverse."""

import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core import bell, catalogue, clock, db, figures, settings

if TYPE_CHECKING:
    from core.redis import Redis


@dataclass(frozen=True, slots=True)
class Stack:
    """What every role works with; `holder` names this process in leases and claims."""

    settings: settings.Settings
    catalogue: catalogue.Catalogue
    db: db.Database
    bell: bell.Bell
    redis: "Redis | None"
    clock: clock.Clock
    holder: str
    counted: figures.Figures = field(default_factory=figures.Figures)

    def look(self) -> None:
        """The scheduler that leads looks at the markets now."""
        self.bell.ring("scan")

    def deliver(self) -> None:
        """Delivery workers of every platform look at the outbox now; so does whoever shows or tells what happens."""
        for platform in settings.PLATFORMS:
            self.bell.ring(f"outbox:{platform}")
        self.bell.ring("status")
        self.bell.ring("record")


@asynccontextmanager
async def opened(
    conf: settings.Settings, book: catalogue.Catalogue, *, now: clock.Clock = clock.utcnow
) -> AsyncIterator[Stack]:
    """A stack that works until the block ends; nothing is contacted before it is needed."""
    database = db.Database(conf.database_url)
    connection = _redis(conf)
    chime = bell.Bell(connection)
    await chime.open()
    holder = f"{socket.gethostname()[:30]}:{os.getpid()}:{secrets.token_hex(4)}"
    try:
        yield Stack(conf, book, database, chime, connection, now, holder)
    finally:
        await chime.close()
        if connection is not None:
            await connection.aclose()
        await database.close()


def _redis(conf: settings.Settings) -> "Redis | None":
    url = conf.redis_url.get_secret_value()
    if not url:
        return None
    from core import redis  # noqa: PLC0415 - only processes with a Redis import its client

    return redis.connect(url)
