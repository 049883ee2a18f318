"""Keys for members' own tools: shown once, kept as a hash, named, listed, revoked.

A key is `sst_PREFIX_SECRET`: the prefix finds the row, the secret (256 bits of randomness) proves the key. A plain
SHA-256 keeps it, because nobody guesses 256 bits, however fast the hash is.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors
from core.models import ApiKey

MOST = 5
"""Keys that a member may have at once."""
_FORM = re.compile(r"sst_([a-z2-7]{10})_([A-Za-z0-9_-]{43})")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_NOTED_EVERY = timedelta(minutes=1)
_NOBODY = "0" * 64


def prefix(key: str) -> str:
    """The part of a key that names it; empty for what is no key."""
    found = _FORM.fullmatch(key)
    return found[1] if found else ""


async def make(session: AsyncSession, member_id: int, name: str, *, now: datetime) -> str:
    """A new key of the member; nobody can read it again. Raises RefusedError when the member has enough of them."""
    if len(await held(session, member_id, lock=True)) >= MOST:
        raise errors.RefusedError(f"You have {MOST} keys already; revoke one of them first.")
    label = " ".join(name.split())[:40] or "my tool"
    named, secret = "".join(secrets.choice(_ALPHABET) for _ in range(10)), secrets.token_urlsafe(32)
    session.add(ApiKey(member_id=member_id, name=label, prefix=named, hash=_hash(secret), created_at=now))
    await session.flush()
    return f"sst_{named}_{secret}"


async def held(session: AsyncSession, member_id: int, *, lock: bool = False) -> Sequence[ApiKey]:
    """The member's keys that work, oldest first."""
    query = select(ApiKey).where(ApiKey.member_id == member_id, ApiKey.revoked_at.is_(None)).order_by(ApiKey.id)
    return (await session.scalars(query.with_for_update() if lock else query)).all()


async def check(session: AsyncSession, key: str) -> ApiKey | None:
    """The row of a key that works, None for everything else; takes as long for a wrong secret as for a wrong prefix."""
    found = _FORM.fullmatch(key)
    named, secret = (found[1], found[2]) if found else ("", "")
    row = await session.scalar(select(ApiKey).where(ApiKey.prefix == named))
    same = hmac.compare_digest(_hash(secret), row.hash if row else _NOBODY)
    return row if row is not None and same and row.revoked_at is None else None


async def used(session: AsyncSession, key_id: int, *, now: datetime) -> None:
    """The key was used at about this moment; a busy key is noted once a minute."""
    last = func.coalesce(ApiKey.last_used_at, ApiKey.created_at)
    fresh = (ApiKey.last_used_at.is_(None)) | (last < now - _NOTED_EVERY)
    await db.execute(session, update(ApiKey).where(ApiKey.id == key_id, fresh).values(last_used_at=now))


async def revoke(session: AsyncSession, member_id: int, named: str, *, now: datetime) -> bool:
    """The member's key with this prefix works no more; says whether there was one."""
    mine = update(ApiKey).where(ApiKey.member_id == member_id, ApiKey.prefix == named, ApiKey.revoked_at.is_(None))
    return await db.execute(session, mine.values(revoked_at=now)) == 1


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
