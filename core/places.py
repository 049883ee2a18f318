"""Gated places: who may be inside, who is as far as we know, and what is done at the doors about the difference.

Whatever is learnt (a payment, an end, a join, a request) is written down, and `core.doors` plans what follows from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, db, doors, health, members, rights
from core.delivery import claims, outcomes
from core.models import Delivery, Identity, Place, PlacePlan, Presence

Address = tuple[str, str, str]
"""Platform, where to post there, and the place's key."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One account of a member at one place that is on its platform: may it enter, is it inside, does it wait."""

    place: Place
    identity: Identity
    may: bool
    inside: bool
    asked: bool
    link: str


_ACTIVE = select(Place).where(Place.retired_at.is_(None)).order_by(Place.key)


async def active(session: AsyncSession, platform: str = "") -> Sequence[Place]:
    """The places that are in use, of one platform or of all, by their keys."""
    return (await session.scalars(_ACTIVE.where(Place.platform == platform) if platform else _ACTIVE)).all()


async def carrying(session: AsyncSession, symbol: str) -> list[Address]:
    """Where signals of this market are posted."""
    found = await active(session)
    return [(place.platform, place.channel, place.key) for place in found if place.channel and place.carries(symbol)]


async def opened_by(session: AsyncSession, plan: str) -> Sequence[Place]:
    """The places in use that this plan opens."""
    rows = await session.scalars(
        select(Place)
        .join(PlacePlan, PlacePlan.place == Place.key)
        .where(PlacePlan.plan == plan, Place.retired_at.is_(None))
        .order_by(Place.key)
    )
    return rows.all()


async def seats(session: AsyncSession, member_id: int, *, now: datetime) -> list[Seat]:
    """Every account of this member at every place of its platform, by place."""
    rows = await session.execute(
        select(Place, Identity, rights.may_enter(Place.key.expression, Identity.member_id.expression, now), Presence)
        .join(Identity, Identity.platform == Place.platform)
        .outerjoin(Presence, and_(Presence.place == Place.key, Presence.external_id == Identity.external_id))
        .where(Identity.member_id == member_id, Place.retired_at.is_(None))
        .order_by(Place.key, Identity.id)
    )
    return [
        Seat(place, who, may, bool(at and at.inside), bool(at and at.asked_at), at.link if at else "")
        for place, who, may, at in rows
    ]


# --- the list of places


async def sync(session: AsyncSession, book: catalogue.Catalogue, *, now: datetime) -> None:
    """The places of the catalogue are in use as it says, and those it no longer names are not.

    What was set up in chat stays, and fills in what the catalogue leaves open (role and channel of a Discord place).
    """
    known = {place.key: place for place in await session.scalars(select(Place).with_for_update())}
    for wanted in book.places:
        place = known.get(wanted.key)
        if place is None or (place.platform, place.space) != (wanted.platform, wanted.space):
            place = place or Place(key=wanted.key, created_at=now, role="", channel="")
            place.platform, place.space, place.role, place.channel = wanted.platform, wanted.space, "", ""
        place.name, place.symbols, place.fixed, place.retired_at = wanted.name, sorted(wanted.symbols), True, None
        place.role = wanted.role or place.role
        place.channel = wanted.chat or wanted.channel or place.channel
        session.add(place)
        known[wanted.key] = place
    declared = {place.key for place in book.places}
    for place in known.values():
        if place.fixed and place.key not in declared:
            place.retired_at = place.retired_at or now
    await session.flush()
    for place in known.values():
        await open_to_plans(session, place, book)


async def open_to_plans(session: AsyncSession, place: Place, book: catalogue.Catalogue) -> list[str]:
    """Exactly those plans open the place that the catalogue says; their keys."""
    plans = sorted(plan.key for plan in book.plans if plan.opens_place(place.key, place.symbols))
    rows = {row.plan: row for row in await session.scalars(select(PlacePlan).where(PlacePlan.place == place.key))}
    for plan in sorted(rows.keys() - set(plans)):
        await session.delete(rows[plan])
    session.add_all(PlacePlan(place=place.key, plan=plan) for plan in plans if plan not in rows)
    await session.flush()
    return plans


async def moved(session: AsyncSession, platform: str, old: str, new: str) -> None:
    """A chat has a new number: places, and whatever waits to be posted or done there, have it too.

    Ways in that led to the old one are forgotten.
    """
    named = or_(Place.space == old, Place.channel == old)
    here = (await session.scalars(select(Place.key).where(Place.platform == platform, named))).all()
    for column in (Place.space, Place.channel):
        stale = update(Place).where(Place.platform == platform, column == old)
        await db.execute(session, stale.values({column.key: new}))
    await db.execute(session, update(Presence).where(Presence.place.in_(here)).values(link=""))
    at_doors = and_(Delivery.place.in_(here), Delivery.kind == outcomes.DOOR)
    for act in await session.scalars(select(Delivery).where(at_doors, Delivery.state.in_(claims.UNSETTLED))):
        if act.payload and act.payload["space"] == old:
            act.payload = {**act.payload, "space": new}
    await members.move(session, platform, old, new)


