"""Drift: where what we know of subscriptions and what the provider lists part, and the brake on ending access.

A reading that ends somebody's access is applied at once; many of them in ten minutes are more likely a mistake (the key
of another account, a provider's bad hour) than the truth, so they are held back until an operator has looked.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, db, errors, health
from core.billing import looks, rule, subscriptions
from core.models import Alarm, Inbox, Lease, Round, Subscription

SHARE, LEAST, MOST = 0.05, 3, 20
SPAN = timedelta(minutes=10)
# What a list does not say, or what says nothing about access.
_ELSEWHERE = {"read_at", "session_id", "hold", "claims", "card", "card_expires"}
_NO_MONEY = {"refunded", "disputed", "pending"}
_NAMED = 3


class HeldError(errors.SignalStackError):
    """So many would lose their access at once that nothing of it was applied."""


# --- comparing


def same(row: Subscription, snapshot: rule.Snapshot, book: catalogue.Catalogue, *, grace_days: int) -> bool:
    """Whether the row says just what the list says, and is worth what the rule says today."""
    known, snapshot = row.snapshot, rule.completed(snapshot, row.snapshot)
    said = {name: value for name, value in snapshot.as_dict().items() if name not in _ELSEWHERE}
    if any(known.get(name) != value for name, value in said.items()):
        return False
    if snapshot.card and (known.get("card"), known.get("card_expires")) != (snapshot.card, snapshot.card_expires):
        return False
    live = snapshot.status in rule.LIVE
    if live and (row.member_id is None or snapshot.period_end is None):
        return False
    plan = book.by_price.get(snapshot.price_id)
    hold = str(known.get("hold") or "")
    if (hold == "pending") != (snapshot.hold == "pending") or (plan is not None and plan.key != row.plan):
        return False
    return _worth(row, replace(snapshot, hold=hold), book, grace_days) == row.access_until


def ours(snapshot: rule.Snapshot, book: catalogue.Catalogue) -> bool:
    """Whether it bears our mark or costs one of our prices; an account may sell other things besides."""
    return snapshot.member_id is not None or snapshot.price_id in book.by_price or snapshot.plan in book.by_key


async def concerns_us(session: AsyncSession, snapshot: rule.Snapshot, book: catalogue.Catalogue) -> bool:
    """Whether it is ours, or was at some time."""
    return ours(snapshot, book) or bool(await subscriptions.known(session, snapshot.provider, [snapshot.external_id]))


def to_be_read(
    row: Subscription | None,
    snapshot: rule.Snapshot,
    payments: Collection[str],
    marked: Collection[str],
    *,
    since: datetime,
) -> bool:
    """Whether a list is not enough to tell what the subscription is worth: money has not arrived, or is wanted back.

    `marked` are payments that were wanted back `since` then; of older payments of one that is new to us, nothing is
    known.
    """
    if not set(payments).isdisjoint(marked):
        return True
    if row is None:
        return (snapshot.period_start or snapshot.created_at) < since
    return snapshot.status in rule.LIVE and bool(row.claims or row.snapshot.get("hold") in _NO_MONEY)


def _worth(row: Subscription, snapshot: rule.Snapshot, book: catalogue.Catalogue, grace_days: int) -> datetime | None:
    opens = snapshot.price_id in book.by_price or row.plan in book.by_key or snapshot.plan in book.by_key
    return rule.access_until(snapshot, grace_days=grace_days, policy=book.policy, opens=opens)


def ends(
    row: Subscription | None, snapshot: rule.Snapshot, book: catalogue.Catalogue, *, grace_days: int, now: datetime
) -> bool:
    """Whether applying the snapshot would take access from a member who has it now."""
    if row is None or not subscriptions.has_access(row, now):
        return False
    until = _worth(row, rule.completed(snapshot, row.snapshot), book, grace_days)
    return until is None or until <= now


# --- the brake


async def room(session: AsyncSession, provider: str, *, now: datetime) -> int:
    """How many more may lose their access now: 5 % of those who have it (3 at least, 20 at most) in ten minutes."""
    mine = (Subscription.provider == provider, Subscription.member_id.is_not(None))
    having = select(func.count()).select_from(Subscription).where(*mine, Subscription.access_until > now)
    lost = await _lost_lately(session, provider, now)
    holders = (await session.scalar(having) or 0) + lost
    return min(MOST, max(LEAST, int(SHARE * holders))) - lost


async def stands(session: AsyncSession, provider: str, *, now: datetime) -> bool:
    """Whether another end of access would be one too many, or must wait because others are held back.

    Asked by one transaction at a time, so that many of them at once do not all see the same room.
    """
    name = f"brake.{provider}"
    row = db.insert(session, Lease).values(name=name, holder="", epoch=0, until=now)
    await session.execute(row.on_conflict_do_nothing(index_elements=["name"]))
    await session.execute(select(Lease.name).where(Lease.name == name).with_for_update())
    held = await session.scalar(select(Alarm.key).where(Alarm.key == brake(provider), Alarm.cleared_at.is_(None)))
    return held is not None or await room(session, provider, now=now) < 0


async def _lost_lately(session: AsyncSession, provider: str, now: datetime) -> int:
    without = or_(Subscription.access_until.is_(None), Subscription.access_until <= now)
    rows = await session.scalars(
        select(Subscription.snapshot).where(
            Subscription.provider == provider, Subscription.read_at > now - 2 * SPAN, without
        )
    )
    return sum(_lost_at(found) > now - SPAN for found in rows if subscriptions.LOST in found)


def _lost_at(snapshot: dict[str, str]) -> datetime:
    return datetime.fromisoformat(snapshot[subscriptions.LOST])


def just_lost(row: Subscription, *, now: datetime) -> bool:
    """Whether the reading that was applied at `now` ended the row's access; days that nobody had are no loss."""
    return row.snapshot.get(subscriptions.LOST) == now.isoformat() and row.snapshot.get("hold") != "trial_used"


