"""The judge: what was lost, doubled, out of order, given away, stale, or sent too fast, from the history alone.

The history is what the stand-ins saw at the edges of the product. A verdict names every fault with the chat and the
signal, so that it can be looked up in the history by its numbers.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.sandbox import checker_reading, history

Copy = checker_reading.Copy
Entitlement = checker_reading.Entitlement
Row = dict[str, Any]

_STALE = {"5m": 150.0, "15m": 450.0}
"""Seconds after which an opening is stale: half its timeframe, at most 15 minutes."""
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Rules:
    """What the judge allows.

    `copies`: of one opening in one chat (2 where ambiguous sends are resent). `settling`: seconds after somebody's
    payment ended in which the product could not have heard of it, and for requests that were on their way when a flood
    pause began. `updates_lost`: an update whose sending was ambiguous is not resent, so it may be missing.
    """

    copies: int = 1
    settling: float = 5.0
    pause_settling: float = 1.0
    per_second: int = 30
    stale_after: float | None = None
    updates_lost: bool = False


@dataclass
class Verdict:
    """Faults in words, each list empty when all is well, and the counts they were found among."""

    rules: Rules
    signals: int = 0
    openings: int = 0
    updates: int = 0
    entitled: int = 0
    most_copies: int = 0
    busiest_second: int = 0
    lost: list[str] = field(default_factory=list)
    lost_updates: list[str] = field(default_factory=list)
    repeats: list[str] = field(default_factory=list)
    unpaid: list[str] = field(default_factory=list)
    early_updates: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    in_pause: list[str] = field(default_factory=list)

    @property
    def faults(self) -> dict[str, list[str]]:
        """What breaks the rules, by kind."""
        too_many = [row for row in self.repeats if _count(row) > self.rules.copies]
        found = {
            "lost": self.lost,
            "updates lost": [] if self.rules.updates_lost else self.lost_updates,
            "too many copies": too_many,
            "to somebody not entitled": self.unpaid,
            "update without its opening before it": self.early_updates,
            "stale": self.stale,
            "sent inside a flood pause": self.in_pause,
        }
        if self.busiest_second > self.rules.per_second:
            found["too fast"] = [f"{self.busiest_second} messages within one second (allowed {self.rules.per_second})"]
        return {kind: rows for kind, rows in found.items() if rows}

    @property
    def ok(self) -> bool:
        """Whether nothing breaks the rules."""
        return not self.faults

    def __str__(self) -> str:
        counts = (
            f"{self.signals} signals, {self.entitled} chats entitled at some time; {self.openings} openings and "
            f"{self.updates} updates arrived, at most {self.most_copies} of one opening in one chat; "
            f"busiest second {self.busiest_second}"
        )
        kinds = (
            f"lost {len(self.lost)}, updates lost {len(self.lost_updates)}, repeats {len(self.repeats)}, "
            f"to unpaid {len(self.unpaid)}, out of order {len(self.early_updates)}, stale {len(self.stale)}, "
            f"in a flood pause {len(self.in_pause)}"
        )
        lines = [f"{'GOOD' if self.ok else 'BAD'}: {counts}", f"  {kinds}"]
        for kind, rows in self.faults.items():
            lines += [f"  {kind}:", *(f"    {row}" for row in rows[:_SHOWN])]
            lines += [f"    … and {len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else []
        return "\n".join(lines)


def judge(
    account: history.History | Sequence[Row],
    *,
    entitled: Iterable[Entitlement],
    expected_signals: Iterable[int] = (),
    rules: Rules | None = None,
) -> Verdict:
    """The verdict over the whole history.

    `entitled` says who may have what is paid, and when. `expected_signals` are numbers that must have been published:
    one that nobody got counts as lost to everybody who was ever entitled.
    """
    rows = account.events if isinstance(account, history.History) else account
    return _Case(rows, list(entitled), set(expected_signals), rules or Rules()).verdict()


class _Case:
    def __init__(self, rows: Sequence[Row], entitled: list[Entitlement], expected: set[int], rules: Rules) -> None:
        self.rows, self.rules, self.expected = rows, rules, expected
        self.times = checker_reading.clock(rows)
        self.place = {row["n"]: place for place, row in enumerate(rows)}
        self.entitled: dict[int, list[Entitlement]] = defaultdict(list)
        for one in entitled:
            self.entitled[one.chat].append(one)
        self.openings, self.updates = checker_reading.openings(rows), checker_reading.updates(rows)
        self.found = Verdict(rules)

    def verdict(self) -> Verdict:
        found = self.found
        fresh: dict[int, list[Copy]] = defaultdict(list)
        for copy in self.openings:
            fresh[copy.signal].append(copy)
        found.signals = len(fresh.keys() | self.expected)
        found.openings, found.updates, found.entitled = len(self.openings), len(self.updates), len(self.entitled)
        self._lost(fresh)
        self._copies()
        self._order()
        self._entitlement()
        self._staleness(fresh)
        self._speed()
        return found

    def _lost(self, fresh: dict[int, list[Copy]]) -> None:
        for signal in sorted(fresh.keys() | self.expected):
            copies = fresh.get(signal, [])
            got = {copy.chat for copy in copies}
            due = self._due(copies) if copies else set(self.entitled)
            self.found.lost += [f"#{signal} never reached chat {chat}" for chat in sorted(due - got)]

    def _due(self, copies: list[Copy]) -> set[int]:
        """Chats entitled all the time from the first copy of an opening to its last one."""
        first, last = copies[0].n, copies[-1].n
        return {
            chat
            for chat, spans in self.entitled.items()
            if any(span.holds(first) and span.holds(last) for span in spans)
        }

    def _copies(self) -> None:
        openings = Counter((copy.chat, copy.signal) for copy in self.openings)
        updates = Counter((copy.chat, copy.signal) for copy in self.updates)
        self.found.most_copies = max(openings.values(), default=0)
        for kind, counted in (("opening", openings), ("update", updates)):
            for (chat, signal), number in sorted(counted.items()):
                if number > 1:
                    self.found.repeats.append(f"{number} copies of the {kind} of #{signal} in chat {chat}")

    def _order(self) -> None:
        first: dict[tuple[int, int], Copy] = {}
        for copy in self.openings:
            first.setdefault((copy.chat, copy.signal), copy)
        ids = defaultdict(set)
        for copy in self.openings:
            ids[copy.chat, copy.signal].add(copy.message)
        told = {copy.signal for copy in self.updates}
        for copy in self.updates:
            where = f"#{copy.signal} in chat {copy.chat} (event {copy.n})"
            opening = first.get((copy.chat, copy.signal))
            if opening is None or opening.n > copy.n:
                self.found.early_updates.append(where)
            elif copy.reply_to not in ids[copy.chat, copy.signal]:
                self.found.early_updates.append(f"{where}: no reply to its opening")
        got = {(copy.chat, copy.signal) for copy in self.updates}
        for chat, signal in sorted(first.keys() - got):
            if signal in told:
                self.found.lost_updates.append(f"the end of #{signal} was never told in chat {chat}")

    def _entitlement(self) -> None:
        for row, signals in checker_reading.paid_messages(self.rows):
            if not self._may_have(row):
                what = ", ".join(f"#{signal}" for signal in signals) or "a chart"
                self.found.unpaid.append(f"{what} in chat {row['chat_id']} (event {row['n']})")

    def _may_have(self, row: Row) -> bool:
        for span in self.entitled.get(row["chat_id"], ()):
            if span.holds(row["n"]):
                return True
            ended = span.until is not None and span.since <= row["n"]
            if ended and row["at"] - self._time_of(span.until or 0) <= self.rules.settling:
                return True
        return False

    def _time_of(self, n: int) -> float:
        return self.times[self.place[n]]

    def _staleness(self, fresh: dict[int, list[Copy]]) -> None:
        closes: dict[tuple[str, str], float] = {}
        begun: dict[int, float] = {}
        by_number = {copies[0].n: copies[0] for copies in fresh.values()}
        for row, at in zip(self.rows, self.times, strict=True):
            if row["event"] == "exchange_candle_closed":
                closes[row["symbol"], row["timeframe"]] = at
            elif row["n"] in by_number:
                copy = by_number[row["n"]]
                begun[copy.signal] = closes.get(copy.market, at)
        for copy in self.openings:
            age = copy.at - begun[copy.signal]
            limit = self.rules.stale_after or _STALE.get(copy.market[1], 900.0)
            if age > limit and "still open" not in copy.marks:
                self.found.stale.append(f"#{copy.signal} in chat {copy.chat} was {age:.1f} s old (event {copy.n})")

    def _speed(self) -> None:
        sent = sorted(row["at"] for row in self.rows if row["event"] == "telegram_message")
        oldest = 0
        for place, at in enumerate(sent):
            while sent[oldest] <= at - 1.0:
                oldest += 1
            self.found.busiest_second = max(self.found.busiest_second, place - oldest + 1)
        for row in self.rows:
            if row["event"] == "telegram_request_in_pause" and row["since"] > self.rules.pause_settling:
                where = f"{row['method']} to chat {row['chat_id']}"
                self.found.in_pause.append(f"{where}, {row['since']:.1f} s into the pause (event {row['n']})")


def _count(row: str) -> int:
    number = int(row.split(" ", 1)[0])
    return number if " opening " in row else number * 1000  # an update is never resent
