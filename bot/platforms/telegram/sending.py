"""One attempt to send, and what became of it; the outcome table of the docs in code."""

from datetime import timedelta
from typing import Any

import telegram
from telegram import error as failures

from bot import messages
from bot.platforms import Parcel
from bot.platforms.telegram import api, hindrances, rendering, wire
from core import log
from core.delivery import outcomes

_FLOOD = "Too Many Requests"
_FLOOD_PAUSE = 3.0  # seconds, when Telegram does not say how long


def group(address: str) -> bool:
    """Groups, supergroups and channels have negative ids."""
    return address.startswith("-")


async def send(
    bot: api.Api, parcel: Parcel, username: str, ways: rendering.Ways = rendering.NO_WAYS
) -> outcomes.Outcome:
    """What became of the attempt; an expired file_id costs a second request, which uploads the picture."""
    if parcel.place and parcel.protect and (hindered := await _exposed(bot, parcel)):
        return hindered
    try:
        return await _send(bot, parcel, username, ways, parcel.file_id)
    except failures.BadRequest as error:
        # The id belongs to another bot, or Telegram has forgotten it. Nothing was sent yet.
        if not (parcel.file_id and parcel.picture and "file identifier" in error.message):
            return outcome(error, parcel.address, parcel.place)
    except failures.TelegramError as error:
        return outcome(error, parcel.address, parcel.place)
    try:
        return await _send(bot, parcel, username, ways, None)
    except failures.TelegramError as error:
        return outcome(error, parcel.address, parcel.place)


async def _exposed(bot: api.Api, parcel: Parcel) -> outcomes.Outcome | None:
    """What keeps a signal out of this place: everybody could read it there, or nobody can say whether they could.

    That a chat was made public is told to no bot, so it is asked before each post; there are few of them.
    """
    try:
        public = hindrances.public(await bot.call("getChat", {"chat_id": int(parcel.address)}))
    except failures.TelegramError as error:
        met = outcome(error, parcel.address, parcel.place)
        return outcomes.NotSent(met.reason) if isinstance(met, outcomes.Ambiguous) else met
    except (AttributeError, TypeError):
        return outcomes.NotSent("Telegram does not say whether the place is public")
    return outcomes.Barred(public) if public else None


async def _send(
    bot: api.Api, parcel: Parcel, username: str, ways: rendering.Ways, file_id: str | None
) -> outcomes.Outcome:
    method, parameters = request(parcel, username, file_id, ways)
    result = await bot.call(method, parameters)
    try:
        sizes = result.get("photo")
        return outcomes.Sent(str(result["message_id"]), sizes[-1]["file_id"] if sizes else None)
    except (AttributeError, KeyError, TypeError, IndexError):
        return outcomes.Ambiguous("Telegram answered without a message")


def request(
    parcel: Parcel, username: str, file_id: str | None, ways: rendering.Ways = rendering.NO_WAYS
) -> tuple[str, dict[str, Any]]:
    """The method and its parameters for this parcel."""
    parameters: dict[str, Any] = {"chat_id": int(parcel.address)}
    if parcel.protect or parcel.message.paid:
        parameters["protect_content"] = True
    if parcel.reply_to:
        # A member may have deleted the message we answer; the answer must arrive all the same.
        answered = {"message_id": int(parcel.reply_to), "allow_sending_without_reply": True}
        parameters["reply_parameters"] = answered
    if parcel.plain:
        words = messages.text.shortened(rendering.bare(parcel.message, username, ways), rendering.TEXT)
        return "sendMessage", {**parameters, "text": words, "link_preview_options": {"is_disabled": True}}
    markup = rendering.keyboard(parcel.message, username, ways, shared=group(parcel.address))
    if markup:
        parameters["reply_markup"] = markup
    parameters["parse_mode"] = "HTML"
    picture = file_id or (telegram.InputFile(parcel.picture, "chart.png") if parcel.picture else None)
    words, length = rendering.formatted(parcel.message)
    if picture and length <= rendering.CAPTION:
        return "sendPhoto", {**parameters, "photo": picture, "caption": words}
    if length > rendering.TEXT:
        words = rendering.html(messages.split(parcel.message, rendering.TEXT)[0])
    return "sendMessage", {**parameters, "text": words, "link_preview_options": {"is_disabled": True}}


def outcome(  # noqa: PLR0911 - one table
    error: failures.TelegramError, address: str, place: str = ""
) -> outcomes.Outcome:
    """What the library's error means for the message; in one of our places there is no person who refuses it."""
    reason = log.redacted(f"{type(error).__name__}: {error.message}")[:300]
    pause = "chat" if group(address) else "all"
    if place and (hindrance := hindrances.of(error, hindrances.POST, address)):
        return outcomes.Barred(hindrance)
    match error:
        case failures.RetryAfter():
            return outcomes.NotSent(reason, after=retry_after(error), pause=pause)
        case failures.ChatMigrated():
            return outcomes.Moved(str(error.new_chat_id))
        case failures.Forbidden():
            return outcomes.Blocked(reason)
        case failures.InvalidToken() | failures.EndPointNotFound():
            return outcomes.Fatal(reason)
        case failures.BadRequest():
            return outcomes.Refused(reason)
        case failures.Conflict():
            return outcomes.NotSent(reason)
        case failures.NetworkError() if isinstance(error.__cause__, wire.NotConnectedError):
            return outcomes.NotSent(reason)
        case failures.NetworkError() if _FLOOD.lower() in error.message.lower():
            return outcomes.NotSent(reason, after=_FLOOD_PAUSE, pause=pause)
        case _:
            return outcomes.Ambiguous(reason)


def retry_after(error: failures.RetryAfter) -> float:
    """The seconds that Telegram asks us to wait."""
    wait = error.retry_after
    return wait.total_seconds() if isinstance(wait, timedelta) else float(wait)
