"""What a member was given by another: that a seat or a gift began, came back, or ended, they are told once.

What operators give by hand is told when they do it (`core.grants`).
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import not_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, members, places, rights
from core.billing import gifts, seats
from core.delivery import outbox
from core.models import Grant, Identity, Subscription

_BY_OTHERS = (seats.SOURCE, gifts.SOURCE)


async def tell(
    session: AsyncSession, member_id: int, plans: Collection[str], book: catalogue.Catalogue, *, now: datetime
) -> None:
    """The member has a notice of each seat and gift that began or ended since they last heard of it.

    An end is not told where something else of theirs (`plans`: all they have now) keeps the plan open.
    """
    rows = await session.scalars(
        select(Grant)
        .where(Grant.member_id == member_id, Grant.source.in_(_BY_OTHERS))
        .order_by(Grant.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    for row in rows.all():
        state = "on" if is_valid(row, now) else "off" if row.told else ""
        if state == row.told:
            continue
        if state == "on" or row.plan not in plans:
            facts = await about(session, row, book, now=now) | {"again": row.told == "off", "why": row.reason}
            name = f"{row.source}_{'began' if state == 'on' else 'ended'}"
            key = f"grant:{row.id}:{state}:{now.timestamp():.3f}"
            await outbox.tell(session, member_id, name, facts, key=key, now=now)
        row.told = state
    await session.flush()


def is_valid(row: Grant, now: datetime) -> bool:
    """Whether the grant gives access now; the same as `rights.valid_grant`, of a row that was read."""
    return row.revoked_at is None and (row.until is None or row.until > now)


async def about(session: AsyncSession, row: Grant, book: catalogue.Catalogue, *, now: datetime) -> dict[str, object]:
    """What a message says of a grant: its plan, until when, who pays, whether it goes on, and which places it opens."""
    until, goes_on = await lasts(session, row, now)
    facts: dict[str, object] = {
        "plan": book.by_key[row.plan].name if row.plan in book.by_key else row.plan,
        "until": until.isoformat() if until else None,
        "by": await payer(session, row),
        "goes_on": goes_on,
    }
    return facts | await doors_to(session, row.plan)


async def doors_to(session: AsyncSession, plan: str) -> dict[str, object]:
    """The names of the places that this plan opens, as `places`, where there are some."""
    names = [place.name for place in await places.opened_by(session, plan)]
    return {"places": names} if names else {}


async def lasts(session: AsyncSession, row: Grant, now: datetime) -> tuple[datetime | None, bool]:
    """Until when the grant lasts as its member should read it, and whether it goes on by itself after that."""
    pays = await session.get(Subscription, row.subscription_id) if row.subscription_id else None
    if pays is None:
        return row.until, False
    return paid_until(pays, now), pays.cancels_at is None and pays.status != "past_due"


def paid_until(row: Subscription, now: datetime) -> datetime | None:
    """What a member should read as the end: of what is paid, or of the days of grace that follow it."""
    stated = row.snapshot.get("period_end")
    paid = datetime.fromisoformat(stated) if stated and row.status != "past_due" else None
    return row.cancels_at or (paid if paid and paid > now else row.access_until)


async def payer(session: AsyncSession, row: Grant) -> str:
    """The first name of the member who pays for this grant; empty for an operator's, and for a nameless payer's."""
    kind, _, number = row.granted_by.partition(":")
    if kind != "member" or not number.isdigit():
        return ""
    return first_name(await members.identities(session, await members.current(session, int(number))))


def first_name(people: Sequence[Identity]) -> str:
    """What a member is called by another one: the first word of their name, the first account's that has one."""
    names = (one.name.split() for one in people)
    return next((words[0] for words in names if words), "")


async def lapsed(session: AsyncSession, *, now: datetime, limit: int = 200) -> Sequence[int]:
    """Members who have not heard yet that a seat or a gift of theirs has ended by the clock."""
    ended = select(Grant.member_id).where(Grant.told == "on", not_(rights.valid_grant(now)))
    return (await session.scalars(ended.distinct().limit(limit))).all()
