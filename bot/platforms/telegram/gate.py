"""What was heard at the gates of places takes effect: who asks, who came and went, what we may do, what moved."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import commands
from bot.messages import answers
from bot.platforms.telegram import updates
from core import catalogue, doors, members, places, rights, stack
from core.delivery import outbox
from core.models import Identity, Place

WINDOW = timedelta(minutes=5)
"""For so long Telegram lets a bot write to somebody who asks to join and never started the bot."""
log = structlog.get_logger()


async def at(session: AsyncSession, space: str) -> Sequence[Place]:
    """The places in use that are this chat; none for a chat that is nothing to us."""
    here = select(Place).where(Place.platform == updates.PLATFORM, Place.space == space, Place.retired_at.is_(None))
    return (await session.scalars(here.order_by(Place.key))).all()


async def knocked(
    session: AsyncSession, knock: updates.Knock, service: catalogue.Service, *, key: str, now: datetime
) -> int:
    """The request to join is decided, and who is turned away will read why; says how much there is to deliver."""
    waiting = 0
    for place in await at(session, knock.space):
        waiting += await places.asked(session, place, knock.user, now=now)
        # Not the contrary of being let in: their letting in may be on its way already, or wait until we are able to.
        if not await _may_enter(session, place, knock.user, now):
            waiting += 1 + await _turn_away(session, place, knock, service, key, now)
    return waiting


async def _may_enter(session: AsyncSession, place: Place, user: str, now: datetime) -> bool:
    may = rights.may_enter(literal(place.key), Identity.member_id.expression, now)
    mine = select(Identity.id).where(Identity.platform == updates.PLATFORM, Identity.external_id == user, may)
    return await session.scalar(mine) is not None


async def _turn_away(
    session: AsyncSession, place: Place, knock: updates.Knock, service: catalogue.Service, key: str, now: datetime
) -> bool:
    """Whether they will read why. Who knocks faster than we answer, or a stranger whose window is over, will not."""
    known = await members.find(session, updates.PLATFORM, knock.user)
    reachable = known is not None and known.blocked_at is None
    left = WINDOW if reachable else min(WINDOW, timedelta(seconds=knock.at - now.timestamp()) + WINDOW)
    if left <= timedelta(0) or await outbox.waiting(session, updates.PLATFORM, knock.chat) >= commands.MOST_WAITING:
        return False
    said = answers.turned_away(place.name, service).as_dict()
    return await outbox.reply(session, updates.PLATFORM, knock.chat, said, key=key, now=now, life=left)


async def seen(session: AsyncSession, change: updates.Change, *, now: datetime) -> int:
    """What was seen of this person stands, and who may not be inside will be put out; says how much there is to do."""
    planned = doors.Planned()
    for place in await at(session, change.space):
        planned += await places.seen(session, place, change.user, inside=change.inside, kept=change.kept, now=now)
    if planned.outwards or planned.held:
        log.warning("telegram_intruder_seen", space=change.space, user=change.user, by=change.by, held=planned.held)
    return planned.inwards + planned.outwards


async def follow(held: stack.Stack, old: str, new: str) -> None:
    """The basic group `old` has become the supergroup `new`, and everything of it is found under the new number."""
    async with held.db.transaction() as session:
        await places.moved(session, updates.PLATFORM, old, new)
    log.warning("telegram_chat_migrated", old=old, new=new, hint="write the new number into signalstack.toml")
