"""A community of a given size, written straight into the database: what months of subscribing would have left there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, insert, select, text

from core import db, models
from core.models import Delivery, Signal, State

FIRST_CHAT = 500_001


@dataclass(frozen=True, slots=True)
class Community:
    """Chats of the sandbox's Telegram: the first `paying` of them have a subscription, the others only wrote once."""

    members: int
    paying: int

    @property
    def chats(self) -> range:
        return range(FIRST_CHAT, FIRST_CHAT + self.members)

    @property
    def payers(self) -> range:
        return range(FIRST_CHAT, FIRST_CHAT + self.paying)


async def settle_in(database: db.Database, community: Community, now: datetime, *, plan: str = "signals") -> None:
    """Every member is known, and the paying ones are subscribed for a month."""
    members = [{"id": n, "created_at": now, "muted": False} for n in range(1, community.members + 1)]
    identities = [
        {
            "member_id": n,
            "platform": "telegram",
            "external_id": str(chat),
            "address": str(chat),
            "name": f"Member {n}",
            "created_at": now,
        }
        for n, chat in enumerate(community.chats, start=1)
    ]
    async with database.transaction() as session:
        await session.execute(insert(models.Member), members)
        if database.dialect == "postgresql":  # its own numbers go on after ours
            await session.execute(text(f"SELECT setval('members_id_seq', {community.members})"))
        await session.execute(insert(models.Identity), identities)
        await session.execute(
            insert(models.Subscription), [_paid(n, now, plan) for n in range(1, community.paying + 1)]
        )


def _paid(member: int, now: datetime, plan: str) -> dict[str, object]:
    return {
        "provider": "stripe",
        "external_id": f"sub_{member}",
        "member_id": member,
        "customer_id": f"cus_{member}",
        "plan": plan,
        "status": "active",
        "snapshot": {},
        "access_until": now + timedelta(days=30),
        "created_at": now,
        "read_at": now,
        "told": "on",
    }


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the product's own tables say at one moment; used to steer a run and to compare with the history."""

    signals: int
    unsettled: int
    ambiguous: int


async def ledger(database: db.Database) -> Ledger:
    """The state of the outbox now."""
    async with database.reading() as session:
        signals = await session.scalar(select(func.count()).select_from(Signal)) or 0
        waiting = [State.PENDING, State.CLAIMED, State.SENDING]
        unsettled = await session.scalar(select(func.count()).where(Delivery.state.in_(waiting))) or 0
        ambiguous = await session.scalar(select(func.count()).where(Delivery.ambiguities > 0)) or 0
    return Ledger(signals, unsettled, ambiguous)


async def ambiguous_rows(database: db.Database) -> set[tuple[int, int, str]]:
    """(chat, signal, event) of every delivery that was ever ambiguous."""
    async with database.reading() as session:
        rows = await session.execute(
            select(Delivery.address, Delivery.signal_id, Delivery.event).where(Delivery.ambiguities > 0)
        )
        return {(int(chat), signal, event) for chat, signal, event in rows}


async def unanswerable(database: db.Database) -> frozenset[tuple[int, int]]:
    """(chat, signal) of every opening that was ambiguous twice: it is not sent again, and nobody learnt its id."""
    unsure = (Delivery.event == "opened", Delivery.state == State.AMBIGUOUS, Delivery.ambiguities >= 2)
    async with database.reading() as session:
        rows = await session.execute(select(Delivery.address, Delivery.signal_id).where(*unsure))
        return frozenset((int(chat), signal) for chat, signal in rows if signal is not None)


async def sent_signals(database: db.Database) -> Sequence[int]:
    """Numbers of the signals that were published in time, which every paying member must have."""
    async with database.reading() as session:
        return (await session.scalars(select(Signal.id).where(Signal.late.is_(False)))).all()
