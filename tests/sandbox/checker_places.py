"""Gated places and shared memberships, read for the checker: who was inside when, and whose accounts are one person's.

A place's own chat is read by everybody inside. Nothing here knows the product: who is inside is what the stand-ins saw,
which accounts belong together is what the play says.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.sandbox import checker_reading

Account = checker_reading.Account
Chat = checker_reading.Chat
Row = checker_reading.Row
Span = checker_reading.Span

_INSIDE = frozenset({"member", "restricted"})
_RUNS_IT = frozenset({"creator", "administrator"})


@dataclass(frozen=True, slots=True)
class Place:
    """A gated place: `chat` is where it is read, on Discord ("channel", number) with the `role` of the `guild` that
    opens it. `staff` are inside without paying: the owner, administrators, the bot. No `symbols`: every market.
    """

    chat: Chat
    name: str
    guild: int = 0
    role: int = 0
    staff: frozenset[Account] = frozenset()
    symbols: frozenset[str] = frozenset()

    def carries(self, symbol: str) -> bool:
        """Whether signals of this market are posted there."""
        return not self.symbols or symbol in self.symbols


@dataclass(frozen=True, slots=True)
class Linked:
    """These accounts are one person's from the event numbered `since` until the one numbered `until` (None: still)."""

    accounts: frozenset[Account]
    since: int = -1
    until: int | None = None

    @property
    def span(self) -> Span:
        return Span(self.since, self.until)


@dataclass(slots=True)
class Stays:
    """When which account was inside one place, and for a Discord place on its server; spans by account."""

    place: Place
    inside: dict[Account, list[Span]] = field(default_factory=lambda: defaultdict(list))
    near: dict[Account, list[Span]] = field(default_factory=lambda: defaultdict(list))
    requests: list[tuple[Account, int, int | None, bool]] = field(default_factory=list)
    """Who asked to join, at which event, at which one they were answered (None: never), and whether with a yes."""
    runs_it: set[Account] = field(default_factory=set)

    def readers(self, n: int) -> set[Account]:
        """Who reads what is posted at this event."""
        found = {account for account, spans in self.inside.items() if any(span.holds(n) for span in spans)}
        return found | self.place.staff

    def free(self, account: Account) -> bool:
        """Whether the account is there without paying for it."""
        return account in self.place.staff or account in self.runs_it

    def moved(self, account: Account, first: int, last: int) -> bool:
        """Whether the account went in or out between these events."""
        spans = self.inside.get(account, ())
        return any(first <= end <= last for span in spans for end in (span.since, span.until) if end is not None)


def stays(rows: Sequence[Row], place: Place) -> Stays:
    """Who was inside the place when, from what its platform saw."""
    made = Stays(place)
    (_discord if place.role else _telegram)(rows, made)
    return made


def _telegram(rows: Sequence[Row], made: Stays) -> None:
    waiting: dict[Account, int] = {}
    for row in rows:
        if row.get("chat_id") != made.place.chat or not row["event"].startswith(("telegram_member", "telegram_join")):
            continue
        user: Account = row["user_id"]
        if row["event"] == "telegram_join_request":
            waiting.setdefault(user, row["n"])
            continue
        inside = row.get("status") in _INSIDE | _RUNS_IT
        if row.get("status") in _RUNS_IT:
            made.runs_it.add(user)
        _turn(made.inside[user], row["n"], on=inside)
        if user in waiting:
            made.requests.append((user, waiting.pop(user), row["n"], inside))
    made.requests += [(user, since, None, False) for user, since in waiting.items()]


def _discord(rows: Sequence[Row], made: Stays) -> None:
    for row in rows:
        if row["event"] != "discord_member" or row["guild_id"] != made.place.guild:
            continue
        user: Account = ("discord", row["user_id"])
        if row["role_id"] is None:
            _turn(made.near[user], row["n"], on=row["inside"])
        elif row["role_id"] == made.place.role:
            _turn(made.inside[user], row["n"], on=row["has"])


def _turn(spans: list[Span], n: int, *, on: bool) -> None:
    """What the spans tell is true from this event on, or no longer."""
    running = bool(spans) and spans[-1].until is None
    if on and not running:
        spans.append(Span(n))
    elif running and not on:
        spans[-1] = Span(spans[-1].since, n)


# --- who is one person


def shared(entitled: Iterable[checker_reading.Entitlement], together: Sequence[Linked]) -> dict[Account, list[Span]]:
    """When which account might have what is paid: by its own right, or by that of a person's other account."""
    own: dict[Account, list[Span]] = defaultdict(list)
    for one in entitled:
        own[one.chat].append(one.span)
    every = {account: list(spans) for account, spans in own.items()}
    for group in together:
        for account in group.accounts:
            for other in group.accounts - {account}:
                parts = (span.within(group.span) for span in own.get(other, ()))
                every.setdefault(account, []).extend(part for part in parts if part)
    return {account: merged(spans) for account, spans in every.items() if spans}


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time in as few spans as can be, earliest first."""
    made: list[Span] = []
    for span in sorted(spans, key=lambda span: span.since):
        last = made[-1] if made else None
        if last is None or (last.until is not None and last.until < span.since):
            made.append(span)
        else:
            ends = (last.until, span.until)
            made[-1] = Span(last.since, None if None in ends else max(end for end in ends if end is not None))
    return made


def without(spans: Iterable[Span], taken: Mapping[Account, Sequence[Span]], account: Account) -> list[Span]:
    """The time in the spans in which the account has none of what was `taken` from them; both without overlaps."""
    left = list(spans)
    for gone in taken.get(account, ()):
        pieces = []
        for span in left:
            before = span.within(Span(-1, gone.since)) if gone.since > -1 else None
            after = span.within(Span(gone.until)) if gone.until is not None else None
            pieces += [piece for piece in (before, after) if piece]
        left = pieces
    return left


def person(account: Account, together: Iterable[Linked], *moments: int) -> frozenset[Account]:
    """The account and those that were the same person's at all of these events."""
    groups = (group for group in together if account in group.accounts and all(map(group.span.holds, moments)))
    return frozenset({account}).union(*(group.accounts for group in groups))
