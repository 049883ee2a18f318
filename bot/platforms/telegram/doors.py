"""One attempt at a place's door: somebody is let in, turned away, or put out.

Each can be tried again at any time. Telegram puts people out by banning them, and a ban would lock out whoever pays
again, so ours are lifted at once, and they end by themselves should we never come to that.
"""

from datetime import datetime, timedelta
from typing import Any

from telegram import error as failures

from bot import platforms
from bot.platforms.telegram import api, hindrances, sending, updates
from core.delivery import outcomes

BAN = timedelta(minutes=5)
"""How long a ban of ours would last by itself. One under 30 seconds, by Telegram's clock, would last for ever."""

_NEEDED = {
    "approveChatJoinRequest": hindrances.INVITE,
    "declineChatJoinRequest": hindrances.INVITE,
    "getChatMember": hindrances.ADMINISTRATOR,
    "banChatMember": hindrances.BAN,
    "unbanChatMember": hindrances.BAN,
}
_IN_ALREADY, _NO_REQUEST = "user_already_participant", "hide_requester_missing"
_NOBODY = (
    "participant_id_invalid",
    "user_id_invalid",
    "invalid user_id specified",
    "user not found",
    "member not found",
    "user_not_participant",
    "user_deactivated",
)
_FULL = "channels_too_much"
_RANKED = ("user is an administrator", "can't remove chat owner", "user_admin_invalid", "can't restrict self")
_BASIC = "available for supergroup and channel chats only"
_DONE = outcomes.Sent("")


class BarredError(Exception):
    """We may not do that here; the text says what the place's owner must do."""


async def attempt(bot: api.Api, act: platforms.Act, *, now: datetime) -> outcomes.Outcome:
    """What became of the attempt."""
    doing = {"admit": _admit, "decline": _decline, "remove": _remove}.get(act.act)
    if doing is None:
        return outcomes.Refused(f"nothing on Telegram is called “{act.act}”")
    try:
        return await doing(bot, act, now)
    except BarredError as barred:
        return outcomes.Barred(str(barred))
    except failures.TelegramError as error:
        return _outcome(error, act)
    except (KeyError, TypeError, ValueError, AttributeError):
        return outcomes.Ambiguous("Telegram's answer has not the documented shape")


async def _admit(bot: api.Api, act: platforms.Act, _now: datetime) -> outcomes.Outcome:
    try:
        await _ask(bot, act, "approveChatJoinRequest")
    except failures.BadRequest as error:
        if _says(error, _NO_REQUEST):
            # Taken back, or granted at an attempt of which we never heard the end.
            inside, _ = updates.standing(await _member(bot, act))
            return _DONE if inside else outcomes.Blocked("the request to join was taken back")
        if _says(error, *_NOBODY, _FULL):
            return outcomes.Blocked(f"they cannot be let in: {error.message}")
        if not _says(error, _IN_ALREADY):
            raise
    return _DONE


async def _decline(bot: api.Api, act: platforms.Act, now: datetime) -> outcomes.Outcome:
    """When there is no request any more, an administrator may have granted it; then they have to leave again."""
    try:
        await _ask(bot, act, "declineChatJoinRequest")
    except failures.BadRequest as error:
        if _says(error, _IN_ALREADY, _NO_REQUEST):
            return await _remove(bot, act, now)
        if not _says(error, *_NOBODY):
            raise
    return _DONE


async def _remove(bot: api.Api, act: platforms.Act, now: datetime) -> outcomes.Outcome:
    """They are outside and can ask to come in again; owners, administrators and bots are left where they are."""
    member = await _member(bot, act)
    inside, kept = updates.standing(member)
    if kept:
        return outcomes.Kept("an owner, an administrator or a bot")
    if inside:
        return await _put_out(bot, act, now)
    # Banned by us at an attempt that broke off; or by an administrator, whose ban stays.
    return await _lift(bot, act) if _ours(member, now) else _DONE


async def _put_out(bot: api.Api, act: platforms.Act, now: datetime) -> outcomes.Outcome:
    """A good end is reported only when the ban is lifted too; until then the act is tried again."""
    try:
        await _ask(bot, act, "banChatMember", until_date=int((now + BAN).timestamp()))
    except failures.BadRequest as error:
        if _says(error, *_RANKED):
            return outcomes.Kept(f"an owner or administrator: {error.message}")
        if not _says(error, *_NOBODY):
            raise
        return _DONE
    try:
        return await _lift(bot, act)
    except BarredError as barred:  # the next attempt finds the ban; if this right is gone for good, it will say so
        return outcomes.NotSent(f"out, but still banned: {barred}")
    except failures.TelegramError as error:
        outcome = _outcome(error, act)
        again = isinstance(outcome, outcomes.NotSent | outcomes.Ambiguous)
        return outcome if again else outcomes.NotSent(f"out, but still banned: {error.message}")


async def _lift(bot: api.Api, act: platforms.Act) -> outcomes.Outcome:
    try:
        await _ask(bot, act, "unbanChatMember", only_if_banned=True)
    except failures.BadRequest as error:
        # Basic groups keep no list of the banned: whoever was put out can come back by the next link.
        if not _says(error, _BASIC, *_NOBODY):
            raise
    return _DONE


async def _member(bot: api.Api, act: platforms.Act) -> dict[str, Any]:
    """The person's ChatMember; somebody of whom Telegram knows nothing there is outside."""
    try:
        member: dict[str, Any] = await _ask(bot, act, "getChatMember")
    except failures.BadRequest as error:
        if _says(error, *_NOBODY):
            return {"status": "left", "user": {"is_bot": False}}
        raise
    return member


def _ours(member: dict[str, Any], now: datetime) -> bool:
    """Whether this is a ban with an end so near that it must be one of ours; people ban for days or for ever."""
    until = int(member.get("until_date") or 0)
    return member["status"] == "kicked" and 0 < until <= (now + 2 * BAN).timestamp()


async def _ask(bot: api.Api, act: platforms.Act, method: str, **more: Any) -> Any:
    """What Telegram answers; raises BarredError when the place's owner has to do something first."""
    try:
        return await bot.call(method, {"chat_id": int(act.space), "user_id": int(act.user), **more})
    except failures.TelegramError as error:
        if hindrance := hindrances.of(error, _NEEDED[method], act.space):
            raise BarredError(hindrance) from None
        raise


def nobody(error: Exception) -> bool:
    """Whether Telegram says that it knows of no such person in the chat."""
    return isinstance(error, failures.BadRequest) and _says(error, *_NOBODY)


def _says(error: failures.TelegramError, *words: str) -> bool:
    said = error.message.lower()
    return any(one in said for one in words)


def _outcome(error: failures.TelegramError, act: platforms.Act) -> outcomes.Outcome:
    outcome = sending.outcome(error, act.space)
    if isinstance(outcome, outcomes.NotSent) and outcome.pause:
        # A door is no chat: whom the flood is about nobody can tell, so everybody waits.
        return outcomes.NotSent(outcome.reason, outcome.after, "all")
    return outcome
