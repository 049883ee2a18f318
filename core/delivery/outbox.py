"""The outbox ledger: every message that a chat must get, from the transaction that caused it to its end.

States: pending → claimed (lease, epoch) → sending → sent | ambiguous | blocked | dead | expired.
Here rows come into being and are counted; `core.delivery.claims` is the worker's side.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    func,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, log, models
from core.delivery import outcomes
from core.models import Delivery, State

# Priorities: an answer to a person goes before everything else, what can grow stale before what cannot, and a post that
# everybody in a place reads before what one person reads.
REPLY, NOTICE, DOOR, POST, OPENING, UPDATE = 0, 1, 1, 1, 2, 3
LIFE = {
    "reply": timedelta(hours=1),
    "notice": timedelta(days=7),
    "update": timedelta(days=7),
    outcomes.DOOR: timedelta(days=1),
}


async def reply(
    session: AsyncSession,
    platform: str,
    address: str,
    message: dict[str, Any],
    *,
    key: str,
    now: datetime,
    life: timedelta = LIFE["reply"],
) -> bool:
    """The answer will be sent to this chat before everything else; says whether it is new under its key."""
    return await answer(session, platform, address, {"message": message}, key=key, now=now, expires_at=now + life)


async def answer(
    session: AsyncSession,
    platform: str,
    address: str,
    payload: dict[str, Any],
    *,
    key: str,
    now: datetime,
    expires_at: datetime,
    after_id: int | None = None,
) -> bool:
    """As `reply`, of facts instead of words; not before the delivery `after_id` has arrived, which it answers."""
    row = _row("reply", REPLY, (platform, address), payload, key=key, now=now)
    return await _add(session, {**row, "expires_at": expires_at, "after_id": after_id})


async def tell(
    session: AsyncSession,
    member_id: int,
    name: str,
    facts: dict[str, Any],
    *,
    key: str,
    now: datetime,
    only: int | None = None,
    until: datetime | None = None,
) -> int:
    """The notice `name` will reach the member on every chat that takes our messages; says how many are new.

    With `only`, on that one account of theirs; with `until`, not later than then.
    """
    identity = models.Identity
    chats = await session.execute(
        select(identity.id, identity.platform, identity.address).where(
            identity.member_id == member_id,
            identity.blocked_at.is_(None),
            true() if only is None else identity.id == only,
        )
    )
    added = 0
    for identity_id, platform, address in chats.all():
        row = _row(
            "notice", NOTICE, (platform, address), {**facts, "name": name}, key=f"{key[:80]}:{identity_id}", now=now
        )
        row["expires_at"] = min(row["expires_at"], until or row["expires_at"])
        added += await _add(session, {**row, "identity_id": identity_id, "member_id": member_id})
    return added


async def warn(
    session: AsyncSession, platform: str, address: str, facts: dict[str, Any], *, key: str, now: datetime
) -> bool:
    """The operator at this address has the notice `alarm` once under its key; says whether it is new."""
    payload = {"name": "alarm", **facts}
    return await _add(session, _row("notice", NOTICE, (platform, address), payload, key=key, now=now))


async def post_notice(
    session: AsyncSession,
    place: tuple[str, str, str],
    name: str,
    facts: dict[str, Any],
    *,
    key: str,
    now: datetime,
) -> bool:
    """The notice `name` will be posted in this place (platform, address, place); says whether it is new."""
    platform, address, where = place
    row = _row("notice", NOTICE, (platform, address), {**facts, "name": name}, key=f"{key}:{where}", now=now)
    return await _add(session, {**row, "place": where})


async def at_doors(
    session: AsyncSession,
    place: models.Place,
    event: str,
    acts: Sequence[tuple[str, dict[str, Any], int | None]],
    *,
    now: datetime,
    not_before: datetime | None = None,
) -> dict[str, int]:
    """Each act (key, payload, member) will be done at the door of the place; the ids of the deliveries by their keys.

    `event` is "in" or "out". Each person has a lane of their own, so that doors are not paced like one chat.
    """
    rows = [
        {
            **_row(outcomes.DOOR, DOOR, (place.platform, f"door:{payload['user']}"), payload, key=key, now=now),
            "event": event,
            "place": place.key,
            "member_id": member_id,
            "not_before": not_before or now,
        }
        for key, payload, member_id in acts
    ]
    statement = db.insert(session, Delivery).values(rows).returning(Delivery.key, Delivery.id)
    made = await session.execute(statement)
    return {str(key): number for key, number in made}


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
        "expires_at": now + LIFE[kind],
        "request": log.request(),
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
