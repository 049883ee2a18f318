"""Subscriptions: what the payment provider last said of each, whose it is, and until when it gives access.

What a reading is worth is decided in `core.billing.rule`; here it is applied, once, under the lock of its row.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import BigInteger, String, and_, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, db, errors, health, members, models
from core.billing import rule

LIVE = rule.LIVE
Snapshot = rule.Snapshot
access_until, cancels_at = rule.access_until, rule.cancels_at
LOST = "access_lost_at"
"""Where a stored snapshot says when a reading last ended its access; the brake counts these."""
# Reads that overlap are put in order by the moment they began; a greater distance is a clock that was set.
_OVERLAP = timedelta(seconds=60)
log = structlog.get_logger()


class StaleReadError(errors.SignalStackError):
    """The subscription was read again while this reading was under way; read once more."""


async def apply(
    session: AsyncSession,
    snapshot: Snapshot,
    book: catalogue.Catalogue,
    *,
    grace_days: int,
    now: datetime,
    row: models.Subscription | None = None,
) -> models.Subscription:
    """The row says what the snapshot says, whose it is, and until when it gives access.

    Works under the row's lock (`row`: the caller holds it already). The member comes from the stored checkout, our
    metadata or a known customer, never from an e-mail address, and a link once made stays. Raises StaleReadError when a
    later reading was applied already.
    """
    row = await locked(session, snapshot, now=now) if row is None else row
    _check_fresh(row, snapshot)
    had = has_access(row, now)
    lost_at = row.snapshot.get(LOST)
    snapshot = rule.completed(snapshot, row.snapshot)
    plan = await _plan(session, snapshot, row, book, now)
    member_id = await owner(session, row, snapshot)
    if member_id is not None:
        await _linked(session, snapshot, member_id)
    settled = [_unknown_key(snapshot)] if plan else []
    settled += [_unlinked_key(snapshot.external_id)] if member_id is not None else []
    await health.clear(session, *settled, now=now)
    left, row.plan, row.member_id = row.plan, plan, member_id
    row.customer_id, row.status, row.created_at = snapshot.customer_id, snapshot.status, snapshot.created_at
    row.read_at = snapshot.read_at
    row.quantity, row.currency = snapshot.quantity, snapshot.currency.upper()
    row.amount = snapshot.amount if snapshot.amount is not None else await _amount(session, snapshot)
    row.interval, row.interval_count, row.ended_at = snapshot.interval, snapshot.interval_count, snapshot.ended_at
    row.claims = [*dict.fromkeys([*row.claims, *snapshot.claims])]
    row.cancels_at = cancels_at(snapshot)
    row.access_until = access_until(snapshot, grace_days=grace_days, policy=book.policy, opens=bool(row.plan))
    lost_at = now.isoformat() if had and not has_access(row, now) else lost_at
    row.snapshot = {**snapshot.as_dict(), **({LOST: lost_at} if lost_at else {})}
    await session.flush()
    await check_second(session, row, left=left, now=now)
    log.info("subscription_applied", subscription=row.external_id, status=row.status, member=row.member_id)
    return row


def has_access(row: models.Subscription, now: datetime) -> bool:
    """Whether the row gives a member access now."""
    return row.member_id is not None and row.access_until is not None and row.access_until > now


def _check_fresh(row: models.Subscription, snapshot: Snapshot) -> None:
    """Neither was the row read later than the snapshot, nor does it know of a payment that this reading left out."""
    overtaken = timedelta(0) < row.read_at - snapshot.read_at < _OVERLAP
    unseen = set(row.claims) - set(snapshot.claims) if snapshot.status in LIVE else set()
    if overtaken or unseen:
        raise StaleReadError(f"The subscription {snapshot.external_id} was read again meanwhile.")


async def locked(session: AsyncSession, snapshot: Snapshot, *, now: datetime) -> models.Subscription:
    """The row, an empty one where there was none; it and all others of the member are ours until the transaction ends.

    What follows looks at all of them: two transactions that began with one each would wait for each other for ever.
    """
    key = {"provider": snapshot.provider, "external_id": snapshot.external_id}
    table = models.Subscription
    whose = select(table.member_id).filter_by(**key).scalar_subquery()
    this = and_(table.provider == snapshot.provider, table.external_id == snapshot.external_id)
    mine = select(table).where(or_(this, table.member_id == func.coalesce(whose, snapshot.member_id)))
    locking = mine.order_by(table.id).with_for_update().execution_options(populate_existing=True)
    for row in await session.scalars(locking):
        if (row.provider, row.external_id) == (snapshot.provider, snapshot.external_id):
            return row
    fresh = {"customer_id": "", "plan": "", "status": "", "snapshot": {}, "told": "", "claims": []}
    moments = {"created_at": now, "read_at": snapshot.read_at}
    insert = db.insert(session, models.Subscription).values(**key, **fresh, **moments)
    await session.execute(insert.on_conflict_do_nothing(index_elements=list(key)))
    found = await session.scalars(
        select(table).filter_by(**key).with_for_update().execution_options(populate_existing=True)
    )
    return found.one()


async def _plan(
    session: AsyncSession, snapshot: Snapshot, row: models.Subscription, book: catalogue.Catalogue, now: datetime
) -> str:
    """The plan that this price pays for; a price the catalogue no longer names stays with the plan it was bought as."""
    plan = book.by_price.get(snapshot.price_id)
    same_price = row.snapshot.get("price_id") == snapshot.price_id
    known = plan.key if plan else row.plan if same_price and row.plan in book.by_key else snapshot.plan
    if known in book.by_key:
        return known
    if snapshot.status in LIVE:
        text = (
            f"A subscription was paid with the price {snapshot.price_id}, which belongs to no plan: it opens nothing."
        )
        await health.alarm(session, _unknown_key(snapshot), text, now=now)
    return ""


def _unknown_key(snapshot: Snapshot) -> str:
    return f"price_unknown:{snapshot.price_id}"


async def _amount(session: AsyncSession, snapshot: Snapshot) -> int | None:
    """What the price costs in this currency, as its provider said when prices were last asked for."""
    key = (snapshot.provider, snapshot.price_id, snapshot.currency.upper())
    known = await session.get(models.PlanPrice, key)
    return known.amount if known else None


async def owner(session: AsyncSession, row: models.Subscription, snapshot: Snapshot) -> int | None:
    """Whose the subscription is, or will be once the snapshot is applied."""
    if row.member_id is not None:
        return row.member_id
    if snapshot.session_id:
        checkout = select(models.Checkout.member_id).where(models.Checkout.session_id == snapshot.session_id)
        if (found := await session.scalar(checkout)) is not None:
            return found
    # What metadata says was written by us, but perhaps by an installation whose members are others.
    if snapshot.member_id is not None and await session.get(models.Member, snapshot.member_id) is not None:
        return await members.current(session, snapshot.member_id)
    known = await session.get(models.Customer, (snapshot.provider, snapshot.customer_id))
    return known.member_id if known else None


async def _linked(session: AsyncSession, snapshot: Snapshot, member_id: int) -> None:
    if snapshot.customer_id:
        key = {"provider": snapshot.provider, "external_id": snapshot.customer_id}
        insert = db.insert(session, models.Customer).values(**key, member_id=member_id)
        await session.execute(insert.on_conflict_do_nothing(index_elements=list(key)))


async def known(session: AsyncSession, provider: str, ids: Collection[str]) -> dict[str, models.Subscription]:
    """Those of these subscriptions that we have, by the provider's ids."""
    table = models.Subscription
    rows = await session.scalars(select(table).where(table.provider == provider, table.external_id.in_(ids)))
    return {row.external_id: row for row in rows}


