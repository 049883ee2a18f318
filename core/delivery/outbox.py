"""The outbox ledger: every message that a chat must get, from the transaction that caused it to its end.

States: pending → claimed (lease, epoch) → sending → sent | ambiguous | blocked | dead | expired.
Here rows come into being and are counted; `core.delivery.claims` is the worker's side.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    cast,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core import db, models
from core.columns import Utc
from core.delivery import claims
from core.models import Delivery, State

# Priorities: an answer to a person goes before everything else, what can grow stale before what cannot.
REPLY, NOTICE, OPENING, UPDATE = 0, 1, 2, 3
_LIFE = {"reply": timedelta(hours=1), "notice": timedelta(days=7), "update": timedelta(days=7)}


async def reply(
    session: AsyncSession, platform: str, address: str, message: dict[str, Any], *, key: str, now: datetime
) -> bool:
    """The answer will be sent to this chat before everything else; says whether it is new under its key."""
    row = _row("reply", REPLY, (platform, address), {"message": message}, key=key, now=now)
    return await _add(session, row)


async def tell(
    session: AsyncSession, member_id: int, name: str, facts: dict[str, Any], *, key: str, now: datetime
) -> int:
    """The notice `name` will reach the member on every chat that takes our messages; says how many are new."""
    identity = models.Identity
    chats = await session.execute(
        select(identity.id, identity.platform, identity.address).where(
            identity.member_id == member_id, identity.blocked_at.is_(None)
        )
    )
    added = 0
    for identity_id, platform, address in chats.all():
        row = _row(
            "notice", NOTICE, (platform, address), {"name": name, **facts}, key=f"{key[:80]}:{identity_id}", now=now
        )
        added += await _add(session, {**row, "identity_id": identity_id, "member_id": member_id})
    return added


async def warn(
    session: AsyncSession, platform: str, address: str, facts: dict[str, Any], *, key: str, now: datetime
) -> bool:
    """The operator at this address has the notice `alarm` once under its key; says whether it is new."""
    payload = {"name": "alarm", **facts}
    return await _add(session, _row("notice", NOTICE, (platform, address), payload, key=key, now=now))


async def open_up(
    session: AsyncSession,
    signal_id: int,
    recipients: Select[str, str, int, int],
    *,
    now: datetime,
    expires_at: datetime,
    payload: dict[str, Any] | None = None,
) -> int:
    """Every recipient (platform, address, identity id, member id) has one delivery; says how many are new.

    The order of the queue is turned by the signal's number, so that no member is always last.
    """
    who = recipients.subquery()
    turn = (who.c.identity_id * 7919 + signal_id * 104729) % 1009
    chosen = select(
        *_constants("opening", signal_id, "opened", now),
        who.c.platform,
        who.c.address,
        who.c.identity_id,
        who.c.member_id,
        literal(None, Integer).label("after_id"),
        literal(expires_at, Utc).label("expires_at"),
        literal(payload, Delivery.payload.type).label("payload"),
    )
    return await _plan(session, chosen.where(literal(1) == 1).order_by(turn, who.c.identity_id))


async def reopen(
    session: AsyncSession,
    signal_id: int,
    recipients: Select[str, str, int, int],
    *,
    now: datetime,
    expires_at: datetime,
    payload: dict[str, Any],
) -> int:
    """Openings of this signal that were refused for want of a plan wait again for these recipients; says how many."""
    who = recipients.subquery()
    refused = update(Delivery).where(
        Delivery.signal_id == signal_id,
        Delivery.event == "opened",
        Delivery.state == State.EXPIRED,
        Delivery.reason == claims.NOT_ENTITLED,
        Delivery.identity_id.in_(select(who.c.identity_id)),
    )
    values = {"state": State.PENDING, "settled_at": None, "not_before": now, "expires_at": expires_at}
    return await db.execute(session, refused.values(**values, payload=payload, reason=""))


async def follow_up(session: AsyncSession, signal_id: int, event: str, *, now: datetime) -> int:
    """Everyone who got the opening, or still may, has one delivery of this event, which waits for the opening."""
    opening = aliased(Delivery)
    chosen = select(
        *_constants("update", signal_id, event, now),
        opening.platform,
        opening.address,
        opening.identity_id,
        opening.member_id,
        opening.id.label("after_id"),
        literal(now + _LIFE["update"], Utc).label("expires_at"),
        literal(None, Delivery.payload.type).label("payload"),
    ).where(
        opening.signal_id == signal_id,
        opening.event == "opened",
        or_(opening.state.in_([*claims.UNSETTLED, *claims.ARRIVED]), opening.ambiguities > 0),
    )
    return await _plan(session, chosen.order_by(opening.id))


async def announce(
    session: AsyncSession,
    recipients: Select[str, str, int, int],
    name: str,
    facts: dict[str, Any],
    *,
    key: str,
    now: datetime,
) -> int:
    """Every recipient has the notice `name` once under this key; says how many are new."""
    who = recipients.subquery()
    chosen = select(
        literal("notice", String),
        literal(NOTICE, Integer),
        literal(State.PENDING.value, String),
        literal(now, Utc),
        literal(now, Utc),
        literal(now + _LIFE["notice"], Utc),
        literal({"name": name, **facts}, Delivery.payload.type),
        literal(f"{key}:", String) + cast(who.c.identity_id, String),
        who.c.platform,
        who.c.address,
        who.c.identity_id,
        who.c.member_id,
    ).where(literal(1) == 1)
    columns = ("kind", "priority", "state", "not_before", "created_at", "expires_at", "payload", "key")
    chats = ("platform", "address", "identity_id", "member_id")
    statement = db.insert(session, Delivery).from_select((*columns, *chats), chosen, include_defaults=False)
    return await db.execute(session, statement.on_conflict_do_nothing(index_elements=["key"]))


_PLANNED = [
    "kind",
    "priority",
    "signal_id",
    "event",
    "state",
    "not_before",
    "created_at",
    "platform",
    "address",
    "identity_id",
    "member_id",
    "after_id",
    "expires_at",
    "payload",
]


def _constants(kind: str, signal_id: int, event: str, now: datetime) -> list[ColumnElement[Any]]:
    return [
        literal(kind, String).label("kind"),
        literal(OPENING if kind == "opening" else UPDATE, Integer).label("priority"),
        literal(signal_id, Integer).label("signal_id"),
        literal(event, String).label("event"),
        literal(State.PENDING.value, String).label("state"),
        literal(now, Utc).label("not_before"),
        literal(now, Utc).label("created_at"),
    ]


async def _plan(session: AsyncSession, chosen: Select[Any]) -> int:
    statement = db.insert(session, Delivery).from_select(_PLANNED, chosen, include_defaults=False)
    return await db.execute(session, statement.on_conflict_do_nothing())


def _row(
    kind: str, priority: int, chat: tuple[str, str], payload: dict[str, Any], *, key: str, now: datetime
) -> dict[str, Any]:
    return {
        "key": key,
        "kind": kind,
        "priority": priority,
        "platform": chat[0],
        "address": chat[1],
        "payload": payload,
        "not_before": now,
        "created_at": now,
        "expires_at": now + _LIFE[kind],
    }


async def _add(session: AsyncSession, row: dict[str, Any]) -> bool:
    statement = db.insert(session, Delivery).values(**row)
    return await db.execute(session, statement.on_conflict_do_nothing(index_elements=["key"])) == 1


async def waiting(session: AsyncSession, platform: str, address: str) -> int:
    """How many answers to this chat are not sent yet."""
    counted = select(func.count()).where(
        Delivery.platform == platform,
        Delivery.address == address,
        Delivery.state == State.PENDING,
        Delivery.kind == "reply",
    )
    return await session.scalar(counted) or 0


async def counts(session: AsyncSession) -> dict[tuple[str, str, str], int]:
    """How many deliveries there are by (platform, kind, state)."""
    rows = await session.execute(
        select(Delivery.platform, Delivery.kind, Delivery.state, func.count()).group_by(
            Delivery.platform, Delivery.kind, Delivery.state
        )
    )
    return {(platform, kind, str(state)): number for platform, kind, state, number in rows}


async def ambiguous(session: AsyncSession) -> int:
    """How many deliveries were ambiguous at least once, whatever became of them."""
    return await session.scalar(select(func.count()).where(Delivery.ambiguities > 0)) or 0
