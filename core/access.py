"""Who may have what: the recipients of a signal, a member's standing, and what a change of standing sets in motion.

What a subscription is worth was settled when it was last read (`billing.subscriptions.access_until`); here it is only
compared with the clock, in SQL, so that the fan-out and the claim ask the same question.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, exists, false, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, models
from core.delivery import outbox
from core.models import Delivery, Grant, Identity, Member, Signal, SignalStatus, Subscription

CATCH_UP = timedelta(minutes=15)
_NEWEST = 10  # a new member is handed at most this many open signals


@dataclass(frozen=True, slots=True)
class Holding:
    """One plan that a member has now, and why; `until` is empty for a grant without end."""

    plan: catalogue.Plan
    until: datetime | None
    renews: bool
    status: str
    source: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What a member has at this moment."""

    holdings: Sequence[Holding]
    muted: bool
    open_signals: int

    @property
    def paying(self) -> bool:
        """Whether the member has any plan now."""
        return bool(self.holdings)


def _valid_grant(now: datetime) -> ColumnElement[bool]:
    return and_(Grant.revoked_at.is_(None), or_(Grant.until.is_(None), Grant.until > now))


def _holds(
    member: ColumnElement[int] | ColumnElement[int | None], plans: Iterable[str], now: datetime
) -> ColumnElement[bool]:
    keys = sorted(plans)
    if not keys:
        return false()
    return or_(
        exists().where(Subscription.member_id == member, Subscription.plan.in_(keys), Subscription.access_until > now),
        exists().where(Grant.member_id == member, Grant.plan.in_(keys), _valid_grant(now)),
    )


def entitled(book: catalogue.Catalogue, *, now: datetime) -> ColumnElement[bool]:
    """The condition that an opening's recipient may have it now: a plan that opens its market, and not muted."""
    member = Delivery.member_id.expression
    every = [plan.key for plan in book.plans if not plan.symbols]
    some = [
        and_(
            _holds(member, [plan.key], now),
            exists().where(Signal.id == Delivery.signal_id, Signal.symbol.in_(sorted(plan.symbols))),
        )
        for plan in book.plans
        if plan.symbols
    ]
    silent = or_(Member.muted.is_(True), Member.deleted_at.is_not(None))
    heard = ~exists().where(Member.id == Delivery.member_id, silent)
    return and_(heard, or_(_holds(member, every, now), *some))


def recipients(book: catalogue.Catalogue, symbol: str, *, now: datetime) -> Select[str, str, int, int]:
    """Every chat that may have a signal of this market now: (platform, address, identity id, member id)."""
    plans = [plan.key for plan in book.plans if not plan.symbols or symbol in plan.symbols]
    return _chats(plans, now).where(Member.muted.is_(False))


def holders(plan: catalogue.Plan, *, now: datetime) -> Select[str, str, int, int]:
    """Every chat of a member who has this plan now, in the columns of `recipients`; muted ones too."""
    return _chats([plan.key], now)


def _chats(plans: Iterable[str], now: datetime) -> Select[str, str, int, int]:
    return (
        select(Identity.platform, Identity.address, Identity.id.label("identity_id"), Identity.member_id)
        .join(Member, Member.id == Identity.member_id)
        .where(Identity.blocked_at.is_(None), Member.deleted_at.is_(None))
        .where(_holds(Member.id.expression, plans, now))
    )


async def plans_of(session: AsyncSession, member_id: int, *, now: datetime) -> set[str]:
    """The keys of the plans that this member has now."""
    paid = select(Subscription.plan).where(Subscription.member_id == member_id, Subscription.access_until > now)
    given = select(Grant.plan).where(Grant.member_id == member_id, _valid_grant(now))
    return set(await session.scalars(union(paid, given)))


async def standing(session: AsyncSession, member_id: int, book: catalogue.Catalogue, *, now: datetime) -> Standing:
    """What the member has now, and how many open signals belong to it."""
    member = await session.get(Member, member_id)
    paid = await session.scalars(
        select(Subscription).where(Subscription.member_id == member_id, Subscription.access_until > now)
    )
    given = await session.scalars(select(Grant).where(Grant.member_id == member_id, _valid_grant(now)))
    holdings = [
        Holding(book.by_key[row.plan], _paid_until(row, now), row.cancels_at is None, row.status, row.provider)
        for row in paid
        if row.plan in book.by_key
    ]
    holdings += [
        Holding(book.by_key[row.plan], row.until, False, "granted", "operator")
        for row in given
        if row.plan in book.by_key
    ]
    signals = await _open_signals(session, [holding.plan for holding in holdings])
    return Standing(holdings, bool(member and member.muted), len(signals))


def _paid_until(row: Subscription, now: datetime) -> datetime | None:
    """What a member should read as the end: of what is paid, or of the days of grace that follow it."""
    stated = row.snapshot.get("period_end")
    paid = datetime.fromisoformat(stated) if stated and row.status != "past_due" else None
    return row.cancels_at or (paid if paid and paid > now else row.access_until)


