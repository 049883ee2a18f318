"""Commands for members' own tools: the keys of the API."""

from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.commands import asking
from core import keys, rights

CHOICES = ("new", "revoke")


async def apikey(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """The member's keys; "new NAME" makes one and shows it once, "revoke PREFIX" ends one.

    With "read" as its last word, "new NAME read" makes one that may only look.
    """
    desk, member_id = visit.desk, visit.identity.member_id
    act, _, rest = visit.argument.partition(" ")
    said = ""
    if act.lower() == "revoke":
        gone = await keys.revoke(session, member_id, rest.strip(), now=desk.now)
        said = messages.tools.REVOKED if gone else messages.tools.NO_SUCH_KEY
    elif not await rights.plans_of(session, member_id, now=desk.now):
        return messages.tools.not_paying(await keys.held(session, member_id))
    elif act.lower() == "new":
        name, scopes = _wished(rest)
        key = await keys.make(session, member_id, name, now=desk.now, scopes=scopes)
        return messages.tools.made(key, desk.settings.public_url, scopes)
    return messages.tools.listed(await keys.held(session, member_id), desk.settings.public_url, said=said)


def _wished(said: str) -> tuple[str, tuple[str, ...]]:
    """The name of a new key, and what it may do."""
    words = said.split()
    if words and words[-1].lower() == keys.READ:
        return " ".join(words[:-1]), (keys.READ,)
    return said, keys.SCOPES
