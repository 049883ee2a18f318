"""Commands about a member's own data."""

from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.commands import asking
from bot.messages import figures
from bot.messages import personal as words
from core import access, members
from core.delivery import outbox
from core.privacy import kept, removal


async def policy(_session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """What we know about people and why."""
    return messages.answers.privacy(visit.desk.catalogue.service)


async def export(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """Everything we keep about the member."""
    copy = await kept.copy(session, visit.identity.member_id, now=visit.desk.now)
    return words.copy(copy, visit.desk.catalogue.service)


async def delete(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """Asks first; after a yes nothing personal is left, and the member's other accounts have been told."""
    member_id, desk = visit.identity.member_id, visit.desk
    if charged := await removal.charged(session, member_id):
        book = desk.catalogue.by_key
        return words.still_charged(sorted({book[row.plan].name if row.plan in book else row.plan for row in charged}))
    if await removal.paying(session, member_id):
        return words.still_paying()
    if visit.argument.lower() != "yes":
        standing = await access.standing(session, member_id, desk.catalogue, now=desk.now)
        return words.delete_asked(await members.identities(session, member_id), paid_until=_paid(standing))
    here = (visit.identity.platform, visit.identity.address)
    chats = await removal.remove(session, member_id, now=desk.now)
    gone = words.deleted(desk.catalogue.service)
    for platform, address in chats:
        if (platform, address) != here:
            key = f"deleted:{member_id}:{platform}"
            await outbox.reply(session, platform, address, gone.as_dict(), key=key, now=desk.now)
    return gone


def _paid(standing: access.Standing) -> str:
    """Until when the member has paid, empty when nothing is lost."""
    ends = [holding.until for holding in standing.holdings if holding.source != "operator" and holding.until]
    return figures.moment(max(ends)) if ends else ""
