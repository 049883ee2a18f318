"""Doors of gated places: the difference between who may be inside and who is, and the acts that mend it.

An act is a delivery of kind "door": it is claimed, retried and accounted for like a message, and whether it is still
right is asked again when it is claimed. About one person at most one act is on its way at a time.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, health, rights
from core.delivery import claims, outbox
from core.models import Delivery, Identity, Place, Presence

_BRAKE_SHARE, BRAKE_LEAST = 0.05, 20
_BRAKE_SPAN = timedelta(minutes=10)
_CHUNK = 500
_OUT = {"telegram": "remove", "discord": "take"}
INWARDS = frozenset({"give", "admit"})
_WORDS_FIRST = timedelta(seconds=10)
"""Whoever is turned away on Telegram can be told why only for as long as their request to join waits."""


@dataclass(frozen=True, slots=True)
class Planned:
    """How many acts are on their way, and how many of those that put people out were held back by the brake."""

    inwards: int = 0
    outwards: int = 0
    held: int = 0

    @property
    def acts(self) -> int:
        """How many acts are on their way."""
        return self.inwards + self.outwards

    def __add__(self, other: "Planned") -> "Planned":
        return Planned(self.inwards + other.inwards, self.outwards + other.outwards, self.held + other.held)


async def enlist(
    session: AsyncSession, place: Place, whose: ColumnElement[bool], *, now: datetime, everybody: bool = False
) -> None:
    """Every account of the platform that may enter the place is on its list.

    With `everybody`, so are those that may not: where nobody can list who is inside, they are asked about one by one.
    """
    chosen = select(literal(place.key), Identity.external_id).where(Identity.platform == place.platform, whose)
    if not everybody:
        chosen = chosen.where(rights.may_enter(literal(place.key), Identity.member_id.expression, now))
    listed = db.insert(session, Presence).from_select(["place", "external_id"], chosen, include_defaults=False)
    await db.execute(session, listed.on_conflict_do_nothing(index_elements=["place", "external_id"]))


async def settle(
    session: AsyncSession,
    place: Place,
    whose: ColumnElement[bool],
    *,
    now: datetime,
    unless: str = "",
    reachable: Collection[str] | None = None,
    allowance: int | None = None,
) -> Planned:
    """Acts are planned for those of these people whose being inside is not as it may be.

    `unless` names an act that is not planned again, `reachable` who can be let in (None: everybody), `allowance` how
    many people may be put out (None: as many as the brake lets go). Where something hinders us, nobody is put out.
    """
    may = rights.may_enter(literal(place.key), Identity.member_id.expression, now).label("may")
    account = and_(Identity.platform == place.platform, Identity.external_id == Presence.external_id)
    rows = await session.execute(
        select(Presence, Identity.member_id, may)
        .outerjoin(Identity, account)
        .where(Presence.place == place.key, whose, or_(Presence.inside != may, Presence.asked_at.is_not(None)))
        .order_by(Presence.id)
        .with_for_update(of=Presence)
        .execution_options(populate_existing=True)
    )
    wanted: dict[tuple[str, str], list[tuple[Presence, int | None]]] = {}
    for presence, member_id, allowed in rows:
        act = _act(place, presence, allowed)
        if act and act[1] != unless and _possible(place, act[0], presence, reachable):
            wanted.setdefault(act, []).append((presence, member_id))
    return await _plan(session, place, wanted, allowance, now)


def _possible(place: Place, event: str, presence: Presence, reachable: Collection[str] | None) -> bool:
    if event == "out":
        return not place.fault
    return reachable is None or presence.external_id in reachable


def _act(place: Place, presence: Presence, may: bool) -> tuple[str, str] | None:
    """The event and the act that bring this person where they may be."""
    if may and not presence.inside:
        if place.platform == "discord":
            return "in", "give"
        return ("in", "admit") if presence.asked_at else None
    if not may and presence.inside and not presence.kept:
        return "out", _OUT[place.platform]
    if not may and presence.asked_at:
        return "out", "decline"
    return None


async def _plan(
    session: AsyncSession,
    place: Place,
    wanted: dict[tuple[str, str], list[tuple[Presence, int | None]]],
    allowance: int | None,
    now: datetime,
) -> Planned:
    total = Planned()
    for (event, act), people in wanted.items():
        free = await _free(session, people, event, now)
        if act in _OUT.values() and len(free) > await _room(session, place, allowance, now):
            await _hold(session, place, len(free), now)
            total += Planned(held=len(free))
            continue
        for start in range(0, len(free), _CHUNK):
            await _at_door(session, place, event, act, free[start : start + _CHUNK], now)
        total += Planned(len(free), 0) if event == "in" else Planned(0, len(free))
    return total


async def _free(
    session: AsyncSession, people: Sequence[tuple[Presence, int | None]], event: str, now: datetime
) -> list[tuple[Presence, int | None]]:
    """Those about whom nothing is on its way; a contrary act that nobody has begun is withdrawn."""
    busy: dict[int, str | None] = {}
    ids = [presence.delivery_id for presence, _ in people if presence.delivery_id is not None]
    for start in range(0, len(ids), _CHUNK):
        some = Delivery.id.in_(ids[start : start + _CHUNK])
        contrary = update(Delivery).where(some, Delivery.state == "pending", Delivery.event != event)
        reason = "the contrary became right before it began"
        await db.execute(session, contrary.values(state="expired", reason=reason, settled_at=now))
        rows = await session.execute(
            select(Delivery.id, Delivery.event).where(some, Delivery.state.in_(claims.UNSETTLED))
        )
        busy |= dict(rows.all())
    return [(presence, member) for presence, member in people if presence.delivery_id not in busy]


async def _room(session: AsyncSession, place: Place, allowance: int | None, now: datetime) -> int:
    """How many more people may be put out of the place without asking: 5 % of those inside (or 20) in ten minutes."""
    if allowance is not None:
        return allowance
    inside = await session.scalar(
        select(func.count()).where(Presence.place == place.key, Presence.inside.is_(True), Presence.kept.is_(False))
    )
    recent = await session.scalar(
        select(func.count())
        .select_from(Presence)
        .join(Delivery, Delivery.id == Presence.delivery_id)
        .where(Presence.place == place.key, Delivery.event == "out", Delivery.created_at > now - _BRAKE_SPAN)
        .where(Delivery.state != "expired")
    )
    return max(BRAKE_LEAST, round(_BRAKE_SHARE * (inside or 0))) - (recent or 0)


async def _hold(session: AsyncSession, place: Place, number: int, now: datetime) -> None:
    text = (
        f"{place.name}: {number} more people would have to leave at once. Nobody was put out; look at /drift, and if "
        "it is right, release it there."
    )
    await health.alarm(session, brake(place), text, now=now)


def brake(place: Place) -> str:
    """The key of the alarm that stands while people are held back from being put out."""
    return f"brake:{place.key}"


async def _at_door(
    session: AsyncSession,
    place: Place,
    event: str,
    act: str,
    people: Sequence[tuple[Presence, int | None]],
    now: datetime,
) -> None:
    """The acts are in the outbox, each under the number of the person's presence and its version."""
    if not people:
        return
    acts = []
    for presence, member_id in people:
        presence.version += 1
        where = {"place": place.key, "space": place.space, "role": place.role, "user": presence.external_id}
        acts.append((f"door:{presence.id}:{presence.version}", {"act": act, **where}, member_id))
    begin = now + _WORDS_FIRST if act == "decline" else now
    ids = await outbox.at_doors(session, place, event, acts, now=now, not_before=begin)
    for (presence, _), (key, *_rest) in zip(people, acts, strict=True):
        presence.delivery_id = ids[key]
    await session.flush()
