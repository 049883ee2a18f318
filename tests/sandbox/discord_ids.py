"""Ids and moments as Discord writes them."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

EPOCH = 1_420_070_400_000
"""Milliseconds from 1970 to the beginning of Discord's ids."""


class Snowflakes:
    """Ids that grow, made from the time (`now`, epoch seconds) as Discord makes them."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._last = 0

    def __call__(self) -> int:
        self._last = max(self._last + 1, max(0, round(self._now() * 1000) - EPOCH) << 22)
        return self._last


def iso(seconds: float) -> str:
    """The moment (epoch seconds) as Discord writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
