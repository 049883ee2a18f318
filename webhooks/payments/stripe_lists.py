"""Stripe's lists, page by page: subscriptions, events, and whatever else comes in pages, no faster than is polite."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from webhooks import payments
from webhooks.payments import stripe_objects, stripe_wire

PAUSE = 0.05
"""Seconds between two pages: 20 a second at most, of the 25 that an account may ask for in test mode."""
_TYPES = 20  # so many Stripe takes in one request


async def pages(held: Any, path: str, wanted: dict[str, Any]) -> AsyncIterator[list[dict[str, Any]]]:
    """Every page of the list, a hundred rows each, in Stripe's order: the newest first."""
    after: dict[str, Any] = {}
    while True:
        page = await stripe_wire.read(held, path, **wanted, limit=100, **after)
        rows = page.get("data", [])
        yield rows
        if not rows or not page.get("has_more"):
            return
        after = {"starting_after": rows[-1]["id"]}
        await asyncio.sleep(PAUSE)


async def subscriptions(
    held: Any, *, expand: Iterable[str], known: frozenset[str], clock: Callable[[], datetime]
) -> AsyncIterator[Sequence[payments.Listed]]:
    """Every subscription of the account, whatever its state, as `payments.Provider.listed` says."""
    wanted = {"status": "all", "expand": [f"data.{name}" for name in expand]}
    asked = clock()
    async for rows in pages(held, "subscriptions", wanted):
        yield [stripe_objects.listed(row, known=known, read_at=asked) for row in rows]
        asked = clock()


async def missed(held: Any, since: datetime, *, most: int) -> list[payments.Event]:
    """Events since then that Stripe could not deliver, oldest first; the newest `most` or a few more."""
    wanted = {"delivery_success": False, "created": {"gte": int(since.timestamp())}}
    found: list[payments.Event] = []
    async for rows in pages(held, "events", wanted):
        found += map(_event, rows)
        if len(found) >= most:
            break
    return found[::-1]


async def told(held: Any, since: datetime, kinds: Sequence[str]) -> list[payments.Event]:
    """Every event of these kinds since then, whether it was delivered or not, oldest first."""
    found: list[payments.Event] = []
    for start in range(0, len(kinds), _TYPES):
        wanted = {"types": list(kinds[start : start + _TYPES]), "created": {"gte": int(since.timestamp())}}
        async for rows in pages(held, "events", wanted):
            found += map(_event, rows)
    return sorted(found, key=lambda event: event.at or since)


def _event(row: dict[str, Any]) -> payments.Event:
    return payments.Event(
        row["id"], row["type"][:64], orjson.dumps(row), datetime.fromtimestamp(row.get("created") or 0, UTC)
    )
