"""Looks: a member's wish that their payment provider is asked about them now, kept in the inbox like an event.

Whoever hears the wish (a chat) does not ask the provider; who works off the inbox does. One look a minute for a member.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import inbox, models
from core.billing import subscriptions

KIND = "look"
_MOST = 5
_CHECKOUTS = timedelta(days=30)
_OVER = ("canceled", "incomplete_expired")


@dataclass(frozen=True, slots=True)
class Look:
    """Whom it is about, and the provider's ids of what may say something new."""

    member_id: int
    subscriptions: tuple[str, ...]
    sessions: tuple[str, ...]


def source(provider: str) -> str:
    """Where the inbox keeps looks at this provider."""
    return f"{KIND}.{provider}"


async def ask(session: AsyncSession, member_id: int, *, now: datetime) -> bool | None:
    """Every provider that the member is known to will be asked; False: it was a moment ago, None: none knows them."""
    known = await _known(session, member_id, now)
    minute = int(now.timestamp() // 60)
    fresh = [
        await inbox.put(session, source(provider), f"{member_id}:{minute}", KIND, orjson.dumps(look), now=now)
        for provider, look in known.items()
    ]
    return any(fresh) if fresh else None


async def _known(session: AsyncSession, member_id: int, now: datetime) -> dict[str, Look]:
    """What to look at, at each provider: what is not over, what ended last, and what they lately began to pay."""
    rows = await subscriptions.of_member(session, member_id)
    recent = [row for row in rows if row.status not in _OVER] + [row for row in rows if row.status in _OVER]
    begun = await session.scalars(
        select(models.Checkout)
        .where(
            models.Checkout.member_id == member_id,
            models.Checkout.session_id.is_not(None),
            models.Checkout.created_at > now - _CHECKOUTS,
        )
        .order_by(models.Checkout.id.desc())
        .limit(_MOST)
    )
    sessions = begun.all()
    return {
        provider: Look(
            member_id,
            tuple(row.external_id for row in recent if row.provider == provider)[:_MOST],
            tuple(row.session_id or "" for row in sessions if row.provider == provider),
        )
        for provider in sorted({row.provider for row in rows} | {row.provider for row in sessions})
    }


def opened(body: bytes) -> Look:
    """The look in an item of the inbox; raises ValueError, TypeError or KeyError for what is none."""
    said = orjson.loads(body)
    return Look(int(said["member_id"]), tuple(map(str, said["subscriptions"])), tuple(map(str, said["sessions"])))
