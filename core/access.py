"""Who may have what: the recipients of a signal, a member's standing, and what a change of standing sets in motion.

What a subscription is worth was settled when it was last read (`billing.subscriptions.access_until`); here it is only
compared with the clock, in SQL, so that the fan-out and the claim ask the same question.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, case, exists, not_, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, given, places, rights
from core.billing import dunning
from core.delivery import fanout, outbox, outcomes
from core.models import Delivery, Grant, Identity, Member, Place, Presence, Signal, SignalStatus, Subscription

CATCH_UP = timedelta(minutes=15)
_NEWEST = 10  # a new member is handed at most this many open signals
ROUTES = ("private", "place", "both")
GIVEN = "granted"
"""The status of a plan that nobody's own subscription pays for."""
USUAL_ROUTE = {"telegram": "both", "discord": "place"}
"""How signals arrive on a platform while a member has chosen nothing; private chats are their own wish on Discord."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One plan that a member has now, and why; `until` is empty for a grant without end.

    `source` is the payment provider, "operator", "seat" or "gift"; `by` the first name of who pays for the last two.
    """

    plan: catalogue.Plan
    until: datetime | None
    renews: bool
    status: str
    source: str
    by: str = ""

    @property
    def given(self) -> bool:
        """Whether somebody else gave it, so that the member can still subscribe by themselves."""
        return self.status == GIVEN


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


def entitled(book: catalogue.Catalogue, *, now: datetime) -> ColumnElement[bool]:
    """The condition that a delivery is still right: what its recipient may have, or what a door should do.

    A person may have an opening with a plan that opens its market, unless they are muted; a place, as long as it is in
    use. A door lets in who may enter, and puts out who may not.
    """
    place = exists().where(Place.key == Delivery.place, Place.retired_at.is_(None))
    inside = rights.may_enter(Delivery.place.expression, Delivery.member_id.expression, now)
    return case(
        (Delivery.kind == outcomes.DOOR, case((Delivery.event == "in", and_(place, inside)), else_=not_(inside))),
        (Delivery.place.is_not(None), place),
        else_=_may_have(book, now),
    )


def _may_have(book: catalogue.Catalogue, now: datetime) -> ColumnElement[bool]:
    member = Delivery.member_id.expression
    every = [plan.key for plan in book.plans if not plan.symbols]
    some = [
        and_(
            rights.holds(member, [plan.key], now),
            exists().where(Signal.id == Delivery.signal_id, Signal.symbol.in_(sorted(plan.symbols))),
        )
        for plan in book.plans
        if plan.symbols
    ]
    silent = or_(Member.muted.is_(True), Member.deleted_at.is_not(None))
    heard = ~exists().where(Member.id == Delivery.member_id, silent)
    return and_(heard, or_(rights.holds(member, every, now), *some))


async def recipients(
    session: AsyncSession, book: catalogue.Catalogue, symbol: str, *, now: datetime
) -> Select[str, str, int, int]:
    """Every private chat that gets a signal of this market now: (platform, address, identity id, member id).

    Who reads it in a place of the same platform already gets no private copy, unless that is what they chose.
    """
    plans = [plan.key for plan in book.plans if not plan.symbols or symbol in plan.symbols]
    carrying = await places.carrying(session, symbol)
    return _chats(plans, now).where(Member.muted.is_(False), _privately([key for *_, key in carrying], now))


def _privately(carrying: Sequence[str], now: datetime) -> ColumnElement[bool]:
    """The condition that a signal which is posted in these places goes to this chat too.

    | route | a private copy |
    |---|---|
    | private | always |
    | both | unless they are inside a place that carries it: every signal once |
    | place | unless they may enter a place that carries it, whether they are inside or not |
    """
    if not carrying:
        return true()
    here = and_(Place.key.in_(carrying), Place.platform == Identity.platform)
    within = exists().where(
        here, Presence.place == Place.key, Presence.external_id == Identity.external_id, Presence.inside.is_(True)
    )
    could = exists().where(here, rights.may_enter(Place.key.expression, Identity.member_id.expression, now))
    route = case(USUAL_ROUTE, value=Identity.platform, else_="private")
    route = case((Identity.route == "", route), else_=Identity.route)
    return case((route == "both", not_(within)), (route == "place", not_(could)), else_=true())


async def holders(session: AsyncSession, plan: catalogue.Plan, *, now: datetime) -> Select[str, str, int, int]:
    """Every private chat that is told what concerns all who have this plan now, in the columns of `recipients`.

    Muted ones too; those who read it in a place that the plan opens are left out.
    """
    opened = [place.key for place in await places.opened_by(session, plan.key) if place.channel]
    return _chats([plan.key], now).where(_privately(opened, now))


def _chats(plans: Iterable[str], now: datetime) -> Select[str, str, int, int]:
    return (
        select(Identity.platform, Identity.address, Identity.id.label("identity_id"), Identity.member_id)
        .join(Member, Member.id == Identity.member_id)
        .where(Identity.blocked_at.is_(None), Member.deleted_at.is_(None))
        .where(rights.holds(Member.id.expression, plans, now))
    )


