"""What the history says, read for the checker: signal messages in chats, who had paid when, and the wall clock.

Nothing here knows the product's tables or its code: a signal is known by the words and the `#N` that a person reads.

Chats and accounts are named alike: a Telegram chat by its number (a person's private chat has the person's number, a
group's or channel's is negative), a Discord account and its private chat as ("discord", number), a channel of a
Discord server as ("channel", number).
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.sandbox import discord_text

Row = dict[str, Any]
Chat = int | tuple[str, int]
Account = Chat

_OPENING = re.compile(r"[▲▼] (?:Long|Short) (\S+) · (\w+) · #(\d+)(?: \((repeat|still open)\))*$")
_END = r"[✓✕○◇] (?:Target hit|Stopped|Expired|Closed by the operator|Market delisted)(?: after target \d+ of \d+)?"
_UPDATE = re.compile(rf"{_END} · (\S+) \w+ · (\w+) · #(\d+)$")
_PART = re.compile(r"◐ Target [\d, ]+ of \d+ hit · (\S+) \w+ · (\w+) · #(\d+)$")
_PAID = re.compile(r"[▲▼] (?:Long|Short) \S")
_NUMBER = re.compile(r"[▲▼] (?:Long|Short) [^\n]*?#(\d+)")
_RECORD = re.compile(rf"^{_END}: ", re.MULTILINE)
"""What a single signal's page says when it has ended: everybody may read that one."""
_OFTEN_BROKEN = "\u2060"  # the product breaks what looks like a link with word joiners
_LAID = frozenset({"telegram_message", "discord_message"})
_SHOWN = _LAID | {"telegram_edit", "discord_edit", "discord_ephemeral"}
_OWN_CLOCK = frozenset({"stripe_ended", "stripe_cancel_planned"})
"""Events whose `at` is a moment of Stripe's clock, not the moment at which they were written down."""
_BUYING = re.compile(r"/(?:checkout|gift)/([A-Za-z0-9_-]+)\.")


@dataclass(frozen=True, slots=True)
class Copy:
    """One message about one signal in one chat; `n` is its place in the history, `at` wall clock seconds."""

    n: int
    at: float
    chat: Chat
    message: int
    signal: int
    market: tuple[str, str]
    marks: frozenset[str] = frozenset()
    reply_to: int | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """From the event numbered `since` until before the one numbered `until` (None: still)."""

    since: int = -1
    until: int | None = None

    def holds(self, n: int) -> bool:
        return self.since <= n and (self.until is None or n < self.until)

    def within(self, other: "Span") -> "Span | None":
        """The part of it that lies in the other one too."""
        ends = [end for end in (self.until, other.until) if end is not None]
        part = Span(max(self.since, other.since), min(ends, default=None))
        return part if part.until is None or part.since < part.until else None


@dataclass(frozen=True, slots=True)
class Entitlement:
    """An account may have what is paid from the event numbered `since` until the one numbered `until` (None: still)."""

    chat: Account
    since: int = -1
    until: int | None = None

    @property
    def span(self) -> Span:
        return Span(self.since, self.until)

    def holds(self, n: int) -> bool:
        return self.span.holds(n)


def named(chat: Chat) -> str:
    """The chat as a verdict names it."""
    if isinstance(chat, int):
        return f"chat {chat}"
    return f"Discord {'channel' if chat[0] == 'channel' else 'chat'} {chat[1]}"


def order(chat: Chat) -> tuple[str, int]:
    """A key by which chats of both platforms can be sorted."""
    return ("", chat) if isinstance(chat, int) else chat


def private(chat: Chat) -> bool:
    """Whether only one account reads what lies there: the one with the chat's own name."""
    return chat > 0 if isinstance(chat, int) else chat[0] == "discord"


def where(row: Row) -> Chat:
    """The chat of a message's event; an answer that one person sees lies in that person's private chat."""
    if row["event"].startswith("telegram_"):
        chat: int = row["chat_id"]
        return chat
    return ("channel", row["channel_id"]) if row["user_id"] is None else ("discord", row["user_id"])


