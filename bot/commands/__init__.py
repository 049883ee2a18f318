"""What a person can ask, once for all platforms: who is answered, where, and with what.

Nothing here talks to a platform: an Ask comes in, Replies go out, and the caller puts them into the outbox in the same
transaction. In public nothing is answered but that the answer went to the private chat. To everybody but operators, and
to them in public, operators' commands do not exist; every try of one stands in the operators' record.
"""

import re

from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.commands import asking, table
from bot.commands.asking import Ask, Command, Desk, Option, Reply, Visit
from bot.commands.table import BY_NAME, COMMANDS, menu
from bot.messages import answers
from core import errors, members, models
from core.delivery import outbox

__all__ = [
    "BY_NAME",
    "COMMANDS",
    "LONGEST",
    "MOST_WAITING",
    "Ask",
    "Command",
    "Desk",
    "Option",
    "Reply",
    "Visit",
    "answer",
    "menu",
    "parsed",
]

MOST_WAITING = 10
"""Answers to one chat that may wait at once; whoever asks faster is answered when they are sent."""
LONGEST = 4096
_NOTED = 60
_COMMAND = re.compile(r"/([a-z0-9_]{1,32})(?:@(\w{1,64}))?(?:\s+(.*))?", re.IGNORECASE | re.DOTALL)


def parsed(line: str, username: str) -> tuple[str, str] | None:
    """The command in lower case and its argument; None for plain text, and an empty name when another bot is meant."""
    found = _COMMAND.fullmatch(line.strip()[:LONGEST])
    if not found:
        return None
    if found[2] and found[2].lower() != username.lower():
        return "", ""
    return found[1].lower(), (found[3] or "").strip()


async def answer(session: AsyncSession, ask: Ask, desk: Desk) -> list[Reply]:
    """The answers to what was asked, each for its chat; none when nobody asked us, or when too many still wait."""
    asked = parsed(ask.data or ask.text, desk.username)
    if asked and not asked[0]:
        return []
    command = _allowed(session, ask, asked, desk) if asked else None
    if not ask.private:
        return await _in_public(session, ask, command, asked[1], desk) if asked and command else []
    identity = await members.arrive(
        session,
        ask.platform,
        ask.external_id,
        address=ask.home,
        name=ask.name,
        username=ask.username,
        now=desk.now,
        reachable=ask.reachable,
    )
    where = ask.answer_at or ask.home
    if await outbox.waiting(session, ask.platform, where) >= MOST_WAITING:
        return []
    if asked is None:
        return [Reply(where, answers.hint())]
    if command is None:
        return [Reply(where, answers.unknown())]
    return [Reply(where, await _answered(session, command, Visit(identity, asked[1], desk, where)))]


def _allowed(session: AsyncSession, ask: Ask, asked: tuple[str, str], desk: Desk) -> Command | None:
    """The command, if it exists for whoever asks where they ask; tries of operators' commands are noted."""
    name, argument = asked
    command = BY_NAME.get(name)
    if command is None or not command.operator:
        return command
    allowed = ask.private and asking.operates(desk, ask.platform, ask.external_id)
    said = messages.text.shortened(argument, _NOTED)
    details = {"name": name, "argument": said, "allowed": allowed, "chat": ask.chat}
    actor = f"{ask.platform}:{ask.external_id}"
    session.add(models.Audit(at=desk.now, actor=actor, action="command", details=details))
    return command if allowed else None


async def _answered(session: AsyncSession, command: Command, visit: Visit) -> messages.Message:
    """The answer; what is refused is said, and what was noted on the way (a code tried in vain) stays."""
    try:
        return await command.answer(session, visit)
    except errors.RefusedError as refusal:
        return answers.refused(str(refusal))


async def _in_public(session: AsyncSession, ask: Ask, command: Command, argument: str, desk: Desk) -> list[Reply]:
    if await outbox.waiting(session, ask.platform, ask.chat) >= MOST_WAITING:
        return []
    identity = await members.find(session, ask.platform, ask.external_id)
    if identity is None or identity.blocked_at is not None:
        return [Reply(ask.chat, answers.come_privately(command.name if command.name in table.PAYLOADS else "hello"))]
    if await outbox.waiting(session, ask.platform, identity.address) >= MOST_WAITING:
        return []
    private = Reply(identity.address, await _answered(session, command, Visit(identity, argument, desk)))
    return [private, Reply(ask.chat, answers.sent_privately())]
