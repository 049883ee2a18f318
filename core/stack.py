"""The stack: everything that a running process holds open, opened in one place and closed in reverse."""

import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core import bell, catalogue, clock, db, errors, settings

if TYPE_CHECKING:
    from redis.asyncio import Redis


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


@asynccontextmanager
async def opened(
    conf: settings.Settings, book: catalogue.Catalogue, *, now: clock.Clock = clock.utcnow
) -> AsyncIterator[Stack]:
    """A stack that works until the block ends; nothing is contacted before it is needed."""
    database = db.Database(conf.database_url)
    redis = connect_redis(conf)
    chime = bell.Bell(redis)
    await chime.open()
    holder = f"{socket.gethostname()[:30]}:{os.getpid()}:{secrets.token_hex(4)}"
    try:
        yield Stack(conf, book, database, chime, redis, now, holder)
    finally:
        await chime.close()
        if redis is not None:
            await redis.aclose()
        await database.close()


def connect_redis(conf: settings.Settings) -> "Redis | None":
    """A Redis client that gives up quickly (redis-py's defaults take 3.6 s on a dead port); None without a URL."""
    url = conf.redis_url.get_secret_value()
    if not url:
        return None
    from redis.asyncio import Redis  # noqa: PLC0415 - only processes with a Redis import its client
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    try:
        return Redis.from_url(
            url,
            socket_connect_timeout=0.5,
            socket_timeout=None,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=15,
        )
    except ValueError as error:
        raise errors.ConfigError("REDIS_URL is not a Redis address; write redis://host:6379/0.") from error