def words(row: Row) -> str:
    """What a person reads in the message."""
    text = str(row["text"]).replace(_OFTEN_BROKEN, "")
    return text if row["event"].startswith("telegram_") else discord_text.plain(text)


def openings(rows: Iterable[Row]) -> list[Copy]:
    """Every copy of every opening that lay in a chat, oldest first."""
    return [copy for row in rows if (copy := _copy(row, _OPENING)) and not _RECORD.search(words(row))]


def updates(rows: Iterable[Row]) -> list[Copy]:
    """Every copy of every message that told a signal's end, oldest first."""
    return [copy for row in rows if (copy := _copy(row, _UPDATE))]


def parts(rows: Iterable[Row]) -> list[Copy]:
    """Every copy of every message that told a target on the way, oldest first; its words are its one mark."""
    return [copy for row in rows if (copy := _copy(row, _PART))]


def _copy(row: Row, form: re.Pattern[str]) -> Copy | None:
    if row["event"] not in _LAID:
        return None
    first = words(row).partition("\n")[0]
    found = form.match(first)
    if not found:
        return None
    said = {first.partition(" hit")[0]} if form is _PART else set()
    marks = frozenset(said | {mark for mark in ("repeat", "still open") if f"({mark})" in first})
    market = (found[1], found[2])
    return Copy(row["n"], row["at"], where(row), row["message_id"], int(found[3]), market, marks, row["reply_to"])


def paid_messages(rows: Iterable[Row]) -> list[tuple[Row, list[int]]]:
    """Every message that shows what only payers may see (the side and levels of an open signal, a chart) and the
    numbers of the signals in it."""
    shown = []
    for row in rows:
        if row["event"] in _SHOWN:
            text = words(row)
            if row["has_photo"] or _is_paid(text):
                shown.append((row, [int(number) for number in _NUMBER.findall(text)]))
    return shown


def _is_paid(text: str) -> bool:
    lines = [line for line in text.splitlines() if _PAID.search(line)]
    record = len(lines) == 1 and text.startswith(lines[0]) and _RECORD.search(text)
    return bool(lines) and not record


def clock(rows: Sequence[Row]) -> list[float]:
    """The wall clock at every event, in epoch seconds."""
    times: list[float] = []
    for row in rows:
        own = row["event"] in _OWN_CLOCK and times
        times.append(times[-1] if own else float(row["at"]))
    return times


def payers(rows: Iterable[Row], chats: Mapping[str, Account]) -> list[Entitlement]:
    """Who had paid from when to when, from what happened at Stripe; `chats` names each Stripe member's account.

    Paying begins it. The subscription's end, a full refund, a dispute, or the status `unpaid` ends it, and a later
    payment begins it anew.
    """
    running: dict[str, tuple[Account, int]] = {}
    over: list[Entitlement] = []
    for row in rows:
        chat, sub = chats.get(str(row.get("member"))), str(row.get("subscription"))
        if chat is None:
            continue
        if row["event"] in {"stripe_paid", "stripe_renewed"}:
            running.setdefault(sub, (chat, row["n"]))
        elif _ends(row) and sub in running:
            over.append(Entitlement(chat, running.pop(sub)[1], row["n"]))
    return over + [Entitlement(chat, since) for chat, since in running.values()]


def _ends(row: Row) -> bool:
    match row["event"]:
        case "stripe_ended" | "stripe_disputed":
            return True
        case "stripe_refunded":
            return bool(row["full"])
        case "stripe_payment_failed":
            return bool(row["status"] == "unpaid")
    return False


def members(urls: Iterable[tuple[Account, str]]) -> dict[str, Account]:
    """The account of every member, from the links (account, address) to the shop's pages that lay in chats: a link
    names its member. Where a member has several accounts it is the one whose link comes first; give them oldest first.
    """
    found: dict[str, Account] = {}
    for chat, url in urls:
        part = _BUYING.search(url)
        if part:
            found.setdefault(_member(part[1]), chat)
    return found


def _member(payload: str) -> str:
    try:
        said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError):
        return ""
    return str(said[0]) if isinstance(said, list) and said else ""
