"""Keys for members' own tools: shown once, kept as a hash, named, listed, revoked.

A key is `sst_PREFIX_SECRET`: the prefix finds the row, the secret (256 bits of randomness) proves the key. A plain
SHA-256 keeps it, because nobody guesses 256 bits, however fast the hash is.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from sqlalchemy import Select, and_, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors, rights
from core.columns import Utc
from core.models import ApiKey, Grant, RecordEntry, Subscription

MOST = 5
"""Keys that a member may have at once."""
READ, ACT = "read", "act"
SCOPES = (READ, ACT)
"""What a key may do: look, and set something going."""
_FORM = re.compile(r"sst_([a-z2-7]{10})_([A-Za-z0-9_-]{43})")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_NOTED_EVERY = timedelta(minutes=1)
_NOBODY = "0" * 64


class Holder(NamedTuple):
    """Whose key it is, what it may do, the keys of the plans its owner has, and the record's newest entry just then.

    `stale` says that the key's last use was noted long enough ago to be noted again.
    """

    key_id: int
    prefix: str
    member_id: int
    scopes: frozenset[str]
    plans: frozenset[str]
    newest: int
    stale: bool


def prefix(key: str) -> str:
    """The part of a key that names it; empty for what is no key."""
    found = _FORM.fullmatch(key)
    return found[1] if found else ""


async def make(
    session: AsyncSession, member_id: int, name: str, *, now: datetime, scopes: Iterable[str] = SCOPES
) -> str:
    """A new key of the member; nobody can read it again. Raises RefusedError when the member has enough of them."""
    if len(await held(session, member_id, lock=True)) >= MOST:
        raise errors.RefusedError(f"You have {MOST} keys already; revoke one of them first.")
    label = " ".join(name.split())[:40] or "my tool"
    named, secret = "".join(secrets.choice(_ALPHABET) for _ in range(10)), secrets.token_urlsafe(32)
    may = " ".join(scopes)
    session.add(ApiKey(member_id=member_id, name=label, prefix=named, hash=_hash(secret), scopes=may, created_at=now))
    await session.flush()
    return f"sst_{named}_{secret}"


async def held(session: AsyncSession, member_id: int, *, lock: bool = False) -> Sequence[ApiKey]:
    """The member's keys that work, oldest first."""
    query = select(ApiKey).where(ApiKey.member_id == member_id, ApiKey.revoked_at.is_(None)).order_by(ApiKey.id)
    return (await session.scalars(query.with_for_update() if lock else query)).all()


async def known(session: AsyncSession, key: str, *, now: datetime) -> Holder | None:
    """Who holds a key that works, None for everything else; takes as long for a wrong secret as for a wrong prefix.

    One statement, because every request of the API begins with it.
    """
    found = _FORM.fullmatch(key)
    named, secret = (found[1], found[2]) if found else ("", "")
    rows = (await session.execute(_HOLDER, {"named": named, "now": now})).all()
    kept = rows[0][4] if rows else _NOBODY
    if not hmac.compare_digest(_hash(secret), kept) or not rows:
        return None
    key_id, member_id, scopes, last, _, newest, *_ = rows[0]
    plans = frozenset(plan for row in rows for plan in row[6:] if plan is not None)
    stale = last is None or last < now - _NOTED_EVERY
    return Holder(key_id, named, member_id, frozenset(scopes.split()), plans, newest or 0, stale)


def _holder() -> Select[Any]:
    now = cast("datetime", bindparam("now", type_=Utc()))
    paid = and_(Subscription.member_id == ApiKey.member_id, Subscription.access_until > now)
    given = and_(Grant.member_id == ApiKey.member_id, rights.valid_grant(now))
    newest = select(func.max(RecordEntry.n)).scalar_subquery()
    key = (ApiKey.id, ApiKey.member_id, ApiKey.scopes, ApiKey.last_used_at, ApiKey.hash)
    return (
        select(*key, newest, Subscription.plan, Grant.plan)
        .outerjoin(Subscription, paid)
        .outerjoin(Grant, given)
        .where(ApiKey.prefix == bindparam("named"), ApiKey.revoked_at.is_(None))
    )


_HOLDER = _holder()  # put together once, because it is asked all the time


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
