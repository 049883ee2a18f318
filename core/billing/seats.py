"""Seats of a team's subscription: who pays has the first one, gives the others away, and never more than are paid for.

A seat is a Grant with its subscription and a number from 2 on. All that changes seats happens under the lock of the
subscription's row, so two who do so at once wait for each other; unique indexes stand behind it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors, models
from core.billing import invitations, subscriptions
from core.models import Grant, Invitation, Subscription

SOURCE = "seat"
FREED, FEWER, OVER, DOUBLE = "freed", "fewer seats", "over", "double"
"""Why a seat ended: the payer took it back, fewer are paid for, the subscription is over for good, or whoever had it
turned out to have another one."""
_ENDED = ("canceled", "incomplete_expired")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat that somebody has, who that is on each chat, and what the payer called them."""

    grant: Grant
    people: Sequence[models.Identity]
    note: str


@dataclass(frozen=True, slots=True)
class Team:
    """A subscription with all that became of its seats; `free` are those that nobody has and nobody is invited to."""

    subscription: Subscription
    seats: Sequence[Seat]
    invited: Sequence[Invitation]
    free: int


async def settle(session: AsyncSession, row: Subscription, *, now: datetime) -> list[int]:
    """Seats are what this subscription pays for now; says whose seats began or ended by it, or opens something else.

    The caller holds the lock of the row. Seats last as long as its access; while it gives none they rest, and when it
    is over for good they end. When fewer are paid for, those with the highest numbers end first; whoever has such a
    number while a lower one is free gets the lower one.
    """
    rows = await _taken(session, row.id)
    paid = 0 if row.status in _ENDED else row.quantity
    free = [number for number in range(2, paid + 1) if number not in {seat.seat for seat in rows}]
    touched: list[int] = []
    for seat in rows:
        before = (_opens(seat, now), seat.plan)
        if (seat.seat or 0) > paid:
            if not free:
                seat.revoked_at, seat.reason = now, OVER if row.status in _ENDED else FEWER
            else:
                seat.seat = free.pop(0)
        if seat.revoked_at is None:
            seat.plan, seat.until = row.plan or seat.plan, _until(row, seat, now)
        if before != (_opens(seat, now), seat.plan):
            touched.append(seat.member_id)
    await session.flush()
    await _uninvite(session, row.id, most=max(0, paid - 1 - sum(seat.revoked_at is None for seat in rows)), now=now)
    return touched


def _opens(seat: Grant, now: datetime) -> bool:
    return seat.revoked_at is None and (seat.until is None or seat.until > now)


def _until(row: Subscription, seat: Grant, now: datetime) -> datetime:
    """What the subscription gives; while it gives nothing, the moment at which that was seen first."""
    if row.access_until is not None:
        return row.access_until
    return min(seat.until or now, now)


async def _uninvite(session: AsyncSession, subscription_id: int, *, most: int, now: datetime) -> None:
    """No more people are invited than there are free seats; the latest invitations go first."""
    waiting = await invitations.waiting(session, Invitation.subscription_id == subscription_id, now=now)
    if surplus := [one.id for one in waiting[most:]]:
        await invitations.withdraw(session, Invitation.id.in_(surplus), now=now)


