"""The judge: what was lost, doubled, out of order, given away, stale, or sent too fast, from the history alone.

The history is what the stand-ins saw at the edges of the product. A verdict names every fault with the chat and the
signal, so that it can be looked up in the history by its numbers.
"""

import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from tests.sandbox import checker_places, checker_reading, checker_verdict, history

Account = checker_reading.Account
Copy = checker_reading.Copy
Entitlement = checker_reading.Entitlement
Linked = checker_places.Linked
Place = checker_places.Place
Rules = checker_verdict.Rules
Span = checker_reading.Span
Verdict = checker_verdict.Verdict
Row = dict[str, Any]
Fresh = dict[int, list[Copy]]
named = checker_reading.named

_STALE = {"5m": 150.0, "15m": 450.0}
"""Seconds after which an opening is stale: half its timeframe, at most 15 minutes."""


def judge(
    account: history.History | Sequence[Row],
    *,
    entitled: Iterable[Entitlement],
    expected_signals: Iterable[int] = (),
    rules: Rules | None = None,
    places: Iterable[Place] = (),
    accounts: Iterable[Linked] = (),
    private: Iterable[Account] = (),
) -> Verdict:
    """The verdict over the whole history.

    `entitled` says who may have what is paid, and when. `expected_signals` are numbers that must have been published:
    one that nobody got counts as lost to everybody who was ever entitled. `places` are the gated ones: what is posted
    there counts as read by everybody inside. `accounts` says which of them are one person: what one of them may have,
    all may, and what one of them read, the person has. `private` are Discord accounts that get every signal in their
    private chat; on Telegram everybody does who is not inside a place.
    """
    rows = account.events if isinstance(account, history.History) else account
    case = _Case(rows, list(entitled), list(accounts), rules or Rules())
    case.stays = {place.chat: checker_places.stays(rows, place) for place in places}
    case.expected, case.private = set(expected_signals), set(private)
    return case.verdict()


