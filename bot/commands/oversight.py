"""Operators' commands about the whole: the desk, figures, places, deliveries."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.commands import asking
from bot.messages import operators
from core import census, health, models, places, switches
from core.billing import revenue


async def desk(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """The state of the whole in a few lines."""
    now = visit.desk.now
    return operators.menu(
        await census.take(session, now=now),
        await places.active(session),
        sum(one.held for one in await _rounds(session) if not one.released_by),
        await health.report(session, now=now),
        await switches.turned_on(session, switches.PAUSED),
    )


async def stats(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """Members, money and deliveries, counted."""
    now = visit.desk.now
    counted, taken = await census.take(session, now=now), await revenue.take(session, now=now)
    return operators.stats(counted, taken, visit.desk.catalogue)


async def drift(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """What the last rounds found; with `release` the next ones may put out whom these held back."""
    rounds = await _rounds(session)
    if visit.argument.lower() == "release":
        held = [one for one in rounds if one.held and not one.released_by]
        for one in held:
            one.released_by = visit.actor
        return operators.released(sum(one.held for one in held))
    names = {place.key: place.name for place in await places.active(session)}
    return operators.drift(rounds, names)


async def _rounds(session: AsyncSession) -> Sequence[models.Round]:
    """The last round of each platform."""
    last = select(func.max(models.Round.id)).group_by(models.Round.platform)
    rows = await session.scalars(select(models.Round).where(models.Round.id.in_(last)).order_by(models.Round.platform))
    return rows.all()


async def delivery(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """ID: one delivery from its beginning to where it is now."""
    number = asking.number(visit.argument)
    if number is None:
        return operators.usage("delivery")
    row = await session.get(models.Delivery, number)
    if row is None:
        return operators.no_delivery(number)
    return operators.delivery(row, await _recipient(session, row))


async def _recipient(session: AsyncSession, row: models.Delivery) -> str:
    if row.identity_id is not None:
        return messages.people.numbered(await session.get_one(models.Identity, row.identity_id))
    where = f" ({row.place})" if row.place else ""
    return f"{row.platform} {row.address}{where}"
