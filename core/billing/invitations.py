"""Invitations: a code that is good once, for a seat or for a gift, and of which only a hash is kept.

A code has 128 bits, so guessing is hopeless; it is slowed all the same. Whoever tries one that is wrong, used,
withdrawn or too old reads the same sentence.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors, models, settings
from core.models import Audit, Invitation

SEAT_LIFE, GIFT_LIFE = timedelta(days=7), timedelta(days=365)
NOTE = 60
"""How long the payer's word for whom it is for may be."""
_WRONG, _WRONG_CODES, _WRONG_SPAN = "invitation_code_wrong", 5, timedelta(hours=1)


class NotValidError(errors.RefusedError):
    """The code is unknown, used, withdrawn or too old; which of these is not said."""

    def __init__(self) -> None:
        super().__init__(
            "That code is not valid. Codes work once and for a limited time; please ask whoever gave it to you for a "
            "new one."
        )


def code() -> str:
    """A new code: 22 of the characters A-Z a-z 0-9 _ -."""
    return secrets.token_urlsafe(16)


def code_of(conf: settings.Settings, member_id: int, mark: str) -> str:
    """The code that this member's form of this mark makes: the same each time, so a form sent twice makes one."""
    key = conf.secret_key.get_secret_value().encode()
    digest = hmac.digest(key, f"signalstack invitation {member_id} {mark}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def url(conf: settings.Settings, said: str) -> str:
    """The page that says what the code is for, with a way into each chat."""
    return f"{conf.public_url}/invitation/{said}"


def is_open(now: datetime) -> ColumnElement[bool]:
    """The condition that an invitation can still be used."""
    return and_(Invitation.used_at.is_(None), Invitation.withdrawn_at.is_(None), Invitation.expires_at > now)


async def make(
    session: AsyncSession,
    said: str,
    *,
    member_id: int,
    now: datetime,
    subscription_id: int | None = None,
    gift_id: int | None = None,
    note: str = "",
) -> Invitation:
    """The code can be used for a seat of this subscription, or for this gift."""
    row = Invitation(
        code_hash=_hashed(said),
        member_id=member_id,
        subscription_id=subscription_id,
        gift_id=gift_id,
        note=note[:NOTE],
        created_at=now,
        expires_at=now + (GIFT_LIFE if gift_id else SEAT_LIFE),
    )
    session.add(row)
    await session.flush()
    return row


async def find(session: AsyncSession, said: str, *, now: datetime) -> Invitation | None:
    """The invitation of this code, if it can still be used."""
    query = select(Invitation).where(Invitation.code_hash == _hashed(said), is_open(now))
    return await session.scalar(query.execution_options(populate_existing=True))


async def tried(session: AsyncSession, who: models.Identity, said: str, *, now: datetime) -> Invitation:
    """The invitation of the code that this account tries; raises RefusedError, also after too many wrong ones.

    The try is counted if the caller's transaction is kept all the same.
    """
    actor = f"{who.platform}:{who.external_id}"
    mine = (Audit.actor == actor, Audit.action == _WRONG, Audit.at > now - _WRONG_SPAN)
    if (await session.scalar(select(func.count()).where(*mine)) or 0) >= _WRONG_CODES:
        raise errors.RefusedError("Too many codes that were not valid. Please try again in an hour.")
    found = await find(session, said, now=now)
    if found is None:
        session.add(Audit(at=now, actor=actor, action=_WRONG, details={}))
        raise NotValidError
    return found


async def use(session: AsyncSession, invitation: Invitation, *, now: datetime) -> None:
    """The invitation is used; raises NotValidError when somebody was quicker."""
    row = update(Invitation).where(Invitation.id == invitation.id, is_open(now))
    if await db.execute(session, row.values(used_at=now)) != 1:
        raise NotValidError
    await session.refresh(invitation)


async def withdraw(session: AsyncSession, *which: ColumnElement[bool], now: datetime) -> int:
    """Those of these invitations that were open can be used no more; says how many they were."""
    rows = update(Invitation).where(*which, is_open(now))
    return await db.execute(session, rows.values(withdrawn_at=now))


async def waiting(session: AsyncSession, *which: ColumnElement[bool], now: datetime) -> Sequence[Invitation]:
    """Those of these invitations that can still be used, oldest first."""
    rows = await session.scalars(select(Invitation).where(*which, is_open(now)).order_by(Invitation.id))
    return rows.all()


def _hashed(said: str) -> str:
    return hashlib.sha256(said.strip().encode()).hexdigest()
