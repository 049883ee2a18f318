"""Rounds: what a platform says of who is inside its places, held against who may be there.

Events tell most of it at once; a round finds what they did not tell, and repairs both ways.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, case, exists, func, literal, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, doors, health, rights
from core.columns import Utc
from core.delivery import claims
from core.models import Delivery, Identity, Place, Presence

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Roster:
    """Who was found inside a place when it was looked at, from `at` on; `inside` says who of them is kept.

    `outside` are others who were asked about and are not inside. `reachable` are all who could be let in (None: nobody
    knows), `whole` says that whoever is not named is not inside, `count` is the platform's own count of people.
    """

    at: datetime
    inside: dict[str, bool]
    outside: frozenset[str] = frozenset()
    reachable: frozenset[str] | None = None
    whole: bool = False
    count: int | None = None
    requests: int = 0


async def to_look_at(session: AsyncSession, place: Place, limit: int, *, now: datetime) -> list[str]:
    """The people whose presence was not looked at for longest: those inside, and all who may not be there.

    Before all others come those who may not be there and were never looked at. Who may enter and is not inside is left
    out: nothing follows from it. Everybody we know on the platform is on the list from now on.
    """
    await doors.enlist(session, place, true(), now=now, everybody=True)
    account = and_(Identity.platform == place.platform, Identity.external_id == Presence.external_id)
    may = rights.may_enter(literal(place.key), Identity.member_id.expression, now)
    rows = await session.scalars(
        select(Presence.external_id)
        .outerjoin(Identity, account)
        .where(Presence.place == place.key, or_(Presence.inside.is_(True), Presence.asked_at.is_not(None), ~may))
        .order_by(case((and_(~may, Presence.checked_at.is_(None)), 0), else_=1))
        .order_by(Presence.checked_at.nulls_first(), Presence.id)
        .limit(limit)
    )
    return list(rows)


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at one place found and did. `unknown` are people inside of whom we know nothing."""

    entitled: int
    inside: int
    unknown: int
    let_in: int
    put_out: int
    held: int
    requests: int


async def compare(
    session: AsyncSession, place: Place, roster: Roster, *, allowance: int | None = None, now: datetime
) -> Found:
    """What is known of the place is what the roster says, and acts are planned for every difference."""
    await doors.enlist(session, place, true(), now=now)
    await _write_down(session, place, roster, now)
    planned = await doors.settle(session, place, true(), now=now, reachable=roster.reachable, allowance=allowance)
    if not planned.held:
        await health.clear(session, doors.brake(place), now=now)
    may = rights.may_enter(literal(place.key), Identity.member_id.expression, now)
    entitled = await session.scalar(select(func.count()).where(Identity.platform == place.platform, may)) or 0
    within = select(func.count()).where(Presence.place == place.key, Presence.inside.is_(True))
    inside = await session.scalar(within) or 0
    unknown = max(0, roster.count - inside) if roster.count is not None and not roster.whole else 0
    done = (planned.inwards, planned.outwards, planned.held)
    return Found(entitled, inside, unknown, *done, roster.requests)


async def _write_down(session: AsyncSession, place: Place, roster: Roster, now: datetime) -> None:
    """The roster is in the table, but for what was learnt about somebody after it was begun."""
    older = or_(Presence.checked_at.is_(None), Presence.checked_at < roster.at)
    rows = [
        {"place": place.key, "external_id": who, "inside": who in roster.inside, "checked_at": now}
        | {"kept": roster.inside.get(who, False)}
        for who in [*roster.inside, *sorted(roster.outside)]
    ]
    for start in range(0, len(rows), _CHUNK):
        insert = db.insert(session, Presence).values(rows[start : start + _CHUNK])
        told = {name: getattr(insert.excluded, name) for name in ("inside", "kept", "checked_at")}
        await session.execute(
            insert.on_conflict_do_update(index_elements=["place", "external_id"], set_=told, where=older)
        )
    if roster.whole:
        gone = update(Presence).where(Presence.place == place.key, Presence.inside.is_(True), older)
        await db.execute(session, gone.values(inside=False, checked_at=literal(now, Utc)))


async def overdue(session: AsyncSession, *, now: datetime, limit: int = 200) -> Sequence[int]:
    """Members who are inside a place that no plan of theirs opens any more and about whom nothing is on its way."""
    on_its_way = exists().where(Delivery.id == Presence.delivery_id, Delivery.state.in_(claims.UNSETTLED))
    rows = await session.scalars(
        select(Identity.member_id)
        .join(Place, Place.platform == Identity.platform)
        .join(Presence, and_(Presence.place == Place.key, Presence.external_id == Identity.external_id))
        .where(Presence.inside.is_(True), Presence.kept.is_(False), Place.retired_at.is_(None), Place.fault == "")
        .where(~on_its_way, ~rights.may_enter(Place.key.expression, Identity.member_id.expression, now))
        .distinct()
        .limit(limit)
    )
    return rows.all()
