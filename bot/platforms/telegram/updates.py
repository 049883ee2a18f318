"""What a Telegram update means for us: somebody asked something, came or went, wants to come in, or nothing.

Who counts is the person in `from`, never the chat. Edits, channel posts, forwarded messages, media, bots, and people
who speak as a channel or an anonymous group are not heard.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot import commands, messages

Json = dict[str, Any]

KINDS = ["message", "callback_query", "my_chat_member", "chat_member", "chat_join_request", "pre_checkout_query"]
"""What Telegram must send us. `chat_member` is sent to those only who ask for it by name."""
ASKED = [*KINDS, "subscription"]
"""What we ask Telegram for; servers that do not know all of it yet leave the rest out."""
PLATFORM = "telegram"
KEPT = frozenset({"creator", "administrator"})


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


@dataclass(frozen=True, slots=True)
class Knock:
    """Somebody asks to be let into the chat `space`; `chat` is where they can be told why not, `at` epoch seconds."""

    space: str
    user: str
    chat: str
    at: int


@dataclass(frozen=True, slots=True)
class Change:
    """Somebody's standing in the chat `space` was changed, `by` themselves or another account."""

    space: str
    user: str
    inside: bool
    kept: bool
    by: str


@dataclass(frozen=True, slots=True)
class Rights:
    """What we may do in the chat `space` was changed."""

    space: str


@dataclass(frozen=True, slots=True)
class Migrated:
    """The basic group `old` became the supergroup `new`."""

    old: str
    new: str


Heard = commands.Ask | Press | Left | Returned | Knock | Change | Rights | Migrated


def read(update: Any) -> Heard | None:
    """What the update says to us; None when it says nothing. Raises MalformedError for what is no update."""
    try:
        for kind, reader in _READERS.items():
            if kind in update:
                return reader(update[kind])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedError(type(error).__name__) from error
    return None


def standing(member: Json) -> tuple[bool, bool]:
    """Whether this ChatMember is inside, and whether they are an owner, an administrator or a bot."""
    status = member["status"]
    inside = status == "member" or status in KEPT or (status == "restricted" and bool(member["is_member"]))
    return inside, status in KEPT or (inside and bool(member["user"]["is_bot"]))


def _said(message: Json) -> commands.Ask | Migrated | None:
    if "migrate_to_chat_id" in message:
        return Migrated(_number(message["chat"]["id"]), _number(message["migrate_to_chat_id"]))
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


def _changed(change: Json) -> Left | Returned | Rights | None:
    address = _number(change["chat"]["id"])
    if change["chat"]["type"] != "private":
        return Rights(address)
    return Left(address) if change["new_chat_member"]["status"] in {"kicked", "left"} else Returned(address)


def _knocked(request: Json) -> Knock | None:
    """A bot cannot ask by itself, and whoever added it is not the one who pays."""
    if request["from"]["is_bot"]:
        return None
    space, user = _number(request["chat"]["id"]), _number(request["from"]["id"])
    return Knock(space, user, _number(request["user_chat_id"]), int(request["date"]))


def _came_or_went(change: Json) -> Change:
    member = change["new_chat_member"]
    inside, kept = standing(member)
    space, user, by = map(_number, (change["chat"]["id"], member["user"]["id"], change["from"]["id"]))
    return Change(space, user, inside, kept, by)


def _number(value: Any) -> str:
    return str(int(value))


_READERS: dict[str, Callable[[Json], Heard | None]] = {
    "message": _said,
    "callback_query": _pressed,
    "my_chat_member": _changed,
    "chat_member": _came_or_went,
    "chat_join_request": _knocked,
}
