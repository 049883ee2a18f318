"""A member is gone: nothing personal is left, and what the law wants kept stands under the member's number alone.

What stays: subscriptions, customers, checkouts, gifts, errands and grants (accounting), the operators' record, and the
bare outcomes of deliveries. An account that is still inside a gated place is put out first; its number goes with
`sweep`, afterwards.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, String, and_, cast, delete, exists, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors, health, models, places
from core.billing import checkouts, subscriptions
from core.delivery import claims, outcomes
from core.models import (
    Checkout,
    Delivery,
    Grant,
    Identity,
    Inbox,
    Invitation,
    LinkRequest,
    Member,
    Place,
    Presence,
    State,
)
from core.privacy import traces

GONE = "removed:"
"""What stands before a row's number where a person's number was."""
_SETTLED_INBOX = ("done", "dead", "claimed")
_AT_ONCE = 500
_NOBODY = literal(GONE, String) + cast(Delivery.id, String)


async def charged(session: AsyncSession, member_id: int) -> Sequence[models.Subscription]:
    """The member's subscriptions that would go on being charged."""
    rows = await subscriptions.of_member(session, member_id)
    return [row for row in rows if row.status in subscriptions.LIVE and row.cancels_at is None]


async def paying(session: AsyncSession, member_id: int) -> bool:
    """Whether a payment of the member is on its way."""
    waiting = select(Checkout.id).where(Checkout.member_id == member_id, Checkout.state == "pending")
    return await session.scalar(waiting.limit(1)) is not None


async def remove(session: AsyncSession, member_id: int, *, now: datetime) -> Sequence[tuple[str, str]]:
    """The member is gone; says which private chats (platform, address) that take our messages were theirs.

    Raises RefusedError while something is charged. Whoever writes again from such a chat is somebody new.
    """
    await session.execute(select(Member.id).where(Member.id == member_id).with_for_update())
    if await charged(session, member_id) or await paying(session, member_id):
        raise errors.RefusedError("Something is still being charged; it has to be cancelled first.")
    who = await traces.person(session, member_id)
    chats = [(account.platform, account.address) for account in who.accounts if account.blocked_at is None]
    await _end(session, member_id, now)
    await places.settle(session, member_id, now=now)
    await _withdraw(session, who, now)
    await _forget_told(session, who)
    await _unname_given(session, member_id)
    for row in await traces.audited(session, who):
        row.actor = traces.actor_without_name(row.actor, who)
        row.details = traces.without_names(row.details, who)
    mine = [account.id for account in who.accounts]
    asked = or_(LinkRequest.identity_id.in_(mine), LinkRequest.other_id.in_(mine))
    await db.execute(session, delete(LinkRequest).where(asked))
    await _leave_lists(session, who)
    for account in who.accounts:
        account.external_id, account.address, account.name, account.username = f"{GONE}{account.id}", "", "", None
        account.route, account.blocked_at = "", now
    session.add(models.Audit(at=now, actor=f"member:{member_id}", action="member_removed", details={}))
    await session.flush()
    return chats


async def _end(session: AsyncSession, member_id: int, now: datetime) -> None:
    """The member has nothing any more and cannot pay with a page that is still open."""
    grants = update(Grant).where(Grant.member_id == member_id)
    await db.execute(session, grants.values(reason=""))
    await db.execute(session, grants.where(Grant.revoked_at.is_(None)).values(revoked_at=now))
    # Whoever has the link of a gift keeps it: it was paid for them.
    invited = update(Invitation).where(Invitation.member_id == member_id)
    open_seats = invited.where(Invitation.used_at.is_(None), Invitation.subscription_id.is_not(None))
    await db.execute(session, open_seats.where(Invitation.withdrawn_at.is_(None)).values(withdrawn_at=now))
    # What a payer called them is theirs too.
    mine = Invitation.grant_id.in_(select(Grant.id).where(Grant.member_id == member_id))
    await db.execute(session, update(Invitation).where(or_(Invitation.member_id == member_id, mine)).values(note=""))
    await checkouts.close(session, member_id, why="the member is gone", now=now)
    await db.execute(session, update(Checkout).where(Checkout.member_id == member_id).values(url=None))
    await db.execute(session, delete(models.Backtest).where(models.Backtest.member_id == member_id))
    await db.execute(session, delete(models.ApiKey).where(models.ApiKey.member_id == member_id))
    await db.execute(session, delete(models.Hook).where(models.Hook.member_id == member_id))
    gone = update(Member).where(Member.id == member_id)
    await db.execute(session, gone.values(deleted_at=now, muted=False))


