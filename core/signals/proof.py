"""Checking a record, line by line, without trusting whoever keeps it: needs the lines and nothing else.

What a whole record proves: the order of its entries; that none was changed, removed or slipped in since a later hash
was seen elsewhere; and that each result follows from what was committed to when the signal was published.
What it cannot prove: that the prices could be had, or that nothing was rewritten after the last hash seen elsewhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
import rfc8785
from pydantic import ValidationError

from core import errors
from core.signals import entries, results


class BrokenError(errors.SignalStackError):
    """The record breaks first at entry `n`; the text says how, in one sentence."""

    def __init__(self, n: int, what: str) -> None:
        super().__init__(f"Entry {n} {what}.")
        self.n = n


@dataclass(frozen=True, slots=True)
class Report:
    """What a whole record holds; `seen` is the number of the entry whose hash was looked for, None if it is not there.

    `first` and `last` are the moments of these entries, `oldest` is when the signal that is open for longest
    entered it, `unsealed` counts the closed signals from before the record began.
    """

    entries: int
    head: str
    closed: int
    open: int
    unsealed: int
    r: Decimal
    first: str
    last: str
    oldest: str
    seen: int | None


@dataclass(slots=True)
class Chain:
    """Lines are taken one after the other, from the first; the first that is wrong raises BrokenError.

    `wanted` is the beginning of a hash that is looked for on the way.
    """

    wanted: str = ""
    count: int = 0
    head: str = entries.NOTHING
    _open: dict[int, list[entries.Entry]] = field(default_factory=dict)
    _closed: set[int] = field(default_factory=set)
    _unsealed: int = 0
    _r: Decimal = Decimal(0)
    _first: str = ""
    _last: str = ""
    _seen: int | None = None
    _ended: bool = False

    def take(self, line: bytes) -> None:
        """The next line, with its line break, is right and counted."""
        if self._ended:
            raise BrokenError(self.count + 1, "stands behind the line that ends the record")
        read = self._read(line)
        if "entries" in read:
            self._end(line, read)
        else:
            self._take(line, read)

    def end(self) -> Report:
        """What the whole record holds; raises BrokenError when its last line has not come."""
        if not self._ended:
            raise BrokenError(
                self.count + 1, "is missing, and so is the line that ends the record: it was cut off before"
            )
        return Report(
            entries=self.count,
            head=self.head,
            closed=len(self._closed),
            open=len(self._open),
            unsealed=self._unsealed,
            r=self._r,
            first=self._first,
            last=self._last,
            oldest=next((told[0].at for told in self._open.values()), ""),
            seen=self._seen,
        )

    def _read(self, line: bytes) -> dict[str, Any]:
        here = self.count + 1
        if len(line) > entries.LONGEST:
            raise BrokenError(here, f"is longer than the {entries.LONGEST} bytes that a line may have")
        if not line.endswith(b"\n"):
            raise BrokenError(here, "was cut off: its line has no end")
        try:
            read = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise BrokenError(here, "is not readable: its line is not JSON") from None
        if not isinstance(read, dict):
            raise BrokenError(here, "is not readable: its line is not a JSON object")
        return read

    def _end(self, line: bytes, read: dict[str, Any]) -> None:
        here = self.count + 1
        try:
            last = entries.Trailer.model_validate(read)
        except ValidationError:
            raise BrokenError(here, "is neither an entry nor the line that ends a record") from None
        if last.entries > self.count:
            raise BrokenError(here, f"is missing: the last line counts {last.entries} entries, here are {self.count}")
        if last.entries < self.count:
            raise BrokenError(last.entries + 1, f"was added: the last line counts {last.entries} entries only")
        if last.head != self.head:
            raise BrokenError(max(self.count, 1), "is not the one whose hash the last line names as the end")
        if entries.canonical(read) + b"\n" != line:
            raise BrokenError(here, "does not exist, but the line that ends the record is not written as RFC 8785 says")
        self._ended = True

    def _take(self, line: bytes, read: dict[str, Any]) -> None:
        here = self.count + 1
        try:
            entry = entries.Entry.model_validate(read)
            right = entries.canonical(read) + b"\n" == line
        except ValidationError as error:
            raise BrokenError(here, f"has not the form of an entry ({_first_fault(error)})") from None
        except rfc8785.CanonicalizationError:
            right = False
        if not right:
            raise BrokenError(here, "is not written as RFC 8785 says, so it was changed")
        self._link(entry, read)
        self._content(entry, read)
        self.count, self.head, self._last = entry.n, entry.hash, entry.at
        self._first = self._first or entry.at
        if self.wanted and self._seen is None and entry.hash.startswith(self.wanted):
            self._seen = entry.n

    def _link(self, entry: entries.Entry, read: dict[str, Any]) -> None:
        """Number, hash and the hash of the entry before are right."""
        here = self.count + 1
        if entries.digest({name: value for name, value in read.items() if name != "hash"}) != entry.hash:
            raise BrokenError(here, "was changed: its hash is not that of its content")
        if entry.n > here:
            raise BrokenError(here, f"is missing: entry {entry.n} stands in its place")
        if entry.n < here:
            raise BrokenError(here, f"is not here: entry {entry.n} stands in its place, once more or too late")
        if entry.previous != self.head:
            raise BrokenError(here, "does not follow the one before it: it names another hash as the previous one")

    def _content(self, entry: entries.Entry, read: dict[str, Any]) -> None:
        """What the entry says fits what was said of its signal before."""
        if entry.signal in self._closed:
            raise BrokenError(entry.n, f"is about signal {entry.signal}, which was closed before")
        wanted = {"closing", "reveal"} if entry.closes else {"commitment"}
        given = {name for name in ("commitment", "closing", "reveal", "unsealed") if name in read}
        allowed = wanted | {"unsealed"} if entry.closes else wanted
        if not wanted <= given <= allowed or any(read[name] is None for name in given):
            raise BrokenError(
                entry.n, f"has not what an entry of the kind {entry.kind} has: {', '.join(sorted(wanted))}"
            )
        if not entry.closes:
            before = self._open.setdefault(entry.signal, [])
            if before and (entry.kind == entries.OPENED or entry.kind in {one.kind for one in before}):
                raise BrokenError(entry.n, f"tells of signal {entry.signal} that it was {entry.kind}, once too often")
            before.append(entry)
            return
        for fault in self._closing_faults(entry, read):
            raise BrokenError(entry.n, fault)
        self._closed.add(entry.signal)
        self._unsealed += entry.unsealed is not None
        self._r += Decimal(entry.closing.r) if entry.closing else 0

    def _closing_faults(self, entry: entries.Entry, read: dict[str, Any]) -> Iterator[str]:
        """What is wrong with the end of a signal; each fault may lead to the ones after it."""
        before = self._open.pop(entry.signal, [])
        reveals = entry.reveal or []
        if [one.n for one in reveals] != [one.n for one in before]:
            yield f"does not reveal exactly the earlier entries of signal {entry.signal}"
        for one, said, earlier in zip(reveals, read["reveal"], before, strict=True):
            if not entries.opens(earlier.commitment or "", said["details"], one.salt):
                yield f"reveals other details of signal {entry.signal} than entry {one.n} committed to"
            if (earlier.kind == entries.OPENED) != isinstance(one.details, entries.Details):
                yield f"reveals details that do not fit the kind of entry {one.n}"
        details = reveals[0].details if reveals else None
        if entry.unsealed is not None:
            if isinstance(details, entries.Details):
                yield f"has the details of signal {entry.signal} twice"
            if entry.unsealed.published > (self._first or entry.at):
                yield f"says that signal {entry.signal} is from before the record, which began earlier"
            details = entry.unsealed.details
        if entry.closing is None or not isinstance(details, entries.Details):
            yield f"has no details of signal {entry.signal} from which its result could follow"
            return
        parts = [one.details for one in reveals if isinstance(one.details, entries.Part)]
        try:
            yield from _result_faults(entry.kind, details, parts, entry.closing)
        except ArithmeticError:
            yield "has figures with which nobody can compute"


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part)[:40] for part in fault["loc"]) or "the line"
    return f"{where[:120]}: {fault['msg'][:120]}"


def _result_faults(
    kind: str, details: entries.Details, parts: Sequence[entries.Part], closing: entries.Closing
) -> Iterator[str]:
    """What does not follow: exits from what happened, the average from the exits, the result from both."""
    on_the_way = [(part.price, part.share) for part in parts if Decimal(part.share)]
    if [(one.price, one.share) for one in closing.exits[:-1]] != on_the_way:
        yield "counts other exits than those that were committed to on the way"
    if sum(Decimal(one.share) for one in closing.exits) != 1:
        yield "has exits whose shares do not add up to the whole"
    candles = [details.candle, *(part.candle for part in parts), closing.candle]
    if candles != sorted(candles):
        yield "tells of candles in another order than that of time"
    yield from _exit_faults(kind, details, parts, closing)
    if entries.average(closing.exits) != Decimal(closing.average_exit):
        yield f"names {closing.average_exit} as the average exit, which does not follow from its exits"
    made = trade(details, closing)
    for name, said, computed in (("percent", closing.percent, made.percent), ("r", closing.r, made.r)):
        if said != entries.plain(computed):
            yield f"names {said} as its result ({name}), but {computed} follows from its figures"


def trade(details: entries.Details, closing: entries.Closing) -> results.Trade:
    """The closed signal as the product's one function for results sees it."""
    return results.Trade(
        long=details.direction == "long",
        entry=Decimal(details.entry),
        stop=Decimal(details.stop),
        filled=Decimal(closing.filled),
        exit=Decimal(closing.average_exit),
        fee=Decimal(details.fee),
        slippage=Decimal(details.slippage),
    )


def _exit_faults(
    kind: str, details: entries.Details, parts: Sequence[entries.Part], closing: entries.Closing
) -> Iterator[str]:
    """A target that was left before it was reached, or a stop left at a better price than any stop that was set."""
    sign = 1 if details.direction == "long" else -1
    reached = closing.exits if kind == "target" else closing.exits[:-1]
    if len(reached) > len(details.targets) or (kind == "target" and len(reached) != len(details.targets)):
        yield "counts other targets than those that were committed to"
    for one, target in zip(reached, details.targets, strict=False):
        if Decimal(one.share) != Decimal(target.share):
            yield f"counts {one.share} of the whole at a target of {target.share}"
        if sign * Decimal(one.price) < sign * Decimal(target.price):
            yield f"counts a target at {target.price} as reached, though it left at {one.price}"
    stops = [Decimal(details.stop), *(Decimal(part.stop) for part in parts)]
    last = closing.exits[-1].price
    if kind == "stopped" and sign * Decimal(last) > max(sign * stop for stop in stops):
        yield f"counts an exit at {last}, which is better than any stop that was set"