# --- what we are told


async def seen(
    session: AsyncSession, place: Place, external_id: str, *, inside: bool, kept: bool = False, now: datetime
) -> doors.Planned:
    """This person was seen to come, to be there, or to leave; who may not be there will be put out."""
    values = {"inside": inside, "kept": kept, "asked_at": None, "checked_at": now}
    row = db.insert(session, Presence).values(place=place.key, external_id=external_id, **values)
    await session.execute(row.on_conflict_do_update(index_elements=["place", "external_id"], set_=values))
    return await doors.settle(session, place, Presence.external_id == external_id, now=now)


async def asked(session: AsyncSession, place: Place, external_id: str, *, now: datetime) -> bool:
    """This person asks to be let in; says whether an act that does so was planned now."""
    values = {"inside": False, "asked_at": now}
    row = db.insert(session, Presence).values(place=place.key, external_id=external_id, **values)
    await session.execute(row.on_conflict_do_update(index_elements=["place", "external_id"], set_=values))
    return (await doors.settle(session, place, Presence.external_id == external_id, now=now)).inwards > 0


async def settle(session: AsyncSession, member_id: int, *, now: datetime) -> doors.Planned:
    """What this member's standing means for the doors of all places is on its way."""
    total = doors.Planned()
    for place in await active(session):
        mine = Identity.member_id == member_id
        await doors.enlist(session, place, mine, now=now)
        total += await doors.settle(session, place, mine, now=now)
    return total


async def ended(
    session: AsyncSession, delivery_id: int, act: str, outcome: outcomes.Outcome, *, final: bool, now: datetime
) -> None:
    """An act at a door had this outcome; what is known of the person, or of the place, follows from it.

    When something changed while it was under way, another act is planned; never the same one again.
    """
    found = await session.scalars(select(Presence).where(Presence.delivery_id == delivery_id).with_for_update())
    presence = found.one_or_none()
    if presence is None:
        return
    place = await session.get_one(Place, presence.place)
    if isinstance(outcome, outcomes.Barred):
        await barred(session, place, outcome.reason, now=now)
        return
    if isinstance(outcome, outcomes.Sent | outcomes.Blocked | outcomes.Kept):
        presence.asked_at, presence.checked_at = None, now
        if act != "decline":
            here = isinstance(outcome, outcomes.Sent) and act in doors.INWARDS
            presence.kept = isinstance(outcome, outcomes.Kept)
            presence.inside = here or presence.kept
    await session.flush()
    if final:
        await doors.settle(session, place, Presence.id == presence.id, unless=act, now=now)


async def posted(session: AsyncSession, key: str, outcome: outcomes.Outcome, *, now: datetime) -> None:
    """A post in this place had this outcome; what it says about the place stands, or no longer stands, as an alarm."""
    if isinstance(outcome, outcomes.Barred):
        await health.alarm(session, f"post:{key}", f"Signals cannot be posted in “{key}”: {outcome.reason}", now=now)
    elif isinstance(outcome, outcomes.Sent):
        await health.clear(session, f"post:{key}", now=now)


async def barred(session: AsyncSession, place: Place, reason: str, *, now: datetime) -> None:
    """Nothing can be done in this place until its owner acts on `reason`, which stands as an alarm."""
    place.fault = reason
    await health.alarm(session, f"place:{place.key}", f"{place.name}: {reason}", now=now)


async def restored(session: AsyncSession, place: Place, *, now: datetime) -> None:
    """Nothing hinders us in this place any more."""
    if place.fault:
        place.fault = ""
    await health.clear(session, f"place:{place.key}", now=now)


async def inspected(session: AsyncSession, findings: Mapping[str, Sequence[str]], *, now: datetime) -> doors.Planned:
    """What hinders us in these places (by their keys) stands as their alarm; says what can be done at last."""
    planned = doors.Planned()
    for key, faults in findings.items():
        place = await session.get(Place, key, with_for_update=True)
        if place is None or place.retired_at is not None:
            continue
        if faults:
            await barred(session, place, " ".join(faults), now=now)
            continue
        hindered = bool(place.fault)
        await restored(session, place, now=now)
        if hindered:  # what was wished for meanwhile still waits
            await session.flush()
            planned += await doors.settle(session, place, true(), now=now)
    return planned