async def claims_of(session: AsyncSession, provider: str, external_id: str) -> tuple[str, ...]:
    """The payments of this subscription that were ever taken back or disputed, as far as we know."""
    mine = select(models.Subscription.claims).filter_by(provider=provider, external_id=external_id)
    return tuple(await session.scalar(mine) or ())


async def remember(session: AsyncSession, provider: str, external_id: str, claims: Collection[str]) -> None:
    """These payments of the subscription are among those that every reading of it looks at."""
    mine = select(models.Subscription).filter_by(provider=provider, external_id=external_id).with_for_update()
    row = await session.scalar(mine.execution_options(populate_existing=True))
    if row is not None:
        row.claims = [*dict.fromkeys([*row.claims, *claims])]
        await session.flush()


async def confirmed(session: AsyncSession, provider: str, ids: Collection[str], *, at: datetime) -> None:
    """These subscriptions were looked at then, and nothing about them was other than we know."""
    table = models.Subscription
    mine = update(table).where(table.provider == provider, table.external_id.in_(ids), table.read_at < at)
    await db.execute(session, mine.values(read_at=at))


async def of_member(session: AsyncSession, member_id: int) -> Sequence[models.Subscription]:
    """Every subscription of this member, newest first."""
    rows = await session.scalars(
        select(models.Subscription)
        .where(models.Subscription.member_id == member_id)
        .order_by(models.Subscription.created_at.desc(), models.Subscription.id.desc())
    )
    return rows.all()


