"""Operators' commands that everybody notices: pausing signals, and a message to all members."""

from datetime import timedelta

from sqlalchemy import func, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.commands import asking
from bot.messages import operators, text
from core import access, models, places, switches
from core.delivery import fanout, outbox

LONGEST = 1500
_DRAFT_LIFE = timedelta(hours=1)
_DRAFT, _SENT = "broadcast_drafted", "broadcast_sent"


async def pause(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """No new signals are published; the argument, a reason, stands in the operators' record."""
    now = visit.desk.now
    anew = await switches.turn_on(session, switches.PAUSED, by=visit.actor, now=now)
    row = await switches.turned_on(session, switches.PAUSED)
    _note(session, visit, "signals_paused", {"reason": visit.argument[:200], "anew": anew})
    return operators.paused(row.at if row else now, anew=anew)


async def resume(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """New signals are published again."""
    anew = await switches.turn_off(session, switches.PAUSED)
    _note(session, visit, "signals_resumed", {"anew": anew})
    return operators.resumed(anew=anew)


def _note(session: AsyncSession, visit: asking.Visit, action: str, details: dict[str, object]) -> models.Audit:
    row = models.Audit(at=visit.desk.now, actor=visit.actor, action=action, details=details)
    session.add(row)
    return row


async def broadcast(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """TEXT: asks first, with the number of those who get it; a yes to the draft's number sends it."""
    first, _, rest = visit.argument.partition(" ")
    draft = asking.number(rest)
    if first.lower() == "yes" and draft is not None:
        return await _send(session, visit, draft)
    if not visit.argument:
        return operators.usage("broadcast")
    if text.units(visit.argument) > LONGEST:
        return operators.broadcast_too_long(LONGEST)
    row = _note(session, visit, _DRAFT, {"words": visit.argument})
    await session.flush()
    posts = [place.name for place in await _posts(session)]
    return operators.broadcast_asked(row.id, visit.argument, await _chats(session, visit), posts)


async def _chats(session: AsyncSession, visit: asking.Visit) -> int:
    """How many private chats a message to everybody reaches now."""
    holders = [await access.holders(session, plan, now=visit.desk.now) for plan in visit.desk.catalogue.plans]
    if not holders:
        return 0
    chats = union(*(chosen.with_only_columns(models.Identity.id) for chosen in holders)).subquery()
    return await session.scalar(select(func.count()).select_from(chats)) or 0


async def _posts(session: AsyncSession) -> list[models.Place]:
    """The places where it is posted: those who are inside are left out in private."""
    return [place for place in await places.active(session) if place.channel]


async def _send(session: AsyncSession, visit: asking.Visit, number: int) -> messages.Message:
    """Each draft is sent once, by whoever wrote it; its notices are unique under its number whatever happens."""
    draft = await session.get(models.Audit, number, with_for_update=True)
    now = visit.desk.now
    if draft is None or (draft.actor, draft.action) != (visit.actor, _DRAFT) or draft.at + _DRAFT_LIFE <= now:
        return operators.broadcast_gone()
    facts, key = {"words": draft.details["words"]}, f"broadcast:{number}"
    chats = 0
    for plan in visit.desk.catalogue.plans:
        who = await access.holders(session, plan, now=now)
        chats += await fanout.announce(session, who, "broadcast", facts, key=key, now=now)
    posts = await _posts(session)
    for place in posts:
        where = (place.platform, place.channel, place.key)
        await outbox.post_notice(session, where, "broadcast", facts, key=f"{key}:place", now=now)
    draft.action = _SENT
    _note(session, visit, "broadcast", {"draft": number, "chats": chats, "places": len(posts)})
    return operators.broadcast_sent(chats, len(posts))
