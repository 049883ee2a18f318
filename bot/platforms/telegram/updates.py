"""What a Telegram update means for us: somebody asked something, closed or reopened their chat, or nothing.

Who counts is the person in `from`, never the chat. Edits, channel posts, forwarded messages, media, bots, and people
who speak as a channel or an anonymous group are not heard.
"""

from dataclasses import dataclass
from typing import Any

from bot import commands, messages

Json = dict[str, Any]

KINDS = ["message", "callback_query", "my_chat_member", "chat_member", "chat_join_request"]
"""What we ask Telegram for. `chat_member` is sent to those only who ask for it by name."""
PLATFORM = "telegram"


class MalformedError(Exception):
    """The update does not have the shape that Telegram documents."""


@dataclass(frozen=True, slots=True)
class Press:
    """A button press that waits to be acknowledged, and what it asks."""

    query_id: str
    ask: commands.Ask | None


@dataclass(frozen=True, slots=True)
class Left:
    """The person has stopped the bot."""

    address: str


@dataclass(frozen=True, slots=True)
class Returned:
    """The person takes messages again."""

    address: str


Heard = commands.Ask | Press | Left | Returned


def read(update: Any) -> Heard | None:
    """What the update says to us; None when it says nothing. Raises MalformedError for what is no update."""
    try:
        if "message" in update:
            return _said(update["message"])
        if "callback_query" in update:
            return _pressed(update["callback_query"])
        if "my_chat_member" in update:
            return _changed(update["my_chat_member"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedError(type(error).__name__) from error
    return None


def _said(message: Json) -> commands.Ask | None:
    spoken = isinstance(message.get("text"), str) and message["text"].strip()
    if not spoken or "sender_chat" in message or "forward_origin" in message or "via_bot" in message:
        return None
    return _ask(message["from"], message["chat"], text=message["text"]) if "from" in message else None


def _pressed(query: Json) -> Press:
    chat = query.get("message", {}).get("chat")
    data = query.get("data")
    ask = _ask(query["from"], chat, text="", data=data) if chat and isinstance(data, str) and data.strip() else None
    return Press(str(query["id"]), ask)


def _ask(person: Json, chat: Json, *, text: str, data: str = "") -> commands.Ask | None:
    if person["is_bot"] or chat["type"] not in {"private", "group", "supergroup"}:
        return None
    home = str(int(person["id"]))
    private = chat["type"] == "private"
    name = " ".join(part for part in (str(person["first_name"]), str(person.get("last_name") or "")) if part)
    username = person.get("username")
    return commands.Ask(
        platform=PLATFORM,
        external_id=home,
        chat=home if private else str(int(chat["id"])),
        home=home,
        private=private,
        name=messages.text.clean(name).strip(),
        username=messages.text.clean(str(username)) if username else None,
        text=messages.text.clean(text)[: commands.LONGEST],
        data=messages.text.clean(data),
    )


def _changed(change: Json) -> Left | Returned | None:
    if change["chat"]["type"] != "private":
        return None
    address = str(int(change["chat"]["id"]))
    return Left(address) if change["new_chat_member"]["status"] in {"kicked", "left"} else Returned(address)
