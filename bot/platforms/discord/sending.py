"""One attempt to send, and what became of it; the outcome table of the docs in code.

An address is a channel's number, `@` and a person's number (their private chat), or `!` and the token of what they
asked (the answer only they see, which is edited and so can be given again at any time).
"""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import orjson

from bot.platforms import Parcel
from bot.platforms.discord import api, components, found, hindrances, private, rendering, wire
from core import log
from core.delivery import outcomes

Json = dict[str, Any]
Spaces = Callable[[], Awaitable["Whereabouts"]]

ANSWER = "/webhooks/{webhook_id}/{webhook_token}/messages/@original"
MESSAGES = "/channels/{channel_id}/messages"
ANSWER_AT, PERSON = "!", "@"

_NO_PREVIEWS = 1 << 2
_UNSEEN = frozenset({50027})
_NO_PRIVATE_CHAT = frozenset({10013, 50007, 50033, 50278})
_NOT_PRIVATE = _NO_PRIVATE_CHAT | {40003}
"""Refusals of a private chat, whatever their status; the last is that we open too many of them."""
_UNKNOWN_CHANNEL, _MISSING_ACCESS, _MISSING_RIGHTS, _NO_HISTORY = 10003, 50001, 50013, 160002


class Whereabouts:
    """Where the gated places are: the server of each channel, and addresses that lead there, by the places' keys."""

    def __init__(self, places: dict[str, tuple[str, str]]) -> None:
        self.spaces = {channel: space for space, channel in places.values() if channel}
        self.links = {
            key: f"https://discord.com/channels/{space}/{channel}"
            for key, (space, channel) in places.items()
            if channel
        }


