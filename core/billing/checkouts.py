"""Checkouts: a reserved attempt to pay, so that two tabs never make two subscriptions.

The reservation stands before the provider is asked, and its number is the key that makes the provider's call safe to
repeat: a process that dies in between finds the same checkout again. States: `open` (at most one for each member and
plan), `pending` (completed, the money is still on its way), `paid`, `failed`, `expired`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, db, errors, models
from core.billing import errands

# Stripe allows 24 hours at most and 30 minutes at least, by its own clock.
_LIFE = timedelta(hours=23)
_SHORTEST = timedelta(minutes=40)
_PENDING = timedelta(days=14)
_WANTED = ("price_id", "currency", "quantity", "trial_days", "gift", "partner_id")
# What a checkout may still become: paying settles everything, and nothing undoes it.
_FROM = {
    "pending": ("open",),
    "paid": ("open", "pending", "failed", "expired"),
    "failed": ("open", "pending"),
    "expired": ("open",),
}


def idempotency_key(checkout: models.Checkout) -> str:
    """The key under which the provider makes this checkout once, however often it is asked."""
    return f"checkout-{checkout.id}"


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody wants to buy: a plan at a price, in a currency (empty: the price's own), for so many people."""

    plan: catalogue.Plan
    price_id: str = ""
    currency: str = ""
    quantity: int = 1
    trial_days: int = 0
    gift: bool = False
    partner_id: int | None = None

    def fits(self, checkout: models.Checkout) -> bool:
        """Whether the checkout is an attempt to pay for just this."""
        return all(getattr(self, name) == getattr(checkout, name) for name in _WANTED)


async def reserve(
    session: AsyncSession, member_id: int, choice: Choice, *, provider: str, now: datetime
) -> models.Checkout:
    """The one open checkout of this member for this plan: the one that is there, or a new one without address.

    The one that is there may be for another choice, or its page may have run out; the caller looks. Raises RefusedError
    while an earlier payment for the plan is still on its way.
    """
    plan, gift = choice.plan.key, choice.gift
    await _sweep_out(session, member_id, plan, now)
    table = models.Checkout
    mine = (table.member_id == member_id, table.plan == plan, table.gift.is_(gift))
    if await session.scalar(select(table.id).where(*mine, table.state == "pending").limit(1)):
        raise errors.RefusedError(
            "Your payment for this plan is still on its way. We write to you in the chat as soon as it has arrived."
        )
    wanted = {name: getattr(choice, name) for name in _WANTED}
    row = {"member_id": member_id, "plan": plan, "provider": provider, "state": "open", **wanted}
    await session.execute(
        db.insert(session, table)
        .values(**row, created_at=now, expires_at=now + _LIFE)
        .on_conflict_do_nothing(index_elements=["member_id", "plan", "gift"], index_where=text("state = 'open'"))
    )
    found = await session.scalars(select(table).where(*mine, table.state == "open"))
    return found.one()


async def _sweep_out(session: AsyncSession, member_id: int, plan: str, now: datetime) -> None:
    """A reservation that nobody was shown is closed when it is too old for the provider to accept its end.

    A page that was shown may have been paid in its last minute, which nobody has told us yet: its provider knows.
    """
    mine = update(models.Checkout).where(models.Checkout.member_id == member_id, models.Checkout.plan == plan)
    unseen = (models.Checkout.state == "open") & models.Checkout.url.is_(None)
    stuck = unseen & (models.Checkout.expires_at <= now + _SHORTEST)
    lost = (models.Checkout.state == "pending") & (models.Checkout.created_at <= now - _PENDING)
    await db.execute(session, mine.where(stuck | lost).values(state="expired"))


async def opened(session: AsyncSession, checkout_id: int, *, session_id: str, url: str, expires_at: datetime) -> bool:
    """The checkout can be paid at this address until it expires; says whether it was still wanted."""
    checkout = update(models.Checkout).where(models.Checkout.id == checkout_id, models.Checkout.state == "open")
    return await db.execute(session, checkout.values(session_id=session_id, url=url, expires_at=expires_at)) == 1


async def withdrawn(session: AsyncSession, checkout_id: int) -> None:
    """The checkout, whose page can be paid no more, makes place for another choice."""
    checkout = update(models.Checkout).where(models.Checkout.id == checkout_id, models.Checkout.state == "open")
    await db.execute(session, checkout.values(state="expired"))


async def close(session: AsyncSession, member_id: int, *, why: str, now: datetime) -> None:
    """Nothing that this member has begun to buy can be paid any more; the provider closes the pages that are open."""
    mine = (models.Checkout.member_id == member_id, models.Checkout.state == "open")
    rows = await session.scalars(select(models.Checkout).where(*mine, models.Checkout.session_id.is_not(None)))
    for row in rows.all():
        await errands.ask(session, row.provider, "expire", row.session_id or "", why=why, now=now, member_id=member_id)
    await db.execute(session, update(models.Checkout).where(*mine).values(state="expired"))


async def given_up(session: AsyncSession, checkout_id: int) -> None:
    """The provider will not make this checkout; the next attempt is a new one under a new key."""
    checkout = update(models.Checkout).where(models.Checkout.id == checkout_id, models.Checkout.session_id.is_(None))
    await db.execute(session, checkout.values(state="failed"))


async def closed(session: AsyncSession, session_id: str, *, state: str) -> bool:
    """The checkout of this session is `pending`, `paid`, `failed` or `expired`; says whether that is news."""
    checkout = update(models.Checkout).where(
        models.Checkout.session_id == session_id, models.Checkout.state.in_(_FROM[state])
    )
    return await db.execute(session, checkout.values(state=state)) == 1


async def of_session(session: AsyncSession, session_id: str) -> models.Checkout | None:
    """The checkout that led to this session of the provider, if we made it."""
    return await session.scalar(select(models.Checkout).where(models.Checkout.session_id == session_id))


async def unfinished(session: AsyncSession, provider: str, *, now: datetime, limit: int) -> Sequence[models.Checkout]:
    """Checkouts whose end we should have heard of or may have missed: opened 5 minutes ago or earlier, and not closed.

    Those that ran out more than two days ago are left out: the provider has nothing more to say about them.
    """
    rows = await session.scalars(
        select(models.Checkout)
        .where(
            models.Checkout.provider == provider,
            models.Checkout.state.in_(["open", "pending"]),
            models.Checkout.session_id.is_not(None),
            models.Checkout.created_at <= now - timedelta(minutes=5),
            (models.Checkout.expires_at > now - timedelta(days=2)) | (models.Checkout.state == "pending"),
        )
        .order_by(models.Checkout.id.desc())
        .limit(limit)
    )
    return rows.all()
