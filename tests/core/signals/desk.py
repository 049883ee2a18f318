"""Orders that come from outside, to a market that the scan has seen."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from core import catalogue, models
from core.signals import closing, orders, outside, publish
from tests.core import people
from tests.core.signals.stage import ETH, PARAMS, Stage, watch

VENDOR = catalogue.Intake(key="vendor", symbols=frozenset({people.BTC}), max_distance=Decimal(2), expires_after=3)
QUIET = {**PARAMS, "threshold": 4.2}
"""A strategy that has nothing to say."""
WATCHES = (watch(timeframe="4h", params=QUIET), watch(params=QUIET), watch(ETH, params=QUIET))
BOOK = people.BOOK.model_copy(update={"watches": WATCHES, "intakes": (VENDOR,)})
LONG = {"symbol": "BTC/USDT", "direction": "long", "stop": "99", "targets": [{"price": "102"}]}
"""An order that fits the calm market, whose last close is 100.00 or 100.50."""


def order(**said: Any) -> orders.Order:
    return orders.read(LONG | said)


async def take(
    stage: Stage,
    given: orders.Order,
    *,
    who: outside.Source = outside.OPERATOR,
    book: catalogue.Catalogue = BOOK,
    late: float = 0,
    **source: Any,
) -> outside.Taken:
    """The order, given `late` seconds ago, was taken in a transaction of its own."""
    now = stage.now()
    async with stage.database.transaction() as session:
        at = now - people.HOUR * (late / 3600)
        return await outside.take(session, book, replace(who, **source), given, at=at, now=now)


async def planned(stage: Stage, given: orders.Order, **source: Any) -> publish.Draft:
    async with stage.database.reading() as session:
        return await outside.drafted(session, BOOK, replace(outside.OPERATOR, **source), given, now=stage.now())


async def close(stage: Stage, number: int, price: str | None = None) -> models.Signal:
    async with stage.database.transaction() as session:
        return await closing.close(session, number, None if price is None else Decimal(price), now=stage.now())


async def signal(stage: Stage, number: int) -> models.Signal:
    async with stage.database.reading() as session:
        return await session.get_one(models.Signal, number)