async def _withdraw(session: AsyncSession, who: traces.Person, now: datetime) -> None:
    """Nothing more is sent to their chats, and what was sent no longer says to whom, or what."""
    theirs = (traces.deliveries(who),)
    outwards = and_(Delivery.kind == outcomes.DOOR, func.coalesce(Delivery.event, "") == "out")
    waiting = update(Delivery).where(*theirs, ~outwards, Delivery.state.in_([State.PENDING, State.CLAIMED]))
    ended = {"state": State.EXPIRED, "reason": "the member is gone", "settled_at": now}
    await db.execute(session, waiting.values(**ended))
    still = and_(outwards, Delivery.state.in_(claims.UNSETTLED))
    told = update(Delivery).where(*theirs, ~still)
    # An operator's alarms have their number in the key.
    alarms = and_(Delivery.kind == "notice", Delivery.identity_id.is_(None))
    await db.execute(session, told.where(alarms).values(key=_NOBODY))
    # What is just being sent may come back to be tried again; then it is too old.
    await db.execute(session, told.values(address=_NOBODY, payload=None, message_id=None, expires_at=now))


async def _forget_told(session: AsyncSession, who: traces.Person) -> None:
    """The words of their updates and events are gone; of those that nobody has looked at yet, none."""
    ids = [row.id for row, _ in await traces.told(session, who) if row.state in _SETTLED_INBOX]
    for start in range(0, len(ids), _AT_ONCE):
        some = update(Inbox).where(Inbox.id.in_(ids[start : start + _AT_ONCE]))
        await db.execute(session, some.values(body=None))


async def _unname_given(session: AsyncSession, member_id: int) -> None:
    """What others were told about seats and gifts no longer says their name: who gave it, or who has taken it."""
    had = select(Grant.id).where(Grant.member_id == member_id)
    gave = select(Grant.id).where(Grant.granted_by == f"member:{member_id}")
    keys = [f"taken:{number}:%" for number in await session.scalars(had)]
    keys += [f"grant:{number}:%" for number in await session.scalars(gave)]
    for key in keys:
        rows = await session.scalars(select(Delivery).where(Delivery.key.like(key), Delivery.payload.is_not(None)))
        for row in rows:
            row.payload = {**(row.payload or {}), "by": "", "who": ""}
    await session.flush()


async def _leave_lists(session: AsyncSession, who: traces.Person) -> None:
    """They stand on no list of a place that they are not inside of."""
    for account in who.accounts:
        here = exists().where(Place.key == Presence.place, Place.platform == account.platform)
        await _unname(session, and_(Presence.external_id == account.external_id, here))


async def _unname(session: AsyncSession, whose: ColumnElement[bool]) -> int:
    """Those of these people who are not inside, and about whom nothing is on its way, have no number there."""
    busy = exists().where(Delivery.id == Presence.delivery_id, Delivery.state.in_(claims.UNSETTLED))
    rows = await session.scalars(select(Presence).where(whose, Presence.inside.is_(False), ~busy).limit(_AT_ONCE))
    found = rows.all()
    for presence in found:
        acts = update(Delivery).where(
            Delivery.place == presence.place, Delivery.address == f"door:{presence.external_id}"
        )
        await db.execute(session, acts.values(address=f"door:{GONE}{presence.id}", payload=None))
        presence.external_id, presence.asked_at, presence.link = f"{GONE}{presence.id}", None, ""
    await session.flush()
    return len(found)


async def sweep(session: AsyncSession, *, before: datetime, now: datetime) -> int:
    """What is personal and of no use any more is gone; says how many rows lost something.

    That is the words and addresses of answers that were settled before this moment, requests to link accounts that had
    ended by then, and the numbers of people whom we do not know and who are not inside a place. A removed member who
    is charged all the same stands as an alarm.
    """
    lost = await drop_answers(session, Delivery.settled_at < before)
    known = exists().where(
        Place.key == Presence.place, Identity.platform == Place.platform, Identity.external_id == Presence.external_id
    )
    old = and_(
        ~known,
        Presence.external_id.not_like(f"{GONE}%"),
        Presence.asked_at.is_(None),
        or_(Presence.checked_at.is_(None), Presence.checked_at < before),
    )
    lost += await _unname(session, old)
    lost += await db.execute(session, delete(LinkRequest).where(LinkRequest.expires_at < before))
    await _warn(session, now)
    return lost


async def drop_answers(session: AsyncSession, which: ColumnElement[bool]) -> int:
    """The settled ones of these answers no longer say what was said, and to whom; says how many did."""
    settled = and_(Delivery.kind == "reply", Delivery.settled_at.is_not(None), Delivery.payload.is_not(None))
    answers = update(Delivery).where(settled, which)
    return await db.execute(session, answers.values(payload=None, address=_NOBODY))


async def _warn(session: AsyncSession, now: datetime) -> None:
    rows = await session.scalars(
        select(models.Subscription)
        .join(Member, Member.id == models.Subscription.member_id)
        .where(Member.deleted_at.is_not(None), models.Subscription.status.in_(subscriptions.LIVE))
        .where(models.Subscription.cancels_at.is_(None))
    )
    for row in rows:
        text = f"The subscription {row.external_id} is charged, but its member has left: cancel and refund it."
        await health.alarm(session, f"charged_without_member:{row.external_id}", text, now=now)
