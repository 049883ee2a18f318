"""Looking at a place: what hinders us there, and who of those we know is inside. Telegram does not list members."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from telegram import error as failures

from bot.platforms.telegram import api, doors, hindrances, updates
from core import errors, rounds

_AT_ONCE = 4  # people who are asked about at the same time


async def inspect(bot: api.Api, space: str) -> list[str]:
    """What hinders us in the chat, a sentence each; raises ChatMigrated, or UnreachableError for want of an answer."""
    try:
        chat = await bot.call("getChat", {"chat_id": int(space)})
        me = await bot.call("getChatMember", {"chat_id": int(space), "user_id": bot.id})
        found = [hindrances.public(chat), *_lacking(me, channel=chat["type"] == "channel")]
        return [sentence for sentence in found if sentence]
    except failures.TelegramError as error:
        return [_hindrance(error, space)]
    except (KeyError, TypeError, AttributeError) as error:
        raise errors.UnreachableError("Telegram's answer about a chat has not the documented shape.") from error


async def posting(bot: api.Api, space: str) -> list[str]:
    """What hinders us from posting in the chat, a sentence each; raises UnreachableError for want of an answer."""
    try:
        chat = await bot.call("getChat", {"chat_id": int(space)})
        me = await bot.call("getChatMember", {"chat_id": int(space), "user_id": bot.id})
        return [] if _may_post(chat, me) else [hindrances.NO_POSTS]
    except failures.ChatMigrated as error:
        return [hindrances.moved(str(error.new_chat_id))]
    except failures.TelegramError as error:
        return [hindrances.unseen(space)] if _hindrance(error, space) else []
    except (KeyError, TypeError, AttributeError) as error:
        raise errors.UnreachableError("Telegram's answer about a chat has not the documented shape.") from error


def _may_post(chat: dict[str, Any], me: dict[str, Any]) -> bool:
    inside, _ = updates.standing(me)
    if chat["type"] == "channel":
        return me["status"] == "creator" or bool(me.get("can_post_messages"))
    if me["status"] in updates.KEPT:
        return True
    allowed = me if me["status"] == "restricted" else chat.get("permissions") or {}
    return inside and bool(allowed.get("can_send_messages", True))


def _hindrance(error: failures.TelegramError, space: str) -> str:
    """The sentence for this refusal; raises ChatMigrated and what is no refusal of the chat."""
    if isinstance(error, failures.ChatMigrated):
        raise error
    if said := hindrances.of(error, hindrances.ADMINISTRATOR, space):
        return said
    raise errors.UnreachableError(f"Telegram does not say how a chat is: {type(error).__name__}.") from None


def _lacking(me: dict[str, Any], *, channel: bool) -> list[str]:
    inside, _ = updates.standing(me)
    if not inside:
        return [hindrances.ABSENT]
    if me["status"] not in updates.KEPT:
        return [hindrances.PLAIN]
    wanted = {"can_invite_users": hindrances.INVITE, "can_restrict_members": hindrances.BAN}
    if channel:
        wanted["can_post_messages"] = hindrances.POST
    missing = [words for name, words in wanted.items() if not me.get(name)]
    return [hindrances.lacking(missing)] if missing else []


@dataclass(slots=True)
class _Answers:
    """What Telegram has said so far; `stopped` when it wants us to ask no more for now, or does not answer."""

    inside: dict[str, bool] = field(default_factory=dict)
    outside: set[str] = field(default_factory=set)
    requests: int = 0
    stopped: bool = False
    failure: Exception | None = None


async def roster(bot: api.Api, space: str, known: Sequence[str], *, at: datetime) -> rounds.Roster:
    """Who of the `known` is inside, and every administrator, as of `at`; raises as `inspect`.

    When Telegram tells us to wait, what was learnt until then is the answer.
    """
    found = _Answers(requests=2)
    try:
        administrators = await bot.call("getChatAdministrators", {"chat_id": int(space)})
        count = int(await bot.call("getChatMemberCount", {"chat_id": int(space)})) - 1  # we are one of them
        people = {str(one["user"]["id"]) for one in administrators} - {str(bot.id)}
        found.inside = dict.fromkeys(sorted(people), True)
        rest = iter([who for who in dict.fromkeys(known) if who not in people])
        await asyncio.gather(*(_ask_about(bot, space, rest, found) for _ in range(_AT_ONCE)))
    except failures.TelegramError as error:
        found.failure = error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise errors.UnreachableError("Telegram's answer about members has not the documented shape.") from error
    if isinstance(found.failure, failures.ChatMigrated):
        raise found.failure
    if found.failure is not None:
        raise errors.UnreachableError(f"Telegram does not say who is in a chat: {type(found.failure).__name__}.")
    return rounds.Roster(
        at=at, inside=found.inside, outside=frozenset(found.outside), count=count, requests=found.requests
    )


async def _ask_about(bot: api.Api, space: str, people: Iterator[str], found: _Answers) -> None:
    """These people, one after the other; whoever takes the next one from the same iterator shares the work."""
    for user in people:
        if found.stopped:
            return
        found.requests += 1
        try:
            member = await bot.call("getChatMember", {"chat_id": int(space), "user_id": int(user)})
            inside, kept = updates.standing(member)
        except failures.RetryAfter:
            found.stopped = True
            return
        except (failures.TelegramError, KeyError, TypeError) as error:
            if not doors.nobody(error):
                found.stopped, found.failure = True, error
                return
            inside, kept = False, False
        if inside:
            found.inside[user] = kept
        else:
            found.outside.add(user)
