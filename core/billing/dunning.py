"""What members are told about a payment before it is too late: each notice once for its period, while it is true.

| notice | when | once for each |
|---|---|---|
| `payment_action` | the bank wants the open payment to be confirmed | unpaid period |
| `grace_ends` | one day before access ends because a payment failed | unpaid period |
| `trial_ends` | two days before the first charge after free days | trial |
| `renewal_ahead` | `policy.renewal_notice_days` before a yearly charge | charge |
| `card_expires` | two weeks before the first charge for which the card is too old | card |

The provider is not asked: what it last said is enough, and whoever was told too much can look at /status. That a
payment failed, and that access has ended, is told with the change itself (`core.access`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, columns
from core.billing import plans
from core.delivery import outbox
from core.models import Subscription

EVERY = timedelta(minutes=10)
"""How often it is worth looking whether a moment has come."""
_LAST_DAY, _TRIAL, _CARD = timedelta(days=1), timedelta(days=2), timedelta(days=14)
_YEAR = 12


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell, under a key that it has once; after `until` it would be wrong."""

    name: str
    key: str
    until: datetime
    facts: dict[str, Any]


async def plan(session: AsyncSession, book: catalogue.Catalogue, *, grace_days: int, now: datetime) -> int:
    """Every notice whose moment has come is on its way; says how many messages are new."""
    rows = await session.scalars(
        select(Subscription)
        .where(
            Subscription.member_id.is_not(None),
            Subscription.cancels_at.is_(None),
            Subscription.access_until > now,
            _near(book.policy, timedelta(days=grace_days), now),
        )
        .order_by(Subscription.id)
    )
    told = 0
    for row in rows.all():
        name = book.by_key[row.plan].name if row.plan in book.by_key else row.plan
        for notice in due(row, book.policy, grace_days=grace_days, now=now):
            told += await _tell(session, row, notice, name, now)
    return told


async def _tell(session: AsyncSession, row: Subscription, notice: Notice, plan: str, now: datetime) -> int:
    if row.member_id is None:
        return 0
    facts = {"plan": plan, **notice.facts}
    return await outbox.tell(session, row.member_id, notice.name, facts, key=notice.key, now=now, until=notice.until)


def _near(policy: catalogue.Policy, grace: timedelta, now: datetime) -> ColumnElement[bool]:
    """The condition that something may have to be told soon; `due` looks closely."""
    table, soonest = Subscription, now + grace
    yearly = or_(table.interval == "year", and_(table.interval == "month", table.interval_count >= _YEAR))
    old = columns.said(table.snapshot, "card_expires").between("0", (now + _CARD).strftime("%Y-%m"))
    return or_(
        table.status == "past_due",
        and_(table.status == "trialing", table.access_until <= soonest + _TRIAL),
        and_(table.status == "active", yearly, table.access_until <= soonest + _ahead(policy)),
        and_(old, table.access_until <= soonest + _CARD),
    )


def due(row: Subscription, policy: catalogue.Policy, *, grace_days: int, now: datetime) -> Iterator[Notice]:
    """What the member should hear about this subscription at this moment. Pure."""
    until = row.access_until
    if row.status == "past_due" and until is not None and until > now:
        if needs_action(row):
            yield Notice("payment_action", action_key(row), until, cost(row) | {"until": until.isoformat()})
        # Who has one day of grace in all was told so when the payment failed.
        if until - _LAST_DAY <= now and grace_days > 1:
            key = f"grace:{row.id}:{until.timestamp():.0f}"
            yield Notice("grace_ends", key, until, cost(row) | {"until": until.isoformat()})
    at = next_charge(row)
    if at is not None and at > now:
        yield from _before(row, policy, at, now)


def _before(row: Subscription, policy: catalogue.Policy, at: datetime, now: datetime) -> Iterator[Notice]:
    """What is told before the charge of this moment."""
    facts, stamp = cost(row) | {"at": at.isoformat()}, f"{row.id}:{at.timestamp():.0f}"
    if row.status == "trialing" and at - _TRIAL <= now and at - row.created_at > _TRIAL:
        yield Notice("trial_ends", f"trial:{stamp}", at, facts)
    if row.status == "active" and yearly(row) and at - _ahead(policy) <= now:
        yield Notice("renewal_ahead", f"renewal:{stamp}", at, facts)
    expires = str(row.snapshot.get("card_expires") or "")
    if expires and expires < at.strftime("%Y-%m") and at - _CARD <= now:
        key = f"card:{row.id}:{row.snapshot.get('card')}:{expires}"
        yield Notice("card_expires", key, at, facts | {"expires": expires})


def next_charge(row: Subscription) -> datetime | None:
    """When the member is charged next, as far as that is known; None when nothing more is charged."""
    if row.status not in {"active", "trialing"} or row.cancels_at or row.snapshot.get("collection_paused"):
        return None
    stated = (row.snapshot.get("trial_end") if row.status == "trialing" else None) or row.snapshot.get("period_end")
    return datetime.fromisoformat(stated) if stated else None


def yearly(row: Subscription) -> bool:
    """Whether a payment lasts for a year or longer."""
    return row.interval == "year" or (row.interval == "month" and row.interval_count >= _YEAR)


def needs_action(row: Subscription) -> bool:
    """Whether the bank wants the member to confirm the payment that is open."""
    return row.status == "past_due" and bool(row.snapshot.get("action_required"))


def action_key(row: Subscription) -> str:
    """The key under which the member is told once for each unpaid period that the bank wants a confirmation."""
    return f"action:{row.id}:{row.snapshot.get('period_start') or ''}"


def cost(row: Subscription) -> dict[str, Any]:
    """What the next period costs before discounts and taxes, and which card is charged; empty words for the unknown."""
    known = row.amount is not None and row.currency
    amount = plans.written((row.amount or 0) * row.quantity, row.currency) if known else ""
    return {"amount": amount, "card": str(row.snapshot.get("card") or "")}


def _ahead(policy: catalogue.Policy) -> timedelta:
    return timedelta(days=policy.renewal_notice_days)
