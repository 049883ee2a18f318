"""A database in which everything that the public pages show has happened: gains, losses, trouble, and days unseen."""

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

from core import health, models
from core.models import Delivery, State
from tests.webhooks.conftest import World

PARTS = (
    "scheduler.scan",
    "telegram.poller",
    "telegram.inbox",
    "telegram.delivery",
    "telegram.places",
    "discord.gateway",
    "discord.delivery",
    "webhooks.site",
    "webhooks.inbox",
    "webhooks.sweep",
)
_DAY = 86_400


def signal(world: World, **fields: Any) -> models.Signal:
    """An open long signal of BTC/USDT, unless the fields say otherwise."""
    values: dict[str, Any] = {
        "watch": "w",
        "strategy": "mean_reversion",
        "exchange": "binance",
        "symbol": "BTC/USDT",
        "timeframe": "1h",
        "candle": 1,
        "direction": "long",
        "entry": Decimal(40000),
        "target": Decimal(41000),
        "stop": Decimal(39500),
        "tick": Decimal("0.01"),
        "reason": "",
        "figures": {},
        "params": {},
        "expires": 2,
        "followed_to": 1,
        "status": models.SignalStatus.OPEN,
        "created_at": world.now,
        **fields,
    }
    return models.Signal(**values)


def delivery(world: World, number: int, chat: int, state: State = State.SENT, took: float = 1.0) -> Delivery:
    """The opening of a signal for one chat."""
    return Delivery(
        kind="opening",
        priority=2,
        platform="telegram",
        address=str(chat),
        signal_id=number,
        event="opened",
        state=state,
        not_before=world.now,
        created_at=world.now - timedelta(minutes=9),
        settled_at=None if state is State.PENDING else world.now - timedelta(minutes=9) + timedelta(seconds=took),
    )


async def fill(world: World) -> None:
    """Ninety days have passed; two parts are silent, and one incident goes on."""
    chance = random.Random(5)
    async with world.stack.db.transaction() as session:
        for place, part in enumerate(PARTS):
            age = 700 if part == "telegram.delivery" else place
            await health.beat(session, part, limit=90, now=world.now - timedelta(seconds=age))
        await health.beat(session, "telegram.bot", limit=90, now=world.now, note="@blue_harbour_bot")
        session.add_all(_days(world, chance))
        for days, key, minutes in (
            (40, "market:binance BTC/USDT 1h", 34),
            (12, "part:telegram.delivery", 260),
            (3, "checkout_refused", 12),
        ):
            began = world.now - timedelta(days=days)
            session.add(models.Incident(key=key, text="x", began_at=began, ended_at=began + timedelta(minutes=minutes)))
        await health.alarm(session, "market:binance ETH/USDT 1h", "No new candles: inner words.", now=world.now)
        clock = int(world.now.timestamp()) * 1000
        for watch in world.stack.catalogue.watches:
            mark = {"candle": clock - 2 * 3_600_000 + 900_000, "scanned_at": world.now, "clock": clock}
            session.add(models.ScanMark(watch=watch.key, **mark))
        session.add_all(_signals(world, chance))
        await session.flush()
        session.add_all(_deliveries(world, chance))


def _days(world: World, chance: random.Random) -> list[models.Uptime]:
    rows = []
    for part in PARTS:
        for ago in range(70):
            if ago in (20, 21):
                continue
            seen = _DAY // 2 if ago in (0, 69) else _DAY * 2 // 3 if ago == 33 else _DAY
            lost = 15_600 if (part, ago) == ("telegram.delivery", 12) else 2040 if ago == 40 else chance.choice((0, 30))
            day = str((world.now - timedelta(days=ago)).date())
            rows.append(models.Uptime(part=part, day=day, well=seen - lost, seen=seen))
    return rows


def _signals(world: World, chance: random.Random) -> list[models.Signal]:
    rows = []
    for number in range(60):
        entry, win = Decimal(40000 + 10 * number), chance.random() < 0.48
        price = entry + (1000 if win else -500)
        ended = world.now - timedelta(hours=20 * (60 - number))
        rows.append(
            signal(
                world,
                candle=number,
                entry=entry,
                target=entry + 1000,
                stop=entry - 500,
                symbol=chance.choice(("BTC/USDT", "ETH/USDT")),
                status="target" if win else chance.choice(("stopped", "stopped", "expired")),
                close_price=price,
                closed_at=ended,
                created_at=ended - timedelta(hours=9),
                brought=200 if win else -100,
                late=number == 57,
            )
        )
    return [*rows, signal(world, candle=99, symbol="ETH/USDT", entry=Decimal("2345.67"))]


def _deliveries(world: World, chance: random.Random) -> list[Delivery]:
    rows = []
    for number in range(56, 62):
        states = [State.SENT] * 40 + [State.BLOCKED] * (number % 3) + [State.AMBIGUOUS] * (number == 59)
        states += [State.PENDING] * (3 if number == 61 else 0)
        took = [chance.lognormvariate(0, 0.6) for _ in states]
        rows += [delivery(world, number, chat, state, took[chat]) for chat, state in enumerate(states)]
    return rows
