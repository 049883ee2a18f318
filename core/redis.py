"""The door to Redis, imported only by processes that have one. It holds hints and limits, never truth."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core import errors

AWAY = (RedisError, OSError, TimeoutError)
"""What a Redis that is away, busy or broken looks like."""

__all__ = ["AWAY", "Redis", "connect"]


def connect(url: str) -> Redis:
    """A client that gives up quickly: redis-py's own retries take 3.6 s on a dead port. Nothing is contacted yet."""
    try:
        return Redis.from_url(
            url,
            socket_connect_timeout=0.5,
            socket_timeout=None,  # a subscriber waits as long as nobody rings; other callers bound their waits
            retry=Retry(NoBackoff(), 0),
            health_check_interval=15,
        )
    except ValueError as error:
        raise errors.ConfigError("REDIS_URL is not a Redis address; write redis://host:6379/0.") from error
