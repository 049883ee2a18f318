"""Commands about ourselves."""

from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.commands import asking
from core import health, switches


async def service(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """Whether everything works."""
    report = await health.report(session, now=visit.desk.now)
    return messages.answers.service(report, await switches.turned_on(session, switches.PAUSED))


async def terms(_session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """Terms and risks."""
    return messages.answers.terms(visit.desk.catalogue.service)


async def paysupport(_session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """Where to turn with questions about a payment."""
    return messages.answers.paysupport(visit.desk.catalogue.service)
