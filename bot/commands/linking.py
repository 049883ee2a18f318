"""Commands about accounts that share one membership."""

from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.commands import asking
from bot.messages import linked
from core import linking, members, models
from core.delivery import outbox


async def link(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """A code; with a code as argument the question to both sides; with yes or no and its number this side's answer."""
    first, _, rest = visit.argument.partition(" ")
    request = asking.number(rest)
    if first.lower() in {"yes", "no"} and request is not None:
        return await _answer(session, visit, request, yes=first.lower() == "yes")
    return await _use(session, visit) if first else await _offer(session, visit)


async def _offer(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    who, now = visit.identity, visit.desk.now
    waiting = await linking.waiting(session, who, now=now)
    asked = linked.question(linked.facts(waiting, who)) if waiting else None
    return linked.offered(await linking.offer(session, who, now=now), now + linking.CODE_LIFE, asked)


async def _use(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """Both sides are asked: this one in the answer, the other one unasked."""
    who = visit.identity
    pair = await linking.use(session, who, visit.argument, now=visit.desk.now)
    await _tell(session, visit, pair, "link_asked")
    return linked.question(linked.facts(pair, who))


async def _tell(session: AsyncSession, visit: asking.Visit, pair: linking.Pair, name: str) -> None:
    """The other side of the pair has this notice."""
    other, key = pair.other(visit.identity), f"{name}:{pair.request.id}"
    facts = linked.facts(pair, other)
    await outbox.tell(session, other.member_id, name, facts, key=key, now=visit.desk.now, only=other.id)


async def _answer(session: AsyncSession, visit: asking.Visit, request: int, *, yes: bool) -> messages.Message:
    who, desk = visit.identity, visit.desk
    pair, outcome = await linking.answer(session, who, request, desk.catalogue, yes=yes, now=desk.now)
    if outcome == "waiting":
        return linked.waiting(linked.facts(pair, who))
    await _tell(session, visit, pair, "accounts_linked" if outcome == "linked" else "link_refused")
    return linked.linked(linked.facts(pair, who)) if outcome == "linked" else linked.not_linked()


async def unlink(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """The accounts of the membership; with one of them as argument the question, and after a yes it is out."""
    who, desk = visit.identity, visit.desk
    first, _, sure = visit.argument.partition(" ")
    leaving = await _account(session, who, first)
    if leaving is None:
        return linked.accounts(await members.identities(session, who.member_id), who)
    if sure.strip().lower() != "yes":
        return linked.unlink_asked(leaving, who)
    await linking.unlink(session, who, leaving.id, desk.catalogue, now=desk.now)
    return linked.unlinked(leaving, who)


async def _account(session: AsyncSession, who: models.Identity, said: str) -> models.Identity | None:
    """The account of this membership that is meant, if it is not the only one."""
    mine = await members.identities(session, who.member_id)
    number = asking.number(said)
    return next((one for one in mine if one.id == number), None) if len(mine) > 1 else None
