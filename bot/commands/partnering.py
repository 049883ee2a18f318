"""Codes of the operator's partners: making and ending them, who came with them, and arriving with one."""

from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.commands import asking
from bot.messages import partners as words
from core import errors, models
from core.billing import partners

START = partners.START
_DISCOUNT = "discount"


async def codes(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """The partners with who came; `add CODE NAME [discount PROMO]` makes one, `end CODE` ends one."""
    act, _, rest = visit.argument.partition(" ")
    if act.lower() == "add":
        return await _add(session, visit, rest)
    if act.lower() == "end":
        partner = await partners.end(session, rest, now=visit.desk.now)
        _noted(session, visit, "partner_ended", partner)
        return words.ended(partner)
    return words.listed(await partners.numbers(session))


async def _add(session: AsyncSession, visit: asking.Visit, said: str) -> messages.Message:
    code, *name = said.split() or [""]
    promotion = ""
    if len(name) > 2 and name[-2].lower() == _DISCOUNT:
        *name, _, promotion = name
    partner = await partners.add(session, code, " ".join(name), promotion, by=visit.actor, now=visit.desk.now)
    _noted(session, visit, "partner_added", partner)
    return words.added(partner, visit.desk.username if visit.identity.platform == "telegram" else "")


def _noted(session: AsyncSession, visit: asking.Visit, action: str, partner: models.Partner) -> None:
    details = {"code": partner.code, "name": partner.name}
    session.add(models.Audit(at=visit.desk.now, actor=visit.actor, action=action, details=details))


async def arrive(session: AsyncSession, visit: asking.Visit, code: str, welcome: messages.Message) -> messages.Message:
    """Whoever follows a partner's link is counted for them, once; who is a member already is just welcome."""
    try:
        partner = await partners.bring(session, visit.identity.member_id, code)
    except errors.RefusedError as error:
        return words.not_known(welcome) if str(error) == partners.UNKNOWN else welcome
    return words.welcome(partner.name, welcome)
