"""Members and their identities: who is who on which chat, and whether the chat lets us speak to them."""

import re
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors, models

_UNSENT = (models.State.PENDING, models.State.CLAIMED, models.State.SENDING)


async def find(session: AsyncSession, platform: str, external_id: str) -> models.Identity | None:
    """The identity with this account number, if we have met."""
    return await session.scalar(
        select(models.Identity).where(models.Identity.platform == platform, models.Identity.external_id == external_id)
    )


async def arrive(
    session: AsyncSession,
    platform: str,
    external_id: str,
    *,
    address: str,
    name: str,
    username: str | None,
    now: datetime,
    reachable: bool = True,
) -> models.Identity:
    """The person is known, under the names they have now, and can be spoken to at `address`.

    `reachable` False: what they did does not prove that their private chat takes our messages.
    """
    known = await find(session, platform, external_id)
    if known is None:
        await _create(session, platform, external_id, address, now)
        known = await find(session, platform, external_id)
        assert known is not None  # noqa: S101 - it was inserted just now, by us or by another process
    known.address = address
    known.name = name[:128]
    known.username = username[:64] if username else None
    if reachable:
        known.blocked_at = None
    await session.flush()
    return known


async def _create(session: AsyncSession, platform: str, external_id: str, address: str, now: datetime) -> None:
    """One member with one identity; when another process was quicker, theirs stands and ours is taken back."""
    async with session.begin_nested() as savepoint:
        member = models.Member(created_at=now)
        session.add(member)
        await session.flush()
        row = {"member_id": member.id, "platform": platform, "external_id": external_id}
        inserted = await db.execute(
            session,
            db.insert(session, models.Identity)
            .values(**row, address=address, name="", created_at=now)
            .on_conflict_do_nothing(index_elements=["platform", "external_id"]),
        )
        if not inserted:
            await savepoint.rollback()


async def current(session: AsyncSession, member_id: int) -> int:
    """The member that this one is now, after accounts that were one person's became one member."""
    while (became := await session.scalar(select(models.Member.merged_into).filter_by(id=member_id))) is not None:
        member_id = became
    return member_id


async def present(session: AsyncSession, member_id: int) -> int:
    """The same, for what only a member who is still one may do; raises RefusedError for one who was deleted."""
    became = await current(session, member_id)
    if await session.scalar(select(models.Member.deleted_at).filter_by(id=became)) is not None:
        raise errors.RefusedError("This membership was deleted. Send /start to the bot to begin a new one.")
    return became


async def block(session: AsyncSession, platform: str, address: str, *, now: datetime) -> None:
    """Nothing is sent to this private chat any more until its owner comes back; the subscription stays."""
    reachable = update(models.Identity).where(
        models.Identity.platform == platform, models.Identity.address == address, models.Identity.blocked_at.is_(None)
    )
    await db.execute(session, reachable.values(blocked_at=now))


async def unblock(session: AsyncSession, platform: str, address: str) -> None:
    """This private chat takes messages again."""
    chat = update(models.Identity).where(models.Identity.platform == platform, models.Identity.address == address)
    await db.execute(session, chat.values(blocked_at=None))


async def move(session: AsyncSession, platform: str, old: str, new: str) -> None:
    """A chat has a new address: identities and everything still to be sent follow it (Telegram groups migrate)."""
    for table in (models.Identity, models.Delivery):
        rows = update(table).where(table.platform == platform, table.address == old)
        if table is models.Delivery:
            rows = rows.where(models.Delivery.state.in_(_UNSENT))
        await db.execute(session, rows.values(address=new))


async def mute(session: AsyncSession, member_id: int, *, muted: bool) -> None:
    """The member gets no signals in private chat while muted; everything else stays as it is."""
    await db.execute(session, update(models.Member).where(models.Member.id == member_id).values(muted=muted))


async def choose_route(session: AsyncSession, identity_id: int, route: str) -> None:
    """Signals reach this account by this route from now on ("" for what is usual on its platform)."""
    await db.execute(session, update(models.Identity).where(models.Identity.id == identity_id).values(route=route))


async def identities(session: AsyncSession, member_id: int) -> Sequence[models.Identity]:
    """Every account of this member, oldest first."""
    rows = await session.scalars(
        select(models.Identity).where(models.Identity.member_id == member_id).order_by(models.Identity.id)
    )
    return rows.all()


async def named(session: AsyncSession, who: str) -> models.Identity:
    """The identity an operator means by `telegram:123456`, `@username`, or `member:12` (then the oldest of theirs).

    Raises RefusedError when there is none.
    """
    platform, _, number = who.partition(":")
    if platform.lower() == "member" and re.fullmatch(r"[0-9]{1,15}", number):
        found = next(iter(await identities(session, await current(session, int(number)))), None)
    elif number:
        found = await find(session, platform.lower(), number)
    else:
        found = await session.scalar(
            select(models.Identity).where(models.Identity.username == who.removeprefix("@")).limit(1)
        )
    if found is None:
        raise errors.RefusedError(
            f"Nobody is known as '{who}'; write platform:number such as telegram:123456, member:12, or @username. "
            "People are known once they have written to the bot."
        )
    return found