def brake(provider: str) -> str:
    """The key of the alarm that stands while ends of access are held back."""
    return f"brake:billing:{provider}"


async def hold(session: AsyncSession, provider: str, number: int, *, now: datetime) -> None:
    """An alarm says that so many are held back, and what to do."""
    many = f"{number} more members" if number else "More members than is usual"
    text = (
        f"{many} would lose what they paid for at once, says {provider}. Nobody lost it: look there whether this is "
        "right, and at /drift; if it is, release it there."
    )
    await health.alarm(session, brake(provider), text, now=now)


# --- the account of passes


async def last(session: AsyncSession, provider: str) -> Round | None:
    """The account of the last pass through everything this provider lists."""
    mine = select(Round).where(Round.platform == provider).order_by(Round.id.desc()).limit(1)
    return await session.scalar(mine)


async def live_ids(session: AsyncSession, provider: str, *, before: datetime) -> Sequence[str]:
    """The provider's ids of subscriptions that run as far as we know, first made before this moment."""
    table = Subscription
    mine = (table.provider == provider, table.status.in_(rule.LIVE), table.created_at < before)
    return (await session.scalars(select(table.external_id).where(*mine).order_by(table.id))).all()


async def claimed(session: AsyncSession, provider: str) -> set[str]:
    """Every payment that we know to have been taken back or disputed."""
    rows = await session.scalars(select(Subscription.claims).where(Subscription.provider == provider))
    return {payment for claims in rows for payment in claims}


# --- alarms


async def gone(session: AsyncSession, provider: str, ids: Sequence[str], *, now: datetime) -> None:
    """An alarm stands while the provider does not know subscriptions that run here; nothing is taken for that."""
    key = f"subscriptions_gone:{provider}"
    if not ids:
        await health.clear(session, key, now=now)
        return
    named = ", ".join(ids[:_NAMED])
    text = (
        f"{len(ids)} running subscriptions are unknown to {provider} ({named}). Their members keep what they have "
        "until its stored end. Is the key that of another account, or of test mode?"
    )
    await health.alarm(session, key, text, now=now)


async def listen(
    session: AsyncSession, provider: str, source: str, silence: timedelta | None, *, now: datetime
) -> None:
    """Alarms stand while a provider says nothing for too long, and while we must fetch what it should have sent.

    `source`: under which name the inbox keeps what it says.
    """
    rows = await session.execute(
        select(Inbox.received_at, Inbox.not_before)
        .where(Inbox.source == source, Inbox.kind != looks.KIND)
        .order_by(Inbox.id.desc())
        .limit(500)
    )
    fetched: list[datetime] = []
    latest: datetime | None = None
    for received_at, not_before in rows:
        latest = latest or received_at
        if not_before >= received_at:
            break  # this one came by itself
        fetched.append(received_at)
    await _undelivered(session, provider, fetched, now)
    await _silent(session, provider, latest, silence, now)


async def latest(session: AsyncSession, source: str) -> bytes | None:
    """The body of the event that last came by itself, as long as it is kept."""
    came = (Inbox.source == source, Inbox.kind != looks.KIND, Inbox.not_before >= Inbox.received_at)
    return await session.scalar(select(Inbox.body).where(*came).order_by(Inbox.id.desc()).limit(1))


async def complain(session: AsyncSession, provider: str, complaint: str, *, now: datetime) -> None:
    """An alarm stands while something about how events are sent should be put right."""
    key = f"events_odd:{provider}"
    if complaint:
        await health.alarm(session, key, complaint, now=now)
    else:
        await health.clear(session, key, now=now)


async def _undelivered(session: AsyncSession, provider: str, fetched: list[datetime], now: datetime) -> None:
    key = f"events_undelivered:{provider}"
    # All at once is what a restart finds; again and again, with none that came by itself, is an address that is wrong.
    if not fetched:
        await health.clear(session, key, now=now)
    elif max(fetched) - min(fetched) >= timedelta(minutes=5):
        text = (
            f"Events of {provider} do not reach us; the last {len(fetched)} had to be fetched. Check there that the "
            "endpoint exists, is on, names PUBLIC_URL, and that its secret is in the settings; 'signalstack "
            f"{provider} doctor' looks for you."
        )
        await health.alarm(session, key, text, now=now)


async def _silent(
    session: AsyncSession, provider: str, latest: datetime | None, silence: timedelta | None, now: datetime
) -> None:
    key = f"events_silent:{provider}"
    running = (Subscription.provider == provider, Subscription.status.in_(rule.LIVE))
    first = await session.scalar(select(func.min(Subscription.created_at)).where(*running))
    since = max(filter(None, (latest, first)), default=None) if first else None
    if silence is None or since is None or now - since <= silence:
        await health.clear(session, key, now=now)
        return
    hours = int((now - since).total_seconds() // 3600)
    text = (
        f"{provider} has told us nothing for {hours} hours, though subscriptions run. Access is right all the same, "
        "because we ask; but look there whether events are sent to us."
    )
    await health.alarm(session, key, text, now=now)
