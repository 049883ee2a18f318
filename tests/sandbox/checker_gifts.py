"""Gifts, read for the checker: who paid for one, to whom its code was handed, and who was the first to use it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from tests.sandbox import checker_reading

Account = checker_reading.Account
Row = dict[str, Any]

_HANDED = re.compile(r"/redeem ([A-Za-z0-9_-]{10,})")
_USED = re.compile(r"/(?:redeem |start redeem_)([A-Za-z0-9_-]{10,})")


def receivers(rows: Iterable[Row], chats: Mapping[str, Account]) -> list[checker_reading.Entitlement]:
    """Who had a gift from when on, and until when if its payment was taken back; what is said of it on Telegram counts.

    `chats` names each Stripe member's account. A code is one of a gift when it lay in the chat of somebody who had paid
    for one that nobody has; it is good once, and the newer one of the same gift takes its place.
    """
    found = _Gifts(chats)
    for row in rows:
        found.take(row)
    return found.over + [checker_reading.Entitlement(who, since) for who, since, _ in found.running]


class _Gifts:
    def __init__(self, chats: Mapping[str, Account]) -> None:
        self._chats = chats
        self._paid: dict[Account, list[str]] = defaultdict(list)
        self._codes: dict[Account, list[str]] = defaultdict(list)
        self.running: list[tuple[Account, int, str]] = []
        self.over: list[checker_reading.Entitlement] = []

    def take(self, row: Row) -> None:
        """What this event means for gifts is noted."""
        match row["event"]:
            case "stripe_bought" if (buyer := self._chats.get(str(row["member"]))) is not None:
                self._paid[buyer].append(row["member"])
            case "telegram_stars_paid" if not row["period"]:
                self._paid[row["user_id"]].append(row["charge"])
            case "telegram_message" if code := _HANDED.search(row["text"]):
                self._handed(row["chat_id"], code[1])
            case "telegram_said" if code := _USED.match(row["text"]):
                self._used(row["user_id"], code[1], row["n"])
            case "stripe_refunded" if row["full"] and row["subscription"] is None:
                self._taken_back(row, row["member"])
            case "stripe_disputed" if row["subscription"] is None:
                self._taken_back(row, row["member"])
            case "telegram_stars_refunded":
                self._taken_back(row, row["charge"])

    def _handed(self, buyer: Account, code: str) -> None:
        if self._paid[buyer]:
            self._codes[buyer] = [*self._codes[buyer], code][-len(self._paid[buyer]) :]

    def _used(self, user: Account, code: str, n: int) -> None:
        for buyer, codes in self._codes.items():
            if code in codes:
                codes.remove(code)
                self.running.append((user, n, self._paid[buyer].pop(0)))
                return

    def _taken_back(self, row: Row, payment: str) -> None:
        for place, (who, since, paid) in enumerate(self.running):
            if paid == payment:
                self.over.append(checker_reading.Entitlement(who, since, row["n"]))
                del self.running[place]
                return
