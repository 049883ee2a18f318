"""Access that somebody gives: an operator by hand, who pays for a seat, or who paid for a gift."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import access, catalogue, given, members, models, places, rights
from core.billing import gifts, invitations, seats
from core.delivery import outbox
from core.models import Gift, Grant, Invitation, Subscription


async def grant(
    session: AsyncSession,
    member_id: int,
    plan: catalogue.Plan,
    book: catalogue.Catalogue,
    *,
    until: datetime | None,
    by: str,
    now: datetime,
) -> None:
    """The member has the plan until then (or for ever), has been told, and has the open signals."""
    row = Grant(member_id=member_id, plan=plan.key, until=until, granted_by=by, created_at=now)
    session.add(row)
    await session.flush()
    _audit(session, by, "grant", member_id, plan.key, now)
    facts: dict[str, object] = {"plan": plan.name, "until": until.isoformat() if until else None}
    facts |= await given.doors_to(session, plan.key)
    await outbox.tell(session, member_id, "granted", facts, key=f"grant:{row.id}", now=now)
    await places.settle(session, member_id, now=now)
    await access.catch_up(session, member_id, book, now=now)


async def revoke(session: AsyncSession, member_id: int, plan: catalogue.Plan, *, by: str, now: datetime) -> int:
    """No grant of this plan is valid for the member any more, and they have been told; says how many ended."""
    rows = await session.scalars(
        select(Grant)
        .where(Grant.member_id == member_id, Grant.plan == plan.key, rights.valid_grant(now))
        .with_for_update()
    )
    ended = rows.all()
    for row in ended:
        row.revoked_at, row.told = now, "off" if row.told else ""
        await outbox.tell(session, member_id, "revoked", {"plan": plan.name}, key=f"revoke:{row.id}", now=now)
    _audit(session, by, "revoke", member_id, plan.key, now)
    await session.flush()
    await places.settle(session, member_id, now=now)
    return len(ended)


def _audit(session: AsyncSession, by: str, action: str, member_id: int, plan: str, now: datetime) -> None:
    session.add(models.Audit(at=now, actor=by, action=action, details={"member": member_id, "plan": plan}))


# --- seats and gifts


@dataclass(frozen=True, slots=True)
class Offered:
    """What a code is for: a plan, until when the code is good, and who invites (empty for who has no name)."""

    invitation: Invitation
    plan: str
    by: str

    @property
    def seat(self) -> bool:
        """Whether it is a seat; a gift otherwise."""
        return self.invitation.subscription_id is not None


async def offered(session: AsyncSession, code: str, *, now: datetime) -> Offered | None:
    """What can be had with this code; None when nothing can (any more)."""
    found = await invitations.find(session, code, now=now)
    return await _offered(session, found, now) if found else None


async def _offered(session: AsyncSession, found: Invitation, now: datetime) -> Offered | None:
    inviting = await members.current(session, found.member_id)
    by = given.first_name(await members.identities(session, inviting))
    if found.subscription_id is not None:
        row = await session.get_one(Subscription, found.subscription_id)
        good = row.access_until is not None and row.access_until > now
        return Offered(found, row.plan, by) if good else None
    gift = await session.get_one(Gift, found.gift_id)
    return Offered(found, gift.plan, by) if gift.status == gifts.PAID and gift.grant_id is None else None


async def redeem(
    session: AsyncSession,
    who: models.Identity,
    code: str,
    book: catalogue.Catalogue,
    *,
    sure: bool = False,
    now: datetime,
) -> tuple[Offered, Grant | None]:
    """The member has what the code is for; both sides have been told, and doors and open signals follow.

    A gift of a plan that they have already would run at the same time; it is taken only by who is `sure`, and until
    then there is no grant. Raises RefusedError with a sentence otherwise; wrong codes are counted if the caller's
    transaction is kept all the same.
    """
    await members.present(session, who.member_id)
    found = await invitations.tried(session, who, code, now=now)
    offer = await _offered(session, found, now)
    if offer is None:
        raise invitations.NotValidError
    held = await rights.plans_of(session, who.member_id, now=now)
    if not offer.seat and offer.plan in held and not sure:
        return offer, None
    give = seats.give if offer.seat else gifts.give
    made = await give(session, found, who.member_id, now=now)
    await access.regranted(session, who.member_id, book, now=now)
    facts = {**await given.about(session, made, book, now=now), "who": given.first_name([who]), "seat": made.seat}
    giver = await members.current(session, found.member_id)
    if giver != who.member_id:
        await outbox.tell(session, giver, f"{made.source}_taken", facts, key=f"taken:{made.id}", now=now)
    return offer, made


async def follow(session: AsyncSession, row: Subscription, book: catalogue.Catalogue, *, now: datetime) -> None:
    """The seats of this subscription are what it pays for now, and whoever they concern has been told.

    The caller holds the lock of the row.
    """
    await regranted(session, await seats.settle(session, row, now=now), book, now=now)


async def regranted(
    session: AsyncSession, member_ids: Iterable[int], book: catalogue.Catalogue, *, now: datetime
) -> None:
    """Each of these members has been told what changed about their seats and gifts, and doors and signals follow."""
    for member_id in sorted(set(member_ids)):
        await access.regranted(session, member_id, book, now=now)


async def free(
    session: AsyncSession, row: Subscription, grant_id: int, book: catalogue.Catalogue, *, now: datetime
) -> bool:
    """The seat can be given again, and who had it has been told; False when nobody had it.

    The caller holds the lock of the subscription's row.
    """
    whose = await seats.free(session, row, grant_id, now=now)
    if whose is not None:
        await access.regranted(session, whose, book, now=now)
    return whose is not None
