"""Commands about how signals reach an account."""

from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.commands import asking
from core import access, members, models, places

USUAL = "usual"
CHOICES = (*access.ROUTES, USUAL)


async def settings(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """How signals arrive on this account; the argument chooses another way."""
    who, wanted = visit.identity, visit.argument.lower()
    said = messages.standing.ROUTE_UNKNOWN if wanted else ""
    if wanted in CHOICES:
        await members.choose_route(session, who.id, "" if wanted == USUAL else wanted)
        await session.refresh(who)
        said = messages.standing.ROUTE_SAVED
    accounts = await members.identities(session, who.member_id)
    member = await session.get_one(models.Member, who.member_id, populate_existing=True)
    gated = bool(await places.active(session, who.platform))
    return messages.standing.settings(who, accounts, muted=member.muted, gated=gated, said=said)


async def mute(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """No signals in private chats."""
    await members.mute(session, visit.identity.member_id, muted=True)
    return messages.standing.muted(now_muted=True)


async def unmute(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """Signals in private chats again."""
    await members.mute(session, visit.identity.member_id, muted=False)
    return messages.standing.muted(now_muted=False)
