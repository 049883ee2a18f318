"""What is in a message, found without the product: paid content, links that are somebody's own, names and numbers."""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.rights import table
from tests.sandbox import checker_reading

_GROUPING = re.compile(r"(?<=\d)[\u202f\u00a0\u2060 ,](?=\d)")
_JOINERS = str.maketrans("", "", "\u2060\u200b")
_OWN_LINK = re.compile(r"/(checkout|portal|change|seats|gift)/([A-Za-z0-9_-]+)\.")
_WAY_IN = re.compile(r"t\.me/(?:\+|joinchat/)|discord\.gg/")
_CODE = re.compile(r"/(?:link |redeem |invitation/)[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])")
_KEY = re.compile(r"sst_[a-z2-7]{10}_[A-Za-z0-9_-]{43}")
SENT, CALLED = "I've sent it to you privately.", "I answer that in our private chat."
"""All that is ever said where others read it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A message that lay in a chat: `row` is its event in the history, `body` all of it as the platform tells it."""

    row: dict[str, Any]
    body: dict[str, Any]

    @property
    def chat(self) -> checker_reading.Chat:
        return checker_reading.where(self.row)

    @property
    def words(self) -> str:
        return checker_reading.words(self.row)

    @property
    def whole(self) -> str:
        """Every byte of it that could be read: words, buttons, addresses; figures without their grouping."""
        text = json.dumps(self.body, ensure_ascii=False).translate(_JOINERS)
        return _GROUPING.sub("", text)


@dataclass(frozen=True, slots=True)
class Known:
    """What the scene knows and a message may give away: figures of the open signal, and who is called how.

    `signs` are words and numbers by which a person is recognised, `members` whose number is in their links.
    """

    figures: frozenset[str]
    signs: Mapping[str, frozenset[str]]
    members: Mapping[str, int]


def secrets(shown: Shown, known: Known) -> set[str]:
    """The kinds of secrets that are in the message, whoever reads it."""
    whole = shown.whole
    found = set()
    if checker_reading.paid_messages([shown.row]) or any(figure in whole for figure in known.figures):
        found.add(table.PAID)
    for kind, sign in ((table.WAY_IN, _WAY_IN), (table.CODE, _CODE), (table.KEY, _KEY)):
        if sign.search(whole):
            found.add(kind)
    links = {"checkout": table.CHECKOUT, "gift": table.CHECKOUT}
    return found | {links.get(found_link[1], table.PORTAL) for found_link in _OWN_LINK.finditer(whole)}


def strangers_named(shown: Shown, known: Known, own: Iterable[str]) -> list[str]:
    """Whose names, numbers or links are in the message besides those of `own`."""
    whole, allowed = shown.whole.lower(), frozenset().union(*(known.signs.get(one, frozenset()) for one in own))
    others = [who for who, signs in known.signs.items() if any(sign in whole for sign in signs - allowed)]
    mine = {known.members[one] for one in own if one in known.members}
    return others + [f"member {number}" for number in linked_members(shown) if number not in mine]


def linked_members(shown: Shown) -> list[int]:
    """Whose the checkout and portal links are that stand in the message."""
    return [_member(found[2]) for found in _OWN_LINK.finditer(shown.whole)]


def _member(payload: str) -> int:
    try:
        said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError):
        return -1
    return int(said[0]) if isinstance(said, list) and said else -1


def public_bytes(shown: Shown) -> int:
    """How many bytes of this message should not be where others read it: none of a pointer to the private chat."""
    buttons = [button for row in shown.body.get("reply_markup", {}).get("inline_keyboard", []) for button in row]
    plain = [_leads_home(button) for button in buttons]
    if shown.words in {SENT, CALLED} and all(plain) and not shown.row["has_photo"]:
        return 0
    return len(shown.words.encode()) or 1


def _leads_home(button: Mapping[str, Any]) -> bool:
    return set(button) == {"text", "url"} and bool(re.fullmatch(r"https://t\.me/\w+\?start=[a-z]+", button["url"]))


def kept(shown: Shown) -> bool:
    """Whether the message stays where it is: Telegram forbids to pass it on, on Discord nobody else can see it."""
    if shown.row["event"].startswith("telegram_"):
        return bool(shown.body.get("has_protected_content"))
    return bool(shown.row["user_id"])