class Sender:
    """Sends for one bot; `now` is the product's clock, `whereabouts` is asked for when it is needed."""

    def __init__(
        self,
        connection: api.Api,
        chats: private.PrivateChats,
        whereabouts: Spaces,
        now: Callable[[], datetime],
        *,
        seconds: float,
    ) -> None:
        self._api, self._chats, self._whereabouts, self._now = connection, chats, whereabouts, now
        self._seconds = seconds

    async def send(self, parcel: Parcel) -> outcomes.Outcome:
        """What became of the attempt."""
        until = time.monotonic() + self._seconds
        try:
            if parcel.address.startswith(ANSWER_AT):
                return await self._answer(parcel)
            return await self._post(parcel, until)
        except wire.NotBegunError as error:
            return outcomes.NotSent(_said(error), error.after, error.pause)
        except wire.UnclearError as error:
            return outcomes.Ambiguous(_said(error), harmless=True)
        except wire.RefusalError as error:
            return await self._refused(error, parcel)
        except (AttributeError, KeyError, TypeError) as error:
            return outcomes.Ambiguous(f"Discord's answer has not the documented shape ({error})", harmless=True)

    async def _answer(self, parcel: Parcel) -> outcomes.Outcome:
        body = await self._body(parcel, answer=True)
        token = parcel.address.removeprefix(ANSWER_AT)
        ids = {"webhook_id": self._api.application, "webhook_token": token}
        carried = _carried(body, parcel)
        return _sent(await self._api.call("PATCH", ANSWER, ids, free=True, seconds=self._seconds, **carried))

    async def _post(self, parcel: Parcel, until: float) -> outcomes.Outcome:
        person = parcel.address.startswith(PERSON)
        channel = parcel.address
        if person:
            self._chats.check()
            channel = await self._chats.channel(parcel.address.removeprefix(PERSON), self._seconds)
        body = await self._body(parcel)
        if parcel.since is not None and self._now() - parcel.since > found.WINDOW:
            try:
                known = await found.message(self._api, channel, body, parcel.since, private=person)
            except found.UnreadableError:
                return outcomes.Ambiguous("it may lie in the channel, whose history we may not read")
            if known is not None:
                return outcomes.Sent(known)
        if person:
            self._chats.counted()
        here, seconds = {"channel_id": channel}, max(0.1, until - time.monotonic())
        try:
            made = await self._api.call("POST", MESSAGES, here, seconds=seconds, **_carried(body, parcel))
        except wire.RefusalError as error:
            if error.code != _NO_HISTORY:
                raise
            # Whoever may not read the history may not answer in it; as a message of its own it is as true.
            del body["message_reference"]
            made = await self._api.call("POST", MESSAGES, here, seconds=seconds, **_carried(body, parcel))
        return _sent(made)

    async def _body(self, parcel: Parcel, *, answer: bool = False) -> Json:
        body: Json = {"allowed_mentions": rendering.mentions()}
        if not answer and parcel.nonce:
            body |= {"nonce": parcel.nonce, "enforce_nonce": True}
        if not answer and parcel.reply_to:
            # The opening may have been deleted; what became of it is told all the same.
            body["message_reference"] = {"message_id": parcel.reply_to, "fail_if_not_exists": False}
        if parcel.plain:
            instead: Json = {"embeds": [], "components": []} if answer else {"flags": _NO_PREVIEWS}
            return body | {"content": rendering.bare(parcel.message)} | instead
        if _pictured(parcel):
            words = parcel.message.plain.partition("\n")[0][:200]
            body["attachments"] = [{"id": 0, "filename": rendering.PICTURE, "description": words}]
        body["embeds"] = rendering.embeds(parcel.message, picture=_pictured(parcel))
        if any(button.place for row in parcel.message.buttons for button in row):
            links = (await self._whereabouts()).links
        else:
            links = {}
        if (made := components.of(parcel.message, links)) or answer:
            body["components"] = made
        return body

    async def _refused(self, error: wire.RefusalError, parcel: Parcel) -> outcomes.Outcome:
        """What it means that Discord will not take the message."""
        reason = _said(error)
        if error.status == 401 and error.code not in _UNSEEN:
            return outcomes.Fatal(reason)
        if parcel.address.startswith(ANSWER_AT) and error.status in {401, 403, 404}:
            return outcomes.Gone(reason)
        if parcel.address.startswith(PERSON) and (error.status in {403, 404} or error.code in _NOT_PRIVATE):
            return self._not_private(error, parcel.address.removeprefix(PERSON))
        if error.status in {400, 405, 409, 413}:
            return outcomes.Refused(reason)
        return outcomes.Barred(await self._barred(error, parcel))

    def _not_private(self, error: wire.RefusalError, user: str) -> outcomes.Outcome:
        if error.code in _NO_PRIVATE_CHAT:
            return outcomes.Blocked(_said(error))
        if error.code == _UNKNOWN_CHANNEL:
            self._chats.forget(user)
            return outcomes.NotSent(_said(error))
        # Nobody in particular refuses: Discord thinks that we write to too many people.
        self._chats.hold()
        return outcomes.NotSent(_said(error), after=private.HELD)

    async def _barred(self, error: wire.RefusalError, parcel: Parcel) -> str:
        """Why we may not post there, in words for the server's owner."""
        if error.code == _UNKNOWN_CHANNEL:
            return hindrances.CHANNEL_GONE
        space = (await self._whereabouts()).spaces.get(parcel.address, "")
        if space and (words := await hindrances.in_post(self._api, space, parcel.address)):
            return words
        if error.code == _MISSING_ACCESS:
            return f"Our bot cannot see the channel {parcel.address}: add it there and allow “View Channel”."
        if error.code == _MISSING_RIGHTS:
            return hindrances.lacks(parcel.address, ["Send Messages", "Embed Links", "Attach Files"])
        return f"Discord refuses posts in the channel {parcel.address} ({_said(error)})."


def _pictured(parcel: Parcel) -> bool:
    return parcel.picture is not None and not parcel.plain


def _carried(body: Json, parcel: Parcel) -> Json:
    """The body as the request carries it: as JSON, or as a form together with the picture."""
    if not _pictured(parcel):
        return {"json": body}
    picture = {"name": "files[0]", "value": parcel.picture, "filename": rendering.PICTURE, "content_type": "image/png"}
    words = {"name": "payload_json", "value": orjson.dumps(body).decode(), "content_type": "application/json"}
    return {"form": [words, picture]}


def _sent(made: Any) -> outcomes.Outcome:
    try:
        return outcomes.Sent(str(made["id"]))
    except (KeyError, TypeError):
        return outcomes.Ambiguous("Discord answered without a message", harmless=True)


def _said(error: wire.DiscordError) -> str:
    return log.redacted(f"Discord: {error}")[:300]