async def customer_of(session: AsyncSession, member_id: int, provider: str) -> str:
    """The member's customer id at the provider, the one last used; empty when there is none."""
    for row in await of_member(session, member_id):
        if row.provider == provider and row.customer_id:
            return row.customer_id
    known = select(models.Customer.external_id).where(
        models.Customer.member_id == member_id, models.Customer.provider == provider
    )
    return await session.scalar(known.limit(1)) or ""


async def running(session: AsyncSession, member_id: int, plan: str) -> Sequence[models.Subscription]:
    """The member's subscriptions to this plan that go on being charged, oldest first; more than one is one too many."""
    return (await session.scalars(_RUNNING, {"whose": member_id, "which": plan})).all()


_RUNNING = (
    select(models.Subscription)
    .where(
        models.Subscription.member_id == bindparam("whose", type_=BigInteger()),
        models.Subscription.plan == bindparam("which", type_=String()),
        models.Subscription.status.in_(LIVE),
    )
    .order_by(models.Subscription.created_at, models.Subscription.id)
)


async def check_second(session: AsyncSession, row: models.Subscription, *, left: str = "", now: datetime) -> bool:
    """Two running subscriptions of one member to one plan stand as an alarm until one has ended; says whether so.

    So it is with those that remain of `left`, the plan that the row was a subscription to until now.
    """
    if row.member_id is None:
        return False
    if left and left != row.plan:
        await _check_second(session, row.member_id, left, now)
    return bool(row.plan) and await _check_second(session, row.member_id, row.plan, now)


async def _check_second(session: AsyncSession, member_id: int, plan: str, now: datetime) -> bool:
    key = f"second_subscription:{member_id}:{plan}"
    rows = await running(session, member_id, plan)
    if len(rows) < 2:
        await health.clear(session, key, now=now)
        return False
    names = ", ".join(each.external_id for each in rows)
    text = f"Member {member_id} pays twice for the plan {plan} ({names}): cancel one and refund it."
    await health.alarm(session, key, text, now=now)
    return True


async def unlinked(session: AsyncSession, *, before: datetime, now: datetime) -> Sequence[models.Subscription]:
    """Running subscriptions first seen before this moment whose member nobody knows, each standing as an alarm."""
    found = await session.scalars(
        select(models.Subscription)
        .where(
            models.Subscription.member_id.is_(None),
            models.Subscription.status.in_(LIVE),
            models.Subscription.created_at < before,
        )
        .order_by(models.Subscription.id)
        .limit(50)
    )
    rows = found.all()
    for row in rows:
        text = f"The subscription {row.external_id} is paid, but no member belongs to it: nobody gets what it opens."
        await health.alarm(session, _unlinked_key(row.external_id), text, now=now)
    return rows


def _unlinked_key(external_id: str) -> str:
    return f"subscription_unlinked:{external_id}"


async def due(
    session: AsyncSession, provider: str, *, now: datetime, unread_for: timedelta, limit: int
) -> Sequence[models.Subscription]:
    """Subscriptions worth reading again: their access has just run out or soon will, or nobody read them for long.

    A subscription that is over is left alone; the longest unread comes first.
    """
    unread = now - timedelta(minutes=10)
    ending = (models.Subscription.access_until <= now + timedelta(hours=12)) & (models.Subscription.read_at <= unread)
    rows = await session.scalars(
        select(models.Subscription)
        .where(
            models.Subscription.provider == provider,
            models.Subscription.status.not_in(["canceled", "incomplete_expired"]),
            ending | (models.Subscription.read_at <= now - unread_for),
        )
        .order_by(models.Subscription.read_at)
        .limit(limit)
    )
    return rows.all()
