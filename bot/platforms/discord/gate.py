"""What was heard at the gates of places takes effect: who came, who left, whose roles were changed, what hinders us."""

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.platforms.discord import events
from core import doors, members, places
from core.models import Place, Presence

log = structlog.get_logger()


async def at(session: AsyncSession, space: str) -> Sequence[Place]:
    """The places in use that are on this server."""
    here = select(Place).where(Place.platform == events.PLATFORM, Place.space == space, Place.retired_at.is_(None))
    return (await session.scalars(here.order_by(Place.key))).all()


async def seen(session: AsyncSession, standing: events.Standing, *, now: datetime) -> int:
    """What was seen of this person stands, and what follows from it is on its way; says how much there is to do."""
    planned = doors.Planned()
    known = await members.find(session, events.PLATFORM, standing.user) is not None
    for place in await at(session, standing.space):
        mine = select(Presence).where(Presence.place == place.key, Presence.external_id == standing.user)
        presence = await session.scalar(mine.with_for_update())
        if standing.roles is None:
            if presence is not None:  # nothing to do about who is gone
                presence.inside, presence.checked_at = False, now
            continue
        inside = bool(place.role) and place.role in standing.roles
        news = inside if presence is None else presence.inside != inside
        if news or (standing.joined and known):
            planned += await places.seen(session, place, standing.user, inside=inside, kept=standing.bot, now=now)
    if planned.outwards or planned.held:
        log.warning("discord_intruder_seen", space=standing.space, user=standing.user, held=planned.held)
    return planned.inwards + planned.outwards