async def standing(session: AsyncSession, member_id: int, book: catalogue.Catalogue, *, now: datetime) -> Standing:
    """What the member has now, and how many open signals belong to it."""
    member = await session.get(Member, member_id)
    paid = await session.scalars(
        select(Subscription).where(Subscription.member_id == member_id, Subscription.access_until > now)
    )
    grants = await session.scalars(select(Grant).where(Grant.member_id == member_id, rights.valid_grant(now)))
    holdings = [
        Holding(book.by_key[row.plan], given.paid_until(row, now), row.cancels_at is None, row.status, row.provider)
        for row in paid
        if row.plan in book.by_key
    ]
    holdings += [await _granted(session, row, book, now) for row in grants.all() if row.plan in book.by_key]
    signals = await _open_signals(session, [holding.plan for holding in holdings])
    return Standing(holdings, bool(member and member.muted), len(signals))


async def _granted(session: AsyncSession, row: Grant, book: catalogue.Catalogue, now: datetime) -> Holding:
    until, goes_on = await given.lasts(session, row, now)
    return Holding(book.by_key[row.plan], until, goes_on, GIVEN, row.source, await given.payer(session, row))


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
    plans = await rights.plans_of(session, member_id, now=now)
    for row in rows.all():
        state = _state(row, now)
        if state != row.told:
            await _tell(session, row, state, plans, book, now)
            row.told = state
    await _followed(session, member_id, plans, book, now)


async def regranted(session: AsyncSession, member_id: int, book: catalogue.Catalogue, *, now: datetime) -> None:
    """The member has been told once what changed about each seat and gift of theirs, and doors and signals follow."""
    await _followed(session, member_id, await rights.plans_of(session, member_id, now=now), book, now)


async def _followed(
    session: AsyncSession, member_id: int, plans: set[str], book: catalogue.Catalogue, now: datetime
) -> None:
    await given.tell(session, member_id, plans, book, now=now)
    await places.settle(session, member_id, now=now)
    await _hand_over(session, member_id, plans, book, now)


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
        "grace": "payment_action" if dunning.needs_action(row) else "payment_failed",
        "off": "access_ended_unpaid" if row.told == "grace" else "access_ended",
    }[state]
    until = given.paid_until(row, now)
    plan = book.by_key[row.plan].name if row.plan in book.by_key else row.plan
    facts: dict[str, object] = {
        "plan": plan,
        "until": until.isoformat() if until else None,
        "renews": row.cancels_at is None,
        **(dunning.cost(row) if state == "grace" or row.status == "trialing" else {}),
        **({"trial": True} if row.status == "trialing" else {}),
        **({"seats": row.quantity} if row.quantity > 1 else {}),
    }
    facts |= await given.doors_to(session, row.plan)
    if name:
        key = f"sub:{row.id}:{state}:{now.timestamp():.3f}" if name != "payment_action" else dunning.action_key(row)
        await outbox.tell(session, row.member_id, name, facts, key=key, now=now)


async def catch_up(session: AsyncSession, member_id: int, book: catalogue.Catalogue, *, now: datetime) -> int:
    """Each open signal that the member may have and was not planned for them yet is on its way; says how many are.

    So is one that was refused while they were not entitled. Signals that came too late for everybody stay with their
    summary.
    """
    return await _hand_over(session, member_id, await rights.plans_of(session, member_id, now=now), book, now)


async def _hand_over(
    session: AsyncSession, member_id: int, plans: set[str], book: catalogue.Catalogue, now: datetime
) -> int:
    signals = await _open_signals(
        session,
        [book.by_key[key] for key in sorted(plans) if key in book.by_key],
        # A signal that is being closed is waited for: its last update must see the opening that is planned here.
        lock=True,
    )
    planned = 0
    for signal in list(signals)[-_NEWEST:]:
        chats = (await recipients(session, book, signal.symbol, now=now)).where(Identity.member_id == member_id)
        payload = {"catch_up": True}
        planned += await fanout.open_up(session, signal.id, chats, now=now, expires_at=now + CATCH_UP, payload=payload)
        planned += await fanout.reopen(session, signal.id, chats, now=now, expires_at=now + CATCH_UP, payload=payload)
    return planned


async def lapsed(session: AsyncSession, *, now: datetime, limit: int = 200) -> Sequence[int]:
    """Members whose access ended by the clock and who have not been told; ends need no event from anyone."""
    ended = (
        select(Subscription.member_id)
        .where(Subscription.told.in_(["on", "ending", "grace"]), Subscription.member_id.is_not(None))
        .where(or_(Subscription.access_until.is_(None), Subscription.access_until <= now))
    )
    paid = [member for member in await session.scalars(ended.distinct().limit(limit)) if member is not None]
    return [*paid, *await given.lapsed(session, now=now, limit=limit)]
