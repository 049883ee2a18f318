"""Fan-outs: one statement plans a message for everybody who is to get it; no recipient reaches Python."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, String, cast, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core import db, log
from core.columns import Utc
from core.delivery import claims
from core.delivery.outbox import LIFE, NOTICE, OPENING, POST, UPDATE
from core.models import Delivery, State


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
        literal(None, String).label("place"),
    )
    return await _plan(session, chosen.where(literal(1) == 1).order_by(turn, who.c.identity_id))


async def post(
    session: AsyncSession,
    signal_id: int,
    places: Iterable[tuple[str, str, str]],
    *,
    now: datetime,
    expires_at: datetime,
    payload: dict[str, Any] | None = None,
) -> int:
    """The opening will be posted once in each of these places (platform, address, place); says how many are new."""
    rows = [
        {
            "kind": "opening",
            "priority": POST,
            "signal_id": signal_id,
            "event": "opened",
            "state": State.PENDING.value,
            "not_before": now,
            "created_at": now,
            "platform": platform,
            "address": address,
            "place": place,
            "expires_at": expires_at,
            "payload": payload,
            "request": log.request(),
        }
        for platform, address, place in places
    ]
    if not rows:
        return 0
    return await db.execute(session, db.insert(session, Delivery).values(rows).on_conflict_do_nothing())


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


async def follow_up(
    session: AsyncSession, signal_id: int, event: str, *, payload: dict[str, Any] | None = None, now: datetime
) -> int:
    """Everyone who got the opening, or still may, has one delivery of this event, which waits for the opening."""
    opening = aliased(Delivery)
    chosen = select(
        *_constants("update", signal_id, event, now),
        opening.platform,
        opening.address,
        opening.identity_id,
        opening.member_id,
        opening.id.label("after_id"),
        literal(now + LIFE["update"], Utc).label("expires_at"),
        literal(payload, Delivery.payload.type).label("payload"),
        opening.place,
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
        literal(now + LIFE["notice"], Utc),
        literal({"name": name, **facts}, Delivery.payload.type),
        literal(f"{key}:", String) + cast(who.c.identity_id, String),
        who.c.platform,
        who.c.address,
        who.c.identity_id,
        who.c.member_id,
        literal(log.request(), String),
    ).where(literal(1) == 1)
    columns = ("kind", "priority", "state", "not_before", "created_at", "expires_at", "payload", "key")
    chats = ("platform", "address", "identity_id", "member_id")
    statement = db.insert(session, Delivery).from_select((*columns, *chats, "request"), chosen, include_defaults=False)
    return await db.execute(session, statement.on_conflict_do_nothing(index_elements=["key"]))


_PLANNED = [
    "kind",
    "priority",
    "signal_id",
    "event",
    "state",
    "not_before",
    "created_at",
    "request",
    "platform",
    "address",
    "identity_id",
    "member_id",
    "after_id",
    "expires_at",
    "payload",
    "place",
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
        literal(log.request(), String).label("request"),
    ]


async def _plan(session: AsyncSession, chosen: Select[Any]) -> int:
    statement = db.insert(session, Delivery).from_select(_PLANNED, chosen, include_defaults=False)
    return await db.execute(session, statement.on_conflict_do_nothing())
