"""The inbox ledger: what providers and chats told us, kept before it is acknowledged, worked off exactly once.

An item is `pending` until a worker claims it for a lease, and `done` in the same transaction as its effect; a worker
that dies leaves an item whose lease runs out. After MAX_ATTEMPTS failures it is `dead`, which the status page shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Integer, String, UpdateBase, and_, bindparam, case, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors, models
from core.columns import Utc

MAX_ATTEMPTS = 12


@dataclass(frozen=True, slots=True)
class Item:
    """A claimed item; `epoch` proves the claim."""

    id: int
    source: str
    event_id: str
    kind: str
    body: bytes
    attempts: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Event:
    """What somebody told us, to be kept before it is acknowledged."""

    source: str
    event_id: str
    kind: str
    body: bytes


async def put_all(session: AsyncSession, events: Sequence[Event], *, now: datetime) -> None:
    """All of them are in the ledger, each once."""
    row = {"state": "pending", "received_at": now, "not_before": now, "attempts": 0, "epoch": 0, "error": ""}
    rows = [{"source": e.source, "event_id": e.event_id, "kind": e.kind, "body": e.body, **row} for e in events]
    # Straight to the table: the way of the ORM costs more than the statement.
    statement = db.insert(session, models.Inbox).on_conflict_do_nothing(index_elements=["source", "event_id"])
    connection = await session.connection()
    await connection.execute(statement, rows)


async def put(
    session: AsyncSession,
    source: str,
    event_id: str,
    kind: str,
    body: bytes,
    *,
    now: datetime,
    since: datetime | None = None,
) -> bool:
    """The item is in the ledger; says whether it is new.

    One that had to be fetched has been due `since` it happened, before it was received: that tells it from others.
    """
    row = {"source": source, "event_id": event_id, "kind": kind, "body": body, "state": "pending"}
    due = min(since, now - timedelta(seconds=1)) if since else now
    statement = (
        db.insert(session, models.Inbox)
        .values(**row, received_at=now, not_before=due, attempts=0, epoch=0, error="")
        .on_conflict_do_nothing(index_elements=["source", "event_id"])
    )
    return await db.execute(session, statement) == 1


async def claim(session: AsyncSession, source: str, *, now: datetime, lease: float, limit: int = 1) -> list[Item]:
    """The oldest items that are due are ours for `lease` seconds, in the order of their arrival."""
    given = {"whose": source, "at": now, "most": limit, "ends": now + timedelta(seconds=lease)}
    taken = await session.execute(_claiming(), given)
    rows = [row for row in taken.mappings() if row["state"] == "claimed"]
    items = (Item(**{**{name: row[name] for name in Item.__slots__}, "body": row["body"] or b""}) for row in rows)
    return sorted(items, key=lambda item: item.id)


@cache
def _claiming() -> UpdateBase:
    """The statement that claims what is due; building it costs more than executing it."""
    table, now = models.Inbox, bindparam("at", type_=Utc())
    due = and_(
        table.source == bindparam("whose", type_=String()),
        or_(
            and_(table.state == "pending", table.not_before <= now),
            and_(table.state == "claimed", table.lease_until < now),
        ),
    )
    oldest = select(table.id).where(due).order_by(table.id).limit(bindparam("most", type_=Integer()))
    # Worked out once; PostgreSQL may repeat a sub-select beyond its limit.
    locked = oldest.with_for_update(skip_locked=True).cte("locked")
    given_up = table.attempts >= MAX_ATTEMPTS  # only where the process died with every attempt
    return (
        update(table)
        .where(table.id == locked.c.id)
        .values(
            state=case((given_up, "dead"), else_="claimed"),
            error=case((given_up, "the process ended while it was being worked on"), else_=table.error),
            epoch=table.epoch + 1,
            attempts=table.attempts + 1,
            lease_until=bindparam("ends", type_=Utc()),
        )
        .returning(table.state, *(getattr(table, name) for name in Item.__slots__))
        .execution_options(synchronize_session=False)
    )


async def done(session: AsyncSession, *items: Item) -> None:
    """The items will not be worked on again; raises LostLeaseError when another worker has taken one of them over."""
    # The ids once more by themselves: of pairs alone SQLite would look through the whole table.
    these = models.Inbox.id.in_([item.id for item in items])
    claimed = tuple_(models.Inbox.id, models.Inbox.epoch).in_([(item.id, item.epoch) for item in items])
    ended = update(models.Inbox).where(these, claimed, models.Inbox.state == "claimed")
    if await db.execute(session, ended.values(state="done", lease_until=None, error="")) != len(items):
        raise errors.LostLeaseError(f"A {items[0].source} item was taken over by another worker.")


async def retry(session: AsyncSession, item: Item, error: str, *, now: datetime) -> None:
    """The item is due again after a pause that doubles with each attempt (2 s to 10 min), or dead after the last."""
    wait = min(600, 2**item.attempts)
    state = "dead" if item.attempts >= MAX_ATTEMPTS else "pending"
    values = {"not_before": now + timedelta(seconds=wait), "error": error[:500]}
    await _settle(session, item, state=state, lease_until=None, **values)


async def forget(session: AsyncSession, *, before: datetime) -> int:
    """Bodies of finished and given-up items from before this moment, personal data, are gone; says how many."""
    return await db.execute(
        session,
        update(models.Inbox)
        .where(
            models.Inbox.state.in_(["done", "dead"]), models.Inbox.received_at < before, models.Inbox.body.is_not(None)
        )
        .values(body=None),
    )


async def _settle(session: AsyncSession, item: Item, **values: object) -> None:
    changed = await db.execute(
        session,
        update(models.Inbox)
        .where(models.Inbox.id == item.id, models.Inbox.epoch == item.epoch, models.Inbox.state == "claimed")
        .values(**values),
    )
    if changed != 1:
        raise errors.LostLeaseError(f"The {item.source} item {item.id} was taken over by another worker.")
