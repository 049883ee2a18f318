"""What hinders us in a place, in words for its owner: what the bot lacks there, and what to do about it."""

from collections.abc import Sequence
from typing import Any

from telegram import error as failures

INVITE, BAN, POST = "Invite users via link", "Ban users", "Post messages"
ADMINISTRATOR = "administrator"
"""Stands for any right at all, where none is named."""

_WANTED = f"with the rights “{INVITE}”, “{BAN}” and, in a channel, “{POST}”"
ABSENT = f"Our bot is not in the chat: add it as an administrator {_WANTED}."
PLAIN = f"Our bot is no administrator of the chat: make it one, {_WANTED}."

# What Telegram says when a right is missing; the words differ by method, and some errors come from its inner protocol.
_LACKING = (
    "not enough rights",
    "admin_required",
    "need administrator rights",
    "have no rights",
    "right_forbidden",
    "write_forbidden",
    "member list is inaccessible",
)
_UNKNOWN = ("chat not found", "channel_private", "channel_invalid", "chat_id_invalid")
_GONE = ("bot is not a member", "bot was kicked", "group chat was deactivated", "chat was deleted")


NO_POSTS = f"Our bot may not post there: make it an administrator with the right “{POST}”."


def unseen(space: str) -> str:
    """The sentence for a channel that Telegram does not show us."""
    return f"Telegram shows us no chat {space}: correct the number, or make our bot its administrator with “{POST}”."


def moved(space: str) -> str:
    """The sentence for a chat that has got this number."""
    return f"The chat has another number now: write {space} into the catalogue."


def unknown(space: str) -> str:
    """The sentence for a chat that Telegram does not find."""
    return (
        f"Telegram finds no chat with the number {space}, or our bot was never in it: correct the number, or add the "
        f"bot as an administrator {_WANTED}."
    )


def public(chat: dict[str, Any]) -> str:
    """The sentence for this ChatFullInfo of a chat that everybody can read; empty for a private one."""
    names = [name for name in (chat.get("username"), *(chat.get("active_usernames") or ())) if name]
    if not names:
        return ""
    return (
        f"The chat is public (@{names[0]}), so everybody can read it without paying: make it private, in its settings "
        "under its type."
    )


def lacking(rights: Sequence[str]) -> str:
    """The sentence for rights that the bot does not have."""
    named = " and ".join(f"“{right}”" for right in rights)
    many = "rights" if len(rights) > 1 else "right"
    return f"Our bot lacks the {many} {named}: open the chat's administrators, choose the bot, and switch that on."


def of(error: failures.TelegramError, right: str, space: str) -> str:
    """What the refusal of something that needs this right says; empty when it says nothing of the place."""
    if not isinstance(error, failures.BadRequest | failures.Forbidden):
        return ""
    said = error.message.lower()
    if any(words in said for words in _LACKING):
        return PLAIN if right == ADMINISTRATOR else lacking([right])
    if any(words in said for words in _UNKNOWN):
        return unknown(space)
    # "user is deactivated", for one, is no fault of the place.
    absent = isinstance(error, failures.Forbidden) and "user" not in said
    return ABSENT if absent or any(words in said for words in _GONE) else ""