class _Case:
    def __init__(self, rows: Sequence[Row], entitled: list[Entitlement], together: list[Linked], rules: Rules) -> None:
        self.rows, self.rules, self.together = rows, rules, together
        self.times = checker_reading.clock(rows)
        self.place = {row["n"]: place for place, row in enumerate(rows)}
        self.entitled = checker_places.shared(entitled, together)
        self.openings, self.updates = checker_reading.openings(rows), checker_reading.updates(rows)
        self.parts = checker_reading.parts(rows)
        self.found = Verdict(rules)
        self.stays: dict[checker_reading.Chat, checker_places.Stays] = {}
        self.expected: set[int] = set()
        self.private: set[Account] = set()

    def verdict(self) -> Verdict:
        found = self.found
        fresh: Fresh = defaultdict(list)
        for copy in self.openings:
            fresh[copy.signal].append(copy)
        found.signals = len(fresh.keys() | self.expected)
        found.openings, found.updates, found.entitled = len(self.openings), len(self.updates), len(self.entitled)
        self._lost(fresh)
        self._copies()
        self._order()
        self._entitlement()
        self._doors()
        self._staleness(fresh)
        self._speed()
        return found

    # --- lost

    def _lost(self, fresh: Fresh) -> None:
        for signal in sorted(fresh.keys() | self.expected):
            copies = fresh.get(signal, [])
            got = self._readers(copies)
            for person in self._due(copies):
                if not person & got:
                    names = " or ".join(named(account) for account in sorted(person, key=checker_reading.order))
                    self.found.lost.append(f"#{signal} never reached {names}")

    def _readers(self, copies: list[Copy]) -> set[Account]:
        """Who saw one of the copies, in private or in a place."""
        alone = {copy.chat for copy in copies if checker_reading.private(copy.chat)}
        inside = (self.stays[copy.chat].readers(copy.n) for copy in copies if copy.chat in self.stays)
        return alone.union(*inside)

    def _due(self, copies: list[Copy]) -> list[frozenset[Account]]:
        """The people who must have the opening: entitled all the time from its first copy to its last one, and all
        that time either with a chat of their own or inside a place that carries it."""
        if not copies:
            people = {checker_places.person(account, self.together) for account in self.entitled}
            return _sorted(people)
        first, last = copies[0].n, _last(copies)
        people = {
            checker_places.person(account, self.together, first, last)
            for account, spans in self.entitled.items()
            if any(span.holds(first) and span.holds(last) for span in spans)
        }
        places = [stays for stays in self.stays.values() if stays.place.carries(copies[0].market[0])]
        inside = set[Account]().union(*(stays.readers(first) for stays in places))
        # Who went in or out of a place meanwhile, or just before, may have been between the ways.
        since = self._since(first)
        moving = {one for stays in places for one in stays.inside if stays.moved(one, since, last)}
        return _sorted(person for person in people if self._reached(person, inside) and not person & moving)

    def _since(self, n: int) -> int:
        """The first event that is no longer before this one than settling takes."""
        return int(self.rows[bisect.bisect_left(self.times, self._time_of(n) - self.rules.settling)]["n"])

    def _reached(self, person: frozenset[Account], inside: set[Account]) -> bool:
        alone = any(isinstance(account, int) or account in self.private for account in person)
        return alone or bool(person & inside)

    # --- copies and their order

    def _copies(self) -> None:
        openings = Counter((copy.chat, copy.signal) for copy in self.openings)
        updates = Counter((copy.chat, copy.signal) for copy in self.updates)
        self.found.most_copies = max(openings.values(), default=0)
        parts = Counter((copy.chat, copy.signal, "".join(copy.marks)) for copy in self.parts)
        for (chat, signal, part), number in sorted(parts.items(), key=_by_part):
            told = f"{number} copies of “{part}” of #{signal} in {named(chat)}"
            self.found.repeats += [told] if number > 1 else []
            self.found.too_many += [told] if number > 1 else []
        for kind, counted in (("opening", openings), ("update", updates)):
            for (chat, signal), number in sorted(counted.items(), key=_by_chat):
                resent = kind == "opening" and isinstance(chat, int)
                told = f"{number} copies of the {kind} of #{signal} in {named(chat)}"
                self.found.repeats += [told] if number > 1 else []
                self.found.too_many += [told] if number > (self.rules.copies if resent else 1) else []

    def _order(self) -> None:
        first: dict[tuple[checker_reading.Chat, int], Copy] = {}
        ids = defaultdict(set)
        for copy in self.openings:
            first.setdefault((copy.chat, copy.signal), copy)
            ids[copy.chat, copy.signal].add(copy.message)
        told = {copy.signal for copy in self.updates}
        for copy in (*self.updates, *self.parts):
            where = f"#{copy.signal} in {named(copy.chat)} (event {copy.n})"
            opening = first.get((copy.chat, copy.signal))
            if opening is None or opening.n > copy.n:
                self.found.early_updates.append(where)
            elif copy.reply_to is None and (copy.chat, copy.signal) in self.rules.unanswerable:
                continue
            elif copy.reply_to not in ids[copy.chat, copy.signal]:
                self.found.early_updates.append(f"{where}: no reply to its opening")
        got = {(copy.chat, copy.signal) for copy in self.updates}
        for chat, signal in sorted(first.keys() - got, key=lambda key: (checker_reading.order(key[0]), key[1])):
            if signal in told:
                self.found.lost_updates.append(f"the end of #{signal} was never told in {named(chat)}")
        self._parts(first)

    def _parts(self, first: dict[tuple[checker_reading.Chat, int], Copy]) -> None:
        """Targets on the way: everybody who had the opening before hears of each, nobody after the end."""
        ends = {(copy.chat, copy.signal): copy.n for copy in self.updates}
        heard: dict[tuple[int, frozenset[str]], list[Copy]] = defaultdict(list)
        for copy in self.parts:
            heard[copy.signal, copy.marks].append(copy)
            if copy.n > ends.get((copy.chat, copy.signal), copy.n):
                self.found.early_updates.append(f"#{copy.signal} in {named(copy.chat)}: a target after the end")
        for (signal, marks), copies in heard.items():
            before = {chat for (chat, number), opening in first.items() if number == signal and opening.n < copies[0].n}
            missed = before - {copy.chat for copy in copies}
            for chat in sorted(missed, key=checker_reading.order):
                self.found.lost_updates.append(f"“{''.join(marks)}” of #{signal} was never told in {named(chat)}")

    # --- who may have what

    def _entitlement(self) -> None:
        for row, signals in checker_reading.paid_messages(self.rows):
            chat = checker_reading.where(row)
            what = ", ".join(f"#{signal}" for signal in signals) or "a chart"
            told = f"{what} in {named(chat)} (event {row['n']})"
            if checker_reading.private(chat):
                self.found.unpaid += [] if self._may_have(chat, row) else [told]
            elif row.get("public"):
                self.found.given_away.append(f"{told}, which everybody sees")
            elif chat not in self.stays and not self._may_have(chat, row):
                self.found.given_away.append(f"{told}, which is no gated place")

    def _may_have(self, chat: Account, row: Row) -> bool:
        for span in self.entitled.get(chat, ()):
            if span.holds(row["n"]):
                return True
            ended = span.until is not None and span.since <= row["n"]
            if ended and row["at"] - self._time_of(span.until or 0) <= self.rules.settling:
                return True
        return False

    def _time_of(self, n: int) -> float:
        return self.times[self.place[n]]

    # --- doors

    def _doors(self) -> None:
        for stays in self.stays.values():
            for account, spans in stays.inside.items():
                for gap in [] if stays.free(account) else checker_places.without(spans, self.entitled, account):
                    if (seconds := self._lasts(gap)) > self.rules.settling:
                        told = f"{named(account)} was inside {stays.place.name} for {seconds:.1f} s"
                        self.found.not_paying.append(f"{told} (from event {gap.since})")
            self._kept_out(stays)

    def _kept_out(self, stays: checker_places.Stays) -> None:
        """Who paid, and was on the server or asked at the door, and was not let in in time."""
        waited = [
            (account, gap)
            for account, near in stays.near.items()
            for paid in self.entitled.get(account, ())
            for gap in checker_places.without(_common(near, paid), stays.inside, account)
        ]
        for account, asked, answered, let_in in stays.requests:
            for paid in self.entitled.get(account, ()):
                waited += [(account, part) for part in _common([Span(asked, answered)], paid)]
                if not let_in and answered is not None and paid.holds(asked) and paid.holds(answered):
                    told = f"{named(account)} was turned away from {stays.place.name} (event {answered})"
                    self.found.kept_out.append(told)
        for account, gap in waited:
            if (seconds := self._lasts(gap)) > self.rules.entering:
                told = f"{named(account)} waited outside {stays.place.name} for {seconds:.1f} s"
                self.found.kept_out.append(f"{told} (from event {gap.since})")

    def _lasts(self, span: Span) -> float:
        """The seconds of a span, up to the history's end where it has none."""
        begin = self._time_of(span.since) if span.since in self.place else self.times[0]
        return (self.times[-1] if span.until is None else self._time_of(span.until)) - begin

    # --- time

    def _staleness(self, fresh: Fresh) -> None:
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
                self.found.stale.append(f"#{copy.signal} in {named(copy.chat)} was {age:.1f} s old (event {copy.n})")

    def _speed(self) -> None:
        sent = sorted(row["at"] for row in self.rows if row["event"] == "telegram_message")
        oldest = 0
        for place, at in enumerate(sent):
            while sent[oldest] <= at - 1.0:
                oldest += 1
            self.found.busiest_second = max(self.found.busiest_second, place - oldest + 1)
        for row in self.rows:
            if row["event"].endswith("_request_in_pause") and row["since"] > self.rules.pause_settling:
                where = f"{row['method']} to chat {row['chat_id']}" if "chat_id" in row else f"Discord's {row['route']}"
                self.found.in_pause.append(f"{where}, {row['since']:.1f} s into the pause (event {row['n']})")


def _last(copies: list[Copy]) -> int:
    """The end of the fan-out; what was handed to newcomers later is no part of it."""
    return next((copy.n for copy in reversed(copies) if "still open" not in copy.marks), copies[-1].n)


def _sorted(people: Iterable[frozenset[Account]]) -> list[frozenset[Account]]:
    return sorted(people, key=lambda person: sorted(map(checker_reading.order, person)))


def _common(spans: Iterable[Span], paid: Span) -> list[Span]:
    return [part for span in spans if (part := span.within(paid))]


def _by_part(counted: tuple[tuple[checker_reading.Chat, int, str], int]) -> tuple[tuple[str, int], int, str]:
    (chat, signal, part), _ = counted
    return checker_reading.order(chat), signal, part


def _by_chat(counted: tuple[tuple[checker_reading.Chat, int], int]) -> tuple[tuple[str, int], int, int]:
    (chat, signal), number = counted
    return checker_reading.order(chat), signal, number
