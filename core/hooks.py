"""Hooks: addresses of members' own tools that are told of signals, each in the order of the record and at least once.

A hook is claimed for a lease under an epoch, as everything that several processes share. Its cursor moves only when an
event was taken or was not for it. Who cannot be reached is tried again after pauses that grow, about a day in all.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors, settings
from core.delivery import outbox
from core.models import Hook, Member, RecordEntry
from core.signals import record

MOST = 3
"""Hooks that a member may have."""
JSON, CORNIX = "json", "cornix"
FORMS = (JSON, CORNIX)
"""What a hook is sent: the event as JSON, or the block of words for tools such as Cornix."""
ACTIVE, PAUSED, DISABLED = "active", "paused", "disabled"
TRIES = 10
"""Failures in a row after which a hook is disabled; the pauses between them are 23.6 hours, give or take a tenth."""
NOTICE = "hook_disabled"
_FIRST, _LONGEST = 5.0, 8 * 3600.0


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed hook; `epoch` proves the claim."""

    id: int
    member_id: int
    url: str
    form: str
    version: int
    cursor: int
    failures: int
    epoch: int


def secret(conf: settings.Settings, hook_id: int, version: int) -> str:
    """The secret of a hook, as Standard Webhooks writes it: `whsec_` and 32 bytes in base64."""
    key = conf.secret_key.get_secret_value().encode()
    digest = hmac.digest(key, f"signalstack hook {hook_id} {version}".encode(), hashlib.sha256)
    return f"whsec_{base64.b64encode(digest).decode()}"


def signature(secret: str, message_id: str, stamp: int, body: bytes) -> str:
    """The signature of a message as Standard Webhooks 1.0 defines it; `stamp` is in seconds since 1970."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, b".".join((message_id.encode(), str(stamp).encode(), body)), hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


async def make(session: AsyncSession, member_id: int, url: str, form: str, *, now: datetime) -> Hook:
    """A hook that is told of what happens from now on. Raises RefusedError when the member has enough of them."""
    await session.execute(select(Member.id).where(Member.id == member_id).with_for_update())
    if len(await held(session, member_id)) >= MOST:
        raise errors.RefusedError(f"You have {MOST} hooks already; delete one of them first.")
    newest = await record.head(session)
    made = Hook(member_id=member_id, url=url, form=form, cursor=newest.n, created_at=now, not_before=now)
    session.add(made)
    await session.flush()
    await session.refresh(made)
    return made


async def held(session: AsyncSession, member_id: int) -> Sequence[Hook]:
    """The member's hooks, oldest first."""
    return (await session.scalars(select(Hook).where(Hook.member_id == member_id).order_by(Hook.id))).all()


async def one(session: AsyncSession, member_id: int, number: int) -> Hook | None:
    """The member's hook of this number, held until the end of the transaction."""
    mine = select(Hook).where(Hook.id == number, Hook.member_id == member_id).with_for_update()
    return (await session.scalars(mine)).first()


async def resume(session: AsyncSession, hook: Hook, *, skip: bool, now: datetime) -> None:
    """The hook is told again, from where it stood, or with `skip` only of what happens from now on."""
    hook.state, hook.failures, hook.said, hook.not_before = ACTIVE, 0, "", now
    if skip:
        hook.cursor = (await record.head(session)).n
        hook.epoch += 1  # whoever is telling it of an older event has lost the claim and moves nothing back
    await session.flush()


def _due(now: datetime) -> ColumnElement[bool]:
    newest = select(func.max(RecordEntry.n)).scalar_subquery()
    free = or_(Hook.lease_until.is_(None), Hook.lease_until < now)
    return and_(Hook.state == ACTIVE, Hook.not_before <= now, free, Hook.cursor < newest)


async def waiting(session: AsyncSession, *, now: datetime) -> bool:
    """Whether a hook is due; asked before a claim, which on SQLite would keep other writers out for nothing."""
    return await session.scalar(select(Hook.id).where(_due(now)).limit(1)) is not None


async def due_since(session: AsyncSession, *, now: datetime) -> datetime | None:
    """Since when the hook that has been due for longest could have been told; None when none is due."""
    next_one = RecordEntry.n == Hook.cursor + 1  # the record has no gaps
    since = case((Hook.not_before > RecordEntry.at, Hook.not_before), else_=RecordEntry.at)
    oldest = select(func.min(since)).select_from(Hook).join(RecordEntry, next_one).where(_due(now))
    found: datetime | None = await session.scalar(oldest)
    return found


async def claim(session: AsyncSession, *, now: datetime, lease: float, limit: int) -> list[Job]:
    """The hooks that have been due for longest are ours for `lease` seconds."""
    oldest = select(Hook.id).where(_due(now)).order_by(Hook.not_before, Hook.id).limit(limit)
    locked = oldest.with_for_update(skip_locked=True).cte("locked")
    taken = await session.execute(
        update(Hook)
        .where(Hook.id == locked.c.id)
        .values(epoch=Hook.epoch + 1, lease_until=now + timedelta(seconds=lease))
        .returning(*(getattr(Hook, name) for name in Job.__slots__))
        .execution_options(synchronize_session=False)
    )
    return [Job(**row) for row in taken.mappings()]


async def advanced(session: AsyncSession, job: Job, n: int, *, told_at: datetime | None = None) -> bool:
    """The hook stands after entry `n`, which it took at `told_at` or which was not for it; says whether it is ours."""
    taken = {} if told_at is None else {"failures": 0, "said": "", "told_at": told_at}
    return await _settle(session, job, cursor=n, **taken)


async def released(session: AsyncSession, job: Job, *, now: datetime) -> bool:
    """The hook may be claimed again, after those that wait for longer; says whether it was ours."""
    return await _settle(session, job, lease_until=None, not_before=now)


async def failed(
    session: AsyncSession, job: Job, said: str, *, now: datetime, jitter: float = 1.0, final: bool = False
) -> bool:
    """The hook is tried again later, or, after the last try or when it is `final`, disabled; says whether it is.

    `jitter` stretches the pause: 5 seconds after the first failure, four times as long after each further one, at
    most 8 hours. The member reads of the end in the chat.
    """
    failures = job.failures + 1
    if not final and failures < TRIES:
        pause = timedelta(seconds=min(_LONGEST, _FIRST * 4 ** (failures - 1)) * jitter)
        await _settle(session, job, failures=failures, said=said[:200], lease_until=None, not_before=now + pause)
        return False
    if not await _settle(session, job, state=DISABLED, failures=failures, said=said[:200], lease_until=None):
        return False
    facts = {"hook": job.id, "host": urlsplit(job.url).hostname or "", "said": said[:200]}
    await outbox.tell(session, job.member_id, NOTICE, facts, key=f"hook:{job.id}:{job.epoch}", now=now)
    return True


async def _settle(session: AsyncSession, job: Job, **values: object) -> bool:
    """Written only while the claim holds; a hook that was paused or deleted meanwhile stays so."""
    mine = [Hook.id == job.id, Hook.epoch == job.epoch]
    if "state" in values:
        mine.append(Hook.state == ACTIVE)
    return await db.execute(session, update(Hook).where(*mine).values(**values)) == 1
