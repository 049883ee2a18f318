"""One membership on several accounts: a one-time code, a yes from both sides, and what then belongs together.

The code proves that whoever uses it was shown it; it proves nothing more, so both accounts are asked, each being shown
the other's name, before anything changes. Guessing is hopeless (128 bits) and is slowed all the same.

Two accounts on different platforms become one member. Two accounts on the same platform are a move: the membership goes
to the other account, and the old one keeps nothing.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import access, catalogue, db, errors, models
from core.billing import checkouts, seats, subscriptions
from core.delivery import outbox
from core.models import Audit, Grant, Identity, LinkRequest, Member, Subscription

CODE_LIFE = timedelta(minutes=10)
COOLDOWN = timedelta(hours=24)
_WRONG_CODES, _WRONG_SPAN = 5, timedelta(hours=1)
_WRONG, _LEFT = "link_code_wrong", "account_left"
_PAID = (models.Subscription, models.Customer, models.Grant, models.Checkout, models.Gift)
_OWNED = (*_PAID, models.Invitation, models.Errand, models.Backtest, models.ApiKey, models.Hook, models.Delivery)


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides of a request: who made the code, who used it, and who already said yes.

    `moves` is the account that will lose the membership to the other one, None when both will have it.
    """

    request: LinkRequest
    maker: Identity
    user: Identity
    moves: Identity | None

    def other(self, identity: Identity) -> Identity:
        """The account on the other side."""
        return self.user if identity.id == self.maker.id else self.maker


async def offer(session: AsyncSession, identity: Identity, *, now: datetime) -> str:
    """A new code for this account, good once and for ten minutes; an earlier unused one is worth nothing any more."""
    unused = (LinkRequest.other_id.is_(None), LinkRequest.outcome == "")
    mine = update(LinkRequest).where(LinkRequest.identity_id == identity.id, *unused)
    await db.execute(session, mine.values(outcome="replaced"))
    code = secrets.token_urlsafe(16)
    session.add(
        LinkRequest(code_hash=_hashed(code), identity_id=identity.id, created_at=now, expires_at=now + CODE_LIFE)
    )
    await session.flush()
    return code


async def use(session: AsyncSession, identity: Identity, code: str, *, now: datetime) -> Pair:
    """The code's request now waits for a yes from both accounts.

    Raises RefusedError with a sentence otherwise; the try is counted if the caller's transaction is kept all the same.
    """
    wrong = await session.scalar(
        select(func.count()).where(
            Audit.actor == _actor(identity), Audit.action == _WRONG, Audit.at > now - _WRONG_SPAN
        )
    )
    if (wrong or 0) >= _WRONG_CODES:
        raise errors.RefusedError("Too many codes that were not valid. Please try again in an hour.")
    request = await session.scalar(
        select(LinkRequest)
        .where(LinkRequest.code_hash == _hashed(code), LinkRequest.outcome == "", LinkRequest.other_id.is_(None))
        .where(LinkRequest.expires_at > now, LinkRequest.identity_id != identity.id)
        .with_for_update()
    )
    if request is None:
        session.add(Audit(at=now, actor=_actor(identity), action=_WRONG, details={}))
        raise _NotValidError
    request.other_id = identity.id
    await session.flush()
    pair = await _pair(session, request)
    try:
        await _check(session, pair, now)
    except errors.RefusedError:
        request.outcome = "refused"
        raise
    return pair


class _NotValidError(errors.RefusedError):
    """The code is unknown, used, too old, or this account's own; which of these is not said."""

    def __init__(self) -> None:
        super().__init__(
            "That code is not valid: codes work once, for ten minutes, on another account than the one that asked for "
            "them. Send /link there again for a new one."
        )


async def waiting(session: AsyncSession, identity: Identity, *, now: datetime) -> Pair | None:
    """The request of which this account is a side and which waits for its yes."""
    mine = or_(
        (LinkRequest.identity_id == identity.id) & LinkRequest.confirmed.is_(False),
        (LinkRequest.other_id == identity.id) & LinkRequest.other_confirmed.is_(False),
    )
    open_ones = select(LinkRequest).where(
        mine, LinkRequest.outcome == "", LinkRequest.expires_at > now, LinkRequest.other_id.is_not(None)
    )
    request = await session.scalar(open_ones.order_by(LinkRequest.id.desc()).limit(1))
    return await _pair(session, request) if request else None