async def _open_signals(
    session: AsyncSession, plans: Sequence[catalogue.Plan], *, lock: bool = False
) -> Sequence[Signal]:
    if not plans:
        return []
    query = select(Signal).where(Signal.status == SignalStatus.OPEN, Signal.late.is_(False)).order_by(Signal.id)
    if all(plan.symbols for plan in plans):
        query = query.where(Signal.symbol.in_(sorted(frozenset().union(*(plan.symbols for plan in plans)))))
    if lock:
        query = query.with_for_update(read=True).execution_options(populate_existing=True)
    return (await session.scalars(query)).all()


async def reconcile(session: AsyncSession, member_id: int, book: catalogue.Catalogue, *, now: datetime) -> None:
    """The member has been told once what changed about each subscription, and has the open signals that are theirs."""
    rows = await session.scalars(
        select(Subscription)
        .where(Subscription.member_id == member_id)
        .order_by(Subscription.id)
        .with_for_update()
        .execution_options(populate_existing=True)  # what this session read before the lock may be old
    )
    plans = await plans_of(session, member_id, now=now)
    for row in rows.all():
        state = _state(row, now)
        if state != row.told:
            await _tell(session, row, state, plans, book, now)
            row.told = state
    await catch_up(session, member_id, book, now=now)


def _state(row: Subscription, now: datetime) -> str:
    """What a member should know of a subscription: nothing yet, on, ending, grace, off."""
    if row.access_until is None or row.access_until <= now:
        return "off" if row.told else ""
    if row.cancels_at is not None:
        return "ending"
    return "grace" if row.status == "past_due" else "on"


async def _tell(
    session: AsyncSession, row: Subscription, state: str, plans: set[str], book: catalogue.Catalogue, now: datetime
) -> None:
    if row.member_id is None or (state == "off" and row.plan in plans):
        return  # nobody to tell, or another subscription or grant keeps the plan open
    fresh = row.told in {"", "off"}
    name = {
        "on": "access_started" if fresh else "cancel_undone" if row.told == "ending" else "",
        "ending": "access_started" if fresh else "cancel_planned",
        "grace": "payment_failed",
        "off": "access_ended",
    }[state]
    until = _paid_until(row, now)
    plan = book.by_key[row.plan].name if row.plan in book.by_key else row.plan
    facts = {"plan": plan, "until": until.isoformat() if until else None, "renews": row.cancels_at is None}
    if name:
        key = f"sub:{row.id}:{state}:{now.timestamp():.3f}"
        await outbox.tell(session, row.member_id, name, facts, key=key, now=now)


async def catch_up(session: AsyncSession, member_id: int, book: catalogue.Catalogue, *, now: datetime) -> int:
    """Each open signal that the member may have and was not planned for them yet is on its way; says how many are.

    So is one that was refused while they were not entitled. Signals that came too late for everybody stay with their
    summary.
    """
    held = await plans_of(session, member_id, now=now)
    signals = await _open_signals(
        session,
        [book.by_key[key] for key in sorted(held) if key in book.by_key],
        # A signal that is being closed is waited for: its last update must see the opening that is planned here.
        lock=True,
    )
    planned = 0
    for signal in list(signals)[-_NEWEST:]:
        chats = recipients(book, signal.symbol, now=now).where(Identity.member_id == member_id)
        payload = {"catch_up": True}
        planned += await outbox.open_up(session, signal.id, chats, now=now, expires_at=now + CATCH_UP, payload=payload)
        planned += await outbox.reopen(session, signal.id, chats, now=now, expires_at=now + CATCH_UP, payload=payload)
    return planned


async def lapsed(session: AsyncSession, *, now: datetime, limit: int = 200) -> Sequence[int]:
    """Members whose access ended by the clock and who have not been told; ends need no event from anyone."""
    ended = (
        select(Subscription.member_id)
        .where(Subscription.told.in_(["on", "ending", "grace"]), Subscription.member_id.is_not(None))
        .where(or_(Subscription.access_until.is_(None), Subscription.access_until <= now))
    )
    return [member for member in await session.scalars(ended.distinct().limit(limit)) if member is not None]


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
    facts = {"plan": plan.name, "until": until.isoformat() if until else None}
    await outbox.tell(session, member_id, "granted", facts, key=f"grant:{row.id}", now=now)
    await catch_up(session, member_id, book, now=now)


async def revoke(session: AsyncSession, member_id: int, plan: catalogue.Plan, *, by: str, now: datetime) -> int:
    """No grant of this plan is valid for the member any more, and they have been told; says how many ended."""
    rows = await session.scalars(
        select(Grant).where(Grant.member_id == member_id, Grant.plan == plan.key, _valid_grant(now)).with_for_update()
    )
    ended = rows.all()
    for row in ended:
        row.revoked_at = now
        await outbox.tell(session, member_id, "revoked", {"plan": plan.name}, key=f"revoke:{row.id}", now=now)
    _audit(session, by, "revoke", member_id, plan.key, now)
    return len(ended)


def _audit(session: AsyncSession, by: str, action: str, member_id: int, plan: str, now: datetime) -> None:
    session.add(models.Audit(at=now, actor=by, action=action, details={"member": member_id, "plan": plan}))