async def _taken(session: AsyncSession, subscription_id: int) -> Sequence[Grant]:
    """Seats that are somebody's, by their numbers, the resting ones included."""
    rows = await session.scalars(
        select(Grant)
        .where(Grant.subscription_id == subscription_id, Grant.revoked_at.is_(None))
        .order_by(Grant.seat)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def locked(session: AsyncSession, subscription_id: int) -> Subscription:
    """The subscription, whose seats nobody else changes until the transaction ends."""
    found = await session.scalars(
        select(Subscription)
        .where(Subscription.id == subscription_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.one()


async def paid_by(session: AsyncSession, member_id: int, *, now: datetime) -> list[Subscription]:
    """The member's subscriptions that have seats to give now."""
    rows = await subscriptions.of_member(session, member_id)
    return [row for row in rows if row.quantity > 1 and row.access_until is not None and row.access_until > now]


async def team(session: AsyncSession, row: Subscription, *, now: datetime) -> Team:
    """Who has a seat, who is invited, and how many are left."""
    taken, waiting = await _taken(session, row.id), await _waiting(session, row.id, now)
    used = select(Invitation).where(Invitation.grant_id.in_([one.id for one in taken]))
    notes = {one.grant_id: one.note for one in await session.scalars(used)}
    people: dict[int, list[models.Identity]] = {one.member_id: [] for one in taken}
    for who in await session.scalars(_accounts(people)):
        people[who.member_id].append(who)
    seats = [Seat(one, people[one.member_id], notes.get(one.id, "")) for one in taken]
    return Team(row, seats, waiting, max(0, row.quantity - 1 - len(taken) - len(waiting)))


def _accounts(member_ids: Iterable[int]) -> Select[models.Identity]:
    mine = select(models.Identity).where(models.Identity.member_id.in_(sorted(member_ids)))
    return mine.order_by(models.Identity.id)


async def _waiting(session: AsyncSession, subscription_id: int, now: datetime) -> Sequence[Invitation]:
    return await invitations.waiting(session, Invitation.subscription_id == subscription_id, now=now)


async def invite(session: AsyncSession, row: Subscription, code: str, note: str, *, now: datetime) -> Invitation:
    """Whoever has the code can take a seat; raises RefusedError when all are taken or promised.

    The caller holds the lock of the row. A code that invites already does nothing more.
    """
    if known := await invitations.find(session, code, now=now):
        return known
    found = await team(session, row, now=now)
    if not found.free or row.member_id is None:
        raise errors.RefusedError(f"All {row.quantity} seats are taken or promised. Free one, or buy more seats.")
    return await invitations.make(
        session, code, member_id=row.member_id, subscription_id=row.id, note=" ".join(note.split()), now=now
    )


async def give(session: AsyncSession, invitation: Invitation, member_id: int, *, now: datetime) -> Grant:
    """The member has the lowest free seat, and the invitation is used; raises RefusedError otherwise."""
    row = await locked(session, invitation.subscription_id or 0)
    taken = await _taken(session, row.id)
    if row.member_id == member_id:
        raise errors.RefusedError("You pay for this membership yourself, so you have its first seat already.")
    if any(seat.member_id == member_id for seat in taken):
        raise errors.RefusedError("You have a seat of this membership already. The code is still good for others.")
    numbers = set(range(2, row.quantity + 1)) - {seat.seat for seat in taken}
    if not numbers or row.access_until is None or row.access_until <= now:
        raise invitations.NotValidError
    await invitations.use(session, invitation, now=now)
    grant = Grant(
        member_id=member_id,
        plan=row.plan,
        until=row.access_until,
        granted_by=f"member:{row.member_id}",
        source=SOURCE,
        subscription_id=row.id,
        seat=min(numbers),
        created_at=now,
    )
    session.add(grant)
    await session.flush()
    invitation.grant_id = grant.id
    await session.flush()
    log.info("seat_given", subscription=row.external_id, seat=grant.seat, member=member_id)
    return grant


async def merged(session: AsyncSession, kept: int, given_up: int, *, now: datetime) -> None:
    """Two members become one: of two seats of one subscription one is free again, and so are the payer's own ones."""
    both = (kept, given_up)
    rows = await session.scalars(
        select(Grant)
        .where(Grant.member_id.in_(both), Grant.subscription_id.is_not(None), Grant.revoked_at.is_(None))
        .order_by(Grant.id)
        .with_for_update()
    )
    having: set[int] = set()
    for seat in sorted(rows, key=lambda one: one.member_id != kept):
        pays = await session.get_one(Subscription, seat.subscription_id)
        if pays.member_id in both or pays.id in having:
            # Nothing is lost by it, so nothing is told.
            seat.revoked_at, seat.reason, seat.told = now, DOUBLE, "off" if seat.told else ""
        having.add(pays.id)
    await session.flush()
    given = update(Grant).where(Grant.granted_by == f"member:{given_up}")
    await db.execute(session, given.values(granted_by=f"member:{kept}"))


async def free(session: AsyncSession, row: Subscription, grant_id: int, *, now: datetime) -> int | None:
    """The seat is nobody's; says whose it was, None when it was nobody's already.

    The caller holds the lock of the row.
    """
    seat = next((one for one in await _taken(session, row.id) if one.id == grant_id), None)
    if seat is None:
        return None
    seat.revoked_at, seat.reason = now, FREED
    await session.flush()
    log.info("seat_freed", subscription=row.external_id, seat=seat.seat, member=seat.member_id)
    return seat.member_id