async def answer(
    session: AsyncSession, identity: Identity, request_id: int, book: catalogue.Catalogue, *, yes: bool, now: datetime
) -> tuple[Pair, str]:
    """The side's yes or no counts; "waiting" for the other side, "linked", or "refused".

    Raises RefusedError when the request is not this account's, has ended, or is too old.
    """
    request = await session.scalar(
        select(LinkRequest)
        .where(LinkRequest.id == request_id, LinkRequest.outcome == "", LinkRequest.expires_at > now)
        .where(or_(LinkRequest.identity_id == identity.id, LinkRequest.other_id == identity.id))
        .where(LinkRequest.other_id.is_not(None))
        .with_for_update()
    )
    if request is None:
        raise errors.RefusedError("That request has ended. Send /link for a new code.")
    # Whoever is linked elsewhere at this moment is waited for: what follows moves all that their members have.
    sides = select(Identity).where(Identity.id.in_([request.identity_id, request.other_id])).order_by(Identity.id)
    await session.execute(sides.with_for_update().execution_options(populate_existing=True))
    pair = await _pair(session, request)
    if not yes:
        request.outcome = "refused"
    else:
        request.confirmed = request.confirmed or identity.id == request.identity_id
        request.other_confirmed = request.other_confirmed or identity.id == request.other_id
        if not (request.confirmed and request.other_confirmed):
            return pair, "waiting"
        await _check(session, pair, now)
        request.outcome = "linked"
        await _join(session, pair, book, now)
    await session.flush()
    return pair, request.outcome


async def unlink(
    session: AsyncSession, identity: Identity, leaving_id: int, book: catalogue.Catalogue, *, now: datetime
) -> Identity:
    """The account `leaving_id` of the same member is on its own and has nothing; the membership stays with the others.

    It is told. Raises RefusedError when it is no account of this member, or the only one.
    """
    accounts = await session.scalars(
        select(Identity).where(Identity.member_id == identity.member_id).with_for_update().order_by(Identity.id)
    )
    mine = {account.id: account for account in accounts}
    if leaving_id not in mine or len(mine) < 2:
        raise errors.RefusedError("That account does not belong to your membership; send /unlink to see which do.")
    leaving = mine[leaving_id]
    await _detach(session, leaving, book, now)
    return leaving


# --- what belongs together


async def _pair(session: AsyncSession, request: LinkRequest) -> Pair:
    maker = await session.get_one(Identity, request.identity_id)
    user = await session.get_one(Identity, request.other_id)
    moves = None
    if maker.platform == user.platform:
        worth = [await _worth(session, side.member_id) for side in (maker, user)]
        moves = maker if worth[0] >= worth[1] else user
    return Pair(request, maker, user, moves)


async def _worth(session: AsyncSession, member_id: int) -> tuple[bool, float]:
    """How good what a member has is: access without end first, then the latest end."""
    paid = await session.scalar(select(func.max(Subscription.access_until)).where(Subscription.member_id == member_id))
    mine = (Grant.member_id == member_id, Grant.revoked_at.is_(None))
    given = await session.scalar(select(func.max(Grant.until)).where(*mine))
    endless = await session.scalar(select(Grant.id).where(*mine, Grant.until.is_(None)).limit(1))
    return endless is not None, max((end.timestamp() for end in (paid, given) if end), default=0.0)


async def _check(session: AsyncSession, pair: Pair, now: datetime) -> None:
    if pair.maker.member_id == pair.user.member_id:
        raise errors.RefusedError("These two accounts already share one membership.")
    for side in (pair.maker, pair.user):
        await _await_cooldown(session, side, now, back=pair.other(side))
    theirs = [set(await _platforms(session, side.member_id)) for side in (pair.maker, pair.user)]
    if (theirs[0] & theirs[1]) - ({pair.maker.platform} if pair.moves else set()):
        raise errors.RefusedError(
            "One of these memberships has another account already on the chat that the other one comes from. Take it "
            "out with /unlink first."
        )


async def _platforms(session: AsyncSession, member_id: int) -> Sequence[str]:
    return (await session.scalars(select(Identity.platform).where(Identity.member_id == member_id))).all()


async def _await_cooldown(session: AsyncSession, identity: Identity, now: datetime, *, back: Identity) -> None:
    """Raises RefusedError for a day after an account was exchanged, except for the account that left to come back."""
    member = await session.get_one(Member, identity.member_id)
    if member.moved_at is None or member.moved_at + COOLDOWN <= now:
        return
    left = await session.scalars(
        select(Audit).where(Audit.actor == f"member:{member.id}", Audit.action == _LEFT, Audit.at > now - COOLDOWN)
    )
    if any(row.details.get("identity") == back.id for row in left):
        return
    again = member.moved_at + COOLDOWN
    raise errors.RefusedError(
        f"An account of this membership was exchanged a short while ago; the next one can be from {again:%d %b, %H:%M} "
        "UTC. If that is a problem, write to the operator."
    )


