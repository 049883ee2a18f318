"""Commands about signals: the latest, the open ones, one of them, the closed ones, all results and their record."""

from sqlalchemy.ext.asyncio import AsyncSession

from bot import lists, messages
from bot.commands import asking
from core.signals import record, tally


async def latest(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """The newest open signals of the member and the newest results; the argument names a pair."""
    desk = visit.desk
    return await lists.latest(session, visit.identity.member_id, visit.argument, desk.catalogue, desk.now)


async def opened(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """The open signals of the member; the argument is a page."""
    desk, page = visit.desk, asking.number(visit.argument) or 1
    return await lists.opened(session, visit.identity.member_id, page, desk.catalogue, desk.now)


async def one(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """The signal with this number."""
    desk, number = visit.desk, asking.number(visit.argument)
    if number is None:
        return messages.lists.which_signal()
    return await lists.one(session, visit.identity.member_id, number, desk.catalogue, desk.now)


async def history(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """Closed signals; the argument is a pair, a page, or both."""
    head, _, tail = visit.argument.rpartition(" ")
    page = asking.number(tail)
    pair = visit.argument if page is None else head
    return await lists.history(session, pair.strip(), page or 1, visit.desk.catalogue)


async def results(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """Everything that closed, counted."""
    return messages.record.all_results(await tally.count(session), visit.desk.catalogue, _page(visit))


async def verify(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """What the record has about the signal with this number, the same for everybody."""
    number = asking.number(visit.argument)
    if number is None:
        return messages.record.which()
    noted = await record.about(session, number)
    if not noted:
        return messages.record.no_entries(number)
    return messages.record.entries_of(number, noted, await record.head(session), _page(visit))


def _page(visit: asking.Visit) -> str:
    return f"{visit.desk.settings.public_url}/record"
