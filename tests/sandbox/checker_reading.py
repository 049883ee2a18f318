"""What the history says, read for the checker: signal messages in chats, who had paid when, and the wall clock.

Nothing here knows the product's tables or its code: a signal is known by the words and the `#N` that a person reads.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

_OPENING = re.compile(r"[▲▼] (?:Long|Short) (\S+) · (\w+) · #(\d+)(?: \((repeat|still open)\))*$")
_UPDATE = re.compile(r"[✓✕○] (?:Target hit|Stopped|Expired) · (\S+) \w+ · (\w+) · #(\d+)$")
_PAID = re.compile(r"[▲▼] (?:Long|Short) \S")
_NUMBER = re.compile(r"[▲▼] (?:Long|Short) [^\n]*?#(\d+)")
_OFTEN_BROKEN = "\u2060"  # the product breaks what looks like a link with word joiners
_OWN_CLOCK = frozenset({"stripe_ended", "stripe_cancel_planned"})
"""Events whose `at` is a moment of Stripe's clock, not the moment at which they were written down."""
_CHECKOUT = re.compile(r"/checkout/([A-Za-z0-9_-]+)\.")


@dataclass(frozen=True, slots=True)
class Copy:
    """One message about one signal in one chat; `n` is its place in the history, `at` wall clock seconds."""

    n: int
    at: float
    chat: int
    message: int
    signal: int
    market: tuple[str, str]
    marks: frozenset[str] = frozenset()
    reply_to: int | None = None


@dataclass(frozen=True, slots=True)
class Entitlement:
    """A chat may have what is paid from the event numbered `since` until the one numbered `until` (None: still)."""

    chat: int
    since: int = -1
    until: int | None = None

    def holds(self, n: int) -> bool:
        return self.since <= n and (self.until is None or n < self.until)


def openings(rows: Iterable[Row]) -> list[Copy]:
    """Every copy of every opening that lay in a chat, oldest first."""
    return [copy for row in rows if (copy := _copy(row, _OPENING))]


def updates(rows: Iterable[Row]) -> list[Copy]:
    """Every copy of every message that told a signal's end, oldest first."""
    return [copy for row in rows if (copy := _copy(row, _UPDATE))]


def _copy(row: Row, form: re.Pattern[str]) -> Copy | None:
    if row["event"] != "telegram_message":
        return None
    first = str(row["text"]).replace(_OFTEN_BROKEN, "").partition("\n")[0]
    found = form.match(first)
    if not found:
        return None
    marks = frozenset(mark for mark in ("repeat", "still open") if f"({mark})" in first)
    market = (found[1], found[2])
    return Copy(row["n"], row["at"], row["chat_id"], row["message_id"], int(found[3]), market, marks, row["reply_to"])


def paid_messages(rows: Iterable[Row]) -> list[tuple[Row, list[int]]]:
    """Every message that shows what only payers may see (the side and levels of an open signal, a chart) and the
    numbers of the signals in it."""
    shown = []
    for row in rows:
        if row["event"] in {"telegram_message", "telegram_edit"}:
            text = str(row["text"]).replace(_OFTEN_BROKEN, "")
            if row["has_photo"] or _PAID.search(text):
                shown.append((row, [int(number) for number in _NUMBER.findall(text)]))
    return shown


def clock(rows: Sequence[Row]) -> list[float]:
    """The wall clock at every event, in epoch seconds."""
    times: list[float] = []
    for row in rows:
        own = row["event"] in _OWN_CLOCK and times
        times.append(times[-1] if own else float(row["at"]))
    return times


def payers(rows: Iterable[Row], chats: Mapping[str, int]) -> list[Entitlement]:
    """Who had paid from when to when, from what happened at Stripe; `chats` names each Stripe member's chat.

    Paying begins it. The subscription's end, a full refund, a dispute, or the status `unpaid` ends it, and a later
    payment begins it anew.
    """
    running: dict[str, tuple[int, int]] = {}
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


def members(urls: Iterable[tuple[int, str]]) -> dict[str, int]:
    """The chat of every member, from the checkout links (chat, address) that lay in chats: a link names its member."""
    found: dict[str, int] = {}
    for chat, url in urls:
        part = _CHECKOUT.search(url)
        if part:
            found[_member(part[1])] = chat
    return found


def _member(payload: str) -> str:
    try:
        said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError):
        return ""
    return str(said[0]) if isinstance(said, list) and said else ""