async def _join(session: AsyncSession, pair: Pair, book: catalogue.Catalogue, now: datetime) -> None:
    """Both accounts are one member's, who keeps what either had; or the membership has moved."""
    maker, user = pair.maker.member_id, pair.user.member_id
    worth = {member: await _worth(session, member) for member in (maker, user)}
    kept, given_up = (maker, user) if (worth[maker], -maker) >= (worth[user], -user) else (user, maker)
    both = select(Member).where(Member.id.in_([kept, given_up])).order_by(Member.id).with_for_update()
    await session.execute(both.execution_options(populate_existing=True))
    await _merge(session, kept, given_up, now)
    if pair.moves is not None:
        await session.refresh(pair.moves)
        await _detach(session, pair.moves, book, now)
    for identity in (pair.maker, pair.user):
        await session.refresh(identity)
    session.add(Audit(at=now, actor=f"member:{kept}", action="accounts_linked", details={"from": given_up}))
    await session.flush()
    await _second(session, kept, book, now)
    await access.reconcile(session, kept, book, now=now)


async def _merge(session: AsyncSession, kept: int, given_up: int, now: datetime) -> None:
    # Of two open checkouts for one plan the second must not be paid.
    await checkouts.close(session, given_up, why="two accounts became one member", now=now)
    await seats.merged(session, kept, given_up, now=now)
    for table in (*_OWNED, models.Identity):
        await db.execute(session, update(table).where(table.member_id == given_up).values(member_id=kept))
    # Whoever may not exchange accounts yet does not get around it by becoming another member.
    stays, goes = [await session.get_one(Member, member) for member in (kept, given_up)]
    stays.moved_at = max((at for at in (stays.moved_at, goes.moved_at) if at), default=None)
    stays.partner_id = stays.partner_id or goes.partner_id
    goes.merged_into, goes.deleted_at = kept, now
    await session.flush()


async def _second(session: AsyncSession, member_id: int, book: catalogue.Catalogue, now: datetime) -> None:
    """The member is told of each plan that is now paid twice, and the operator has an alarm."""
    for row in await subscriptions.of_member(session, member_id):
        if row.status in subscriptions.LIVE and await subscriptions.check_second(session, row, now=now):
            facts = {"plan": book.by_key[row.plan].name if row.plan in book.by_key else row.plan}
            key = f"second:{member_id}:{row.plan}:{now.timestamp():.0f}"
            await outbox.tell(session, member_id, "second_subscription", facts, key=key, now=now)


async def _detach(session: AsyncSession, leaving: Identity, book: catalogue.Catalogue, now: datetime) -> None:
    """The account has a member of its own without anything, and is told; the member it leaves may not rotate."""
    before = await session.get_one(Member, leaving.member_id)
    fresh = Member(created_at=now)
    session.add(fresh)
    await session.flush()
    leaving.member_id, before.moved_at = fresh.id, now
    actor = f"member:{before.id}"
    session.add(Audit(at=now, actor=actor, action=_LEFT, details={"identity": leaving.id, "member": fresh.id}))
    # Openings end by themselves, as it is not entitled any more; updates answer what it has already read.
    waiting = update(models.Delivery).where(
        models.Delivery.identity_id == leaving.id, models.Delivery.state == models.State.PENDING
    )
    ended = {"state": models.State.EXPIRED, "reason": "the account has left the membership", "settled_at": now}
    await db.execute(session, waiting.where(models.Delivery.kind == "notice").values(**ended))
    await db.execute(session, waiting.values(member_id=fresh.id))
    await session.flush()
    facts = {"account": {"platform": leaving.platform, "name": leaving.name, "username": leaving.username}}
    key = f"unlinked:{leaving.id}:{now.timestamp():.0f}"
    await outbox.tell(session, fresh.id, "account_left", facts, key=key, now=now)
    for member_id in (fresh.id, before.id):
        await access.reconcile(session, member_id, book, now=now)


def _hashed(code: str) -> str:
    return hashlib.sha256(code.strip().encode()).hexdigest()


def _actor(identity: Identity) -> str:
    return f"{identity.platform}:{identity.external_id}"
