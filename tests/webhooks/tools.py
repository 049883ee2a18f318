"""Members' own tools at the API: people with keys, signals that are published and closed as the product does it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from core import catalogue, clock, keys, members
from core.columns import Level
from core.market import candles
from core.models import Signal, SignalStatus
from core.signals import lifecycle, publish
from tests.core import people
from tests.webhooks.conftest import World

BTC, ETH = people.BTC, people.ETH
HOUR = 3_600_000
BOOK = people.BOOK.model_copy(
    update={"watches": (catalogue.Watch(symbol=BTC), catalogue.Watch(symbol=ETH), catalogue.Watch(symbol="SOL/USDT"))}
)
TICK = Decimal("0.01")
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool is told; `said` is the JSON, None where there is no body."""

    status: int
    said: Any
    headers: Mapping[str, str]
    body: bytes


async def ask(world: World, path: str, key: str = "", *, method: str = "GET", **options: Any) -> Answer:
    """The answer to this request with this key."""
    headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **options.pop("headers", {})}
    async with world.http.request(method, f"{world.url}{path}", headers=headers, **options) as answer:
        body = await answer.read()
        told = body and answer.content_type in {"application/json", "application/problem+json"}
        said = await answer.json() if told else None
        return Answer(answer.status, said, answer.headers, body)


async def key(world: World, member_id: int, scopes: Sequence[str] = keys.SCOPES) -> str:
    """A new key of this member."""
    async with world.stack.db.transaction() as session:
        return await keys.make(session, member_id, "laptop", now=world.now, scopes=scopes)


async def member(world: World, *plans: str, days: float = 30) -> int:
    """Somebody new who has these plans for so many days from now; negative ones are over."""
    name = f"T{next(_numbers)}"
    async with world.stack.db.transaction() as session:
        who = await members.arrive(session, "telegram", name, address=name, name=name, username=name, now=world.now)
        for plan in plans:
            await people.subscription(session, who.member_id, world.now + timedelta(days=days), plan=plan)
        return who.member_id


async def reader(world: World, *plans: str, **given: Any) -> str:
    """A key of somebody new who has these plans."""
    return await key(world, await member(world, *plans, **given))


def draft(world: World, symbol: str = BTC, *, times: int = 1) -> publish.Draft:
    """A signal with two targets, each time of another candle; its prices are so many times as high."""
    candle = clock.to_ms(world.now) // HOUR * HOUR - HOUR * (1 + next(_numbers))
    stop, entry, first, last = (times * Decimal(price) for price in ("95.00", "100.00", "105.00", "110.00"))
    levels = (Level(first, Decimal("0.5"), entry), Level(last, Decimal("0.5")))
    return publish.Draft(
        watch=f"mean_reversion binance {symbol} 1h",
        strategy="mean_reversion",
        exchange="binance",
        symbol=symbol,
        timeframe="1h",
        long=True,
        entry=entry,
        stop=stop,
        levels=levels,
        tick=TICK,
        candle=candle,
        expires=candle + 40 * HOUR,
        reason=f"the reason of {symbol}",
        figures={"z": -2.5},
        params={},
    )


async def opened(world: World, symbol: str = BTC, *, times: int = 1) -> int:
    """The number of a new open signal, sent to all who may have it."""
    async with world.stack.db.transaction() as session:
        until = world.now + timedelta(minutes=15)
        made = await publish.opened(
            session, world.stack.catalogue, draft(world, symbol, times=times), now=world.now, send_until=until
        )
    assert made is not None
    return made.id


async def ended(world: World, number: int, price: str = "110.00", event: SignalStatus = SignalStatus.TARGET) -> None:
    """Everything that was left of the signal went out at this price."""
    async with world.stack.db.transaction() as session:
        row = await session.get_one(Signal, number, with_for_update=True)
        changes: list[lifecycle.Change] = []
        position = lifecycle.leave(lifecycle.position(row), event, Decimal(price), row.candle + 2 * HOUR, changes)
        await publish.changed(session, row, position, changes, now=world.now)


async def reached(world: World, number: int) -> None:
    """The signal has seen a candle that touched its first target."""
    async with world.stack.db.transaction() as session:
        row = await session.get_one(Signal, number, with_for_update=True)
        prices = [Decimal(price) for price in ("101", "105.5", "100.5", "104", "7")]
        position, changes = lifecycle.step(lifecycle.position(row), candles.Candle(row.candle + HOUR, *prices))
        await publish.changed(session, row, position, changes, now=world.now)


async def closed(world: World, symbol: str = BTC, price: str = "110.00") -> int:
    """The number of a signal that is over."""
    number = await opened(world, symbol)
    await ended(world, number, price)
    return number


async def with_candles(world: World, symbol: str = BTC, number: int = 5) -> int:
    """The open time of the first of so many closed candles."""
    first = clock.to_ms(world.now) // HOUR * HOUR - number * HOUR
    one, two = Decimal("100.5"), Decimal("101.25")
    rows = [candles.Candle(first + n * HOUR, one, two, one, two, Decimal(12)) for n in range(number)]
    async with world.stack.db.transaction() as session:
        await candles.keep(session, candles.Key("binance", symbol, "1h"), rows)
    return first
