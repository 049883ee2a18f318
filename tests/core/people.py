"""People, plans and signals as rows: what the tests of members, access and delivery begin with."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from sqlalchemy import select, true
from sqlalchemy.ext.asyncio import AsyncSession

from core import access, catalogue, db, members, models
from core.delivery import claims, fanout, outcomes, recovery
from core.models import Delivery, State

HOUR = timedelta(hours=1)
BTC, ETH = "BTC/USDT", "ETH/USDT"
ALL = catalogue.Plan(key="all", name="Everything")
BITCOIN = catalogue.Plan(key="bitcoin", name="Bitcoin only", symbols=frozenset({BTC}))
ETHER = catalogue.Plan(key="ether", name="Ether only", symbols=frozenset({ETH}))
BOOK = catalogue.Catalogue(plans=(ALL, BITCOIN, ETHER))
LEASE = 30.0
SENT = outcomes.Sent("1")
_numbers = count(1)


async def person(session: AsyncSession, now: datetime, *, platform: str = "telegram") -> models.Identity:
    """Somebody new, who has written to us."""
    number = str(next(_numbers))
    return await members.arrive(
        session, platform, number, address=number, name=f"N{number}", username=f"u{number}", now=now
    )


async def subscription(
    session: AsyncSession, member_id: int | None, until: datetime | None, *, plan: str = "all", **values: Any
) -> models.Subscription:
    """What the provider said of a subscription, as billing stores it."""
    made = _subscription(member_id, until, plan, **values)
    session.add(made)
    await session.flush()
    return made


def _subscription(member_id: int | None, until: datetime | None, plan: str, **values: Any) -> models.Subscription:
    at = until or datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    row = {
        "provider": "stripe",
        "external_id": f"sub_{next(_numbers)}",
        "customer_id": "cus_1",
        "status": "active",
        "snapshot": {},
        "created_at": at,
        "read_at": at,
        **values,
    }
    return models.Subscription(member_id=member_id, plan=plan, access_until=until, **row)


async def payer(session: AsyncSession, now: datetime, *, plan: str = "all", days: float = 30) -> models.Identity:
    """Somebody who pays for a plan and may be sent its signals."""
    who = await person(session, now)
    await subscription(session, who.member_id, now + timedelta(days=days), plan=plan)
    return who


async def crowd(
    session: AsyncSession, now: datetime, size: int, *, platform: str = "telegram", plan: str = "all", days: float = 30
) -> list[models.Identity]:
    """So many people who pay for a plan, each as `payer` makes one, by three statements in all."""
    paying = [models.Member(created_at=now) for _ in range(size)]
    session.add_all(paying)
    await session.flush()
    numbers = [str(next(_numbers)) for _ in paying]
    crowd = [
        models.Identity(
            member_id=member.id,
            platform=platform,
            external_id=number,
            address=number,
            name=f"N{number}",
            username=f"u{number}",
            created_at=now,
        )
        for member, number in zip(paying, numbers, strict=True)
    ]
    session.add_all([*crowd, *(_subscription(who.member_id, now + timedelta(days=days), plan) for who in crowd)])
    await session.flush()
    return crowd


async def signal(session: AsyncSession, now: datetime, *, symbol: str = BTC, **values: Any) -> models.Signal:
    """An open signal; nobody is sent it yet."""
    candle = next(_numbers) * 3_600_000
    row = models.Signal(
        watch=f"mean_reversion binance {symbol} 1h",
        strategy="mean_reversion",
        exchange="binance",
        symbol=symbol,
        timeframe="1h",
        candle=candle,
        direction="long",
        entry=Decimal(100),
        target=Decimal(110),
        stop=Decimal(95),
        tick=Decimal("0.01"),
        reason="z-score",
        figures={"z": -2.5},
        params={},
        expires=candle + 24 * 3_600_000,
        followed_to=candle,
        **{"status": models.SignalStatus.OPEN, "created_at": now, **values},
    )
    session.add(row)
    await session.flush()
    return row


async def publish(session: AsyncSession, now: datetime, *, symbol: str = BTC, life: timedelta = HOUR) -> models.Signal:
    """An open signal, planned for everybody who may have it."""
    row = await signal(session, now, symbol=symbol)
    who = await access.recipients(session, BOOK, symbol, now=now)
    await fanout.open_up(session, row.id, who, now=now, expires_at=now + life)
    return row


async def claim(
    database: db.Database, now: datetime, *, limit: int = 100, platform: str = "telegram", **values: Any
) -> list[claims.Parcel]:
    """What a worker's claim in a transaction of its own brings."""
    entitled = access.entitled(BOOK, now=now)
    async with database.transaction() as session:
        return await claims.claim(
            session, platform, now=now, lease=LEASE, limit=limit, **{"entitled": entitled, **values}
        )


async def begin(database: db.Database, parcels: Sequence[claims.Parcel], now: datetime) -> set[int]:
    """Which of these parcels are `sending` now."""
    async with database.transaction() as session:
        return await claims.begin(session, parcels, now=now, lease=LEASE)


async def settle(database: db.Database, parcel: claims.Parcel, outcome: outcomes.Outcome, now: datetime) -> State:
    """The state that the outcome of an attempt leads to, once written."""
    attempt = outcomes.Attempt(parcel.kind, parcel.attempts, parcel.ambiguities, parcel.plain)
    step = outcomes.next_step(outcome, attempt, now=now)
    message_id = outcome.message_id if isinstance(outcome, outcomes.Sent) else None
    async with database.transaction() as session:
        await claims.settle(session, [claims.Settlement(parcel, step, message_id)], now=now)
    return step.state


async def send(
    database: db.Database,
    now: datetime,
    outcome: outcomes.Outcome | Callable[[claims.Parcel], outcomes.Outcome] = SENT,
) -> list[claims.Parcel]:
    """Everything that was due has been claimed, begun, and settled with this outcome."""
    parcels = await claim(database, now)
    await begin(database, parcels, now)
    for parcel in parcels:
        await settle(database, parcel, outcome(parcel) if callable(outcome) else outcome, now)
    return parcels


async def recover(database: db.Database, now: datetime) -> tuple[int, int]:
    """How many rows of dead workers returned, and how many were being sent."""
    async with database.transaction() as session:
        return await recovery.recover(session, now=now)


async def deliveries(database: db.Database, *where: Any) -> Sequence[Delivery]:
    """The rows of the outbox, oldest first."""
    async with database.reading() as session:
        return (await session.scalars(select(Delivery).where(*where).order_by(Delivery.id))).all()


async def states(database: db.Database, *where: Any) -> list[State]:
    """The states of these rows of the outbox, oldest first."""
    return [State(row.state) for row in await deliveries(database, *where)]


async def notices(database: db.Database, member_id: int) -> list[str]:
    """The names of the notices that a member was to get, oldest first."""
    rows = await deliveries(database, Delivery.member_id == member_id, Delivery.kind == "notice")
    return [row.payload["name"] for row in rows if row.payload]


async def blocked_on_a_lock(database: db.Database, number: int) -> None:
    """Returns when so many sessions of this database wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(20), database.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        while (await connection.exec_driver_sql(waiting)).scalar_one() < number:  # noqa: ASYNC110 - no event of ours
            await asyncio.sleep(0.01)


def anyone() -> Any:
    """An entitlement that everybody has."""
    return true()
