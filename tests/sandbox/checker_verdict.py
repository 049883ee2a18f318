"""The rules a history is judged by, and the verdict: faults in words, by kind, among what was counted."""

from dataclasses import dataclass, field

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Rules:
    """What the judge allows.

    `copies`: of one opening in one Telegram chat (2 where ambiguous sends are resent; Discord knows its nonces, so
    there one is all). `settling`: seconds after somebody's payment ended in which the product could not have heard of
    it, and for requests that were on their way when a flood pause began; so long may a door take too. `entering`:
    seconds within which whoever pays must be let in. `updates_lost`: an update whose sending was ambiguous is not
    resent, so it may be missing. `unanswerable`: (chat, signal) of openings whose sending was ambiguous to the end:
    they lie there, but only Telegram knows under which id, so what follows them is no reply.
    """

    copies: int = 1
    settling: float = 5.0
    entering: float = 15.0
    pause_settling: float = 1.0
    per_second: int = 30
    stale_after: float | None = None
    updates_lost: bool = False
    unanswerable: frozenset[tuple[int, int]] = frozenset()


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
    too_many: list[str] = field(default_factory=list)
    """Those of the repeats that the rules do not allow."""
    unpaid: list[str] = field(default_factory=list)
    given_away: list[str] = field(default_factory=list)
    not_paying: list[str] = field(default_factory=list)
    kept_out: list[str] = field(default_factory=list)
    early_updates: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    in_pause: list[str] = field(default_factory=list)

    @property
    def faults(self) -> dict[str, list[str]]:
        """What breaks the rules, by kind."""
        found = {
            "lost": self.lost,
            "updates lost": [] if self.rules.updates_lost else self.lost_updates,
            "too many copies": self.too_many,
            "to somebody not entitled": self.unpaid,
            "paid content given away": self.given_away,
            "inside without paying": self.not_paying,
            "paying and kept out": self.kept_out,
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
            f"to unpaid {len(self.unpaid)}, given away {len(self.given_away)}, "
            f"inside without paying {len(self.not_paying)}, kept out {len(self.kept_out)}, "
            f"out of order {len(self.early_updates)}, stale {len(self.stale)}, in a flood pause {len(self.in_pause)}"
        )
        lines = [f"{'GOOD' if self.ok else 'BAD'}: {counts}", f"  {kinds}"]
        for kind, rows in self.faults.items():
            lines += [f"  {kind}:", *(f"    {row}" for row in rows[:_SHOWN])]
            lines += [f"    … and {len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else []
        return "\n".join(lines)
