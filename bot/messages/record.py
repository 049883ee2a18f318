"""What we say about all results together, and about the record by which anybody can check them."""

from collections.abc import Sequence
from typing import Any

from bot.messages import figures, text
from core import catalogue
from core.signals import record, tally

_LATEST = text.Button("Latest results", data="/latest")
_CLOSED = text.Button("Closed signals", data="/history")
_ENDS = {
    "target": "✓ Target hit",
    "stopped": "✕ Stopped",
    "expired": "○ Expired",
    "closed": "◇ Closed by the operator",
    "delisted": "◇ Market delisted",
}
_ALWAYS = ("target", "stopped", "expired")
_MOST_GROUPS = 8
_MOST_MONTHS = 6
_KINDS = {"opened": "published", **{kind: said.partition(" ")[2].lower() for kind, said in _ENDS.items()}}


def all_results(counted: tally.Tally, book: catalogue.Catalogue, url: str) -> text.Message:
    """The public results: everything that closed is counted, losses included; `url` is that of the record's page."""
    page = [text.Button("All results on one page", url=url)]
    if not counted.closed:
        return text.message(
            text.line(text.bold("Results")),
            "No signal has closed yet, so there are no results to show.",
            _open(counted),
            *_fine_print(book.service),
            buttons=[[_LATEST], page],
        )
    return text.message(
        text.line(text.bold(f"All results: {figures.counted(counted.closed, 'closed signal')}")),
        *_span(counted),
        *_ends(counted),
        text.line("Together: ", text.bold(figures.r(counted.whole.r)), ", after assumed fees and slippage"),
        f"With a gain: {counted.whole.gains}, with a loss: {counted.whole.losses}",
        _rate(counted.whole),
        *_late(counted),
        _open(counted),
        *_groups("By strategy", counted.strategies),
        *_groups("By pair", counted.markets),
        *_groups("By month", counted.months, _MOST_MONTHS),
        text.BLANK,
        *_counted_costs(counted, book.costs),
        "1 R is what was at risk between entry and stop loss. Every signal that was published is counted.",
        text.line("Each of them can be checked: ", text.command("/verify"), " and its number"),
        *_fine_print(book.service),
        buttons=[[_CLOSED, _LATEST], page],
    )


def _open(counted: tally.Tally) -> str:
    since = f", the oldest since {figures.day(counted.oldest)}" if counted.oldest else ""
    return f"Open now and not counted: {counted.running}{since}"


def _span(counted: tally.Tally) -> list[text.Line]:
    if not (counted.first and counted.last):
        return []
    return [text.line(f"Published and closed from {figures.day(counted.first)} to {figures.day(counted.last)}")]


def _ends(counted: tally.Tally) -> list[str]:
    return [f"{said}: {counted.ends.get(kind, 0)}" for kind, said in _ENDS.items() if kind in {*_ALWAYS, *counted.ends}]


def _rate(group: tally.Group) -> text.Line:
    if group.rate is None:
        return text.line(f"Too few for a rate: we name one from {tally.ENOUGH} closed signals on.")
    return text.line(f"Share with a gain: {group.rate:.1f} %, which says nothing about the next one.")


def _late(counted: tally.Tally) -> list[text.Line]:
    if not counted.late:
        return []
    return [text.line(f"Of these came too late to be sent as fresh, after an outage: {counted.late}")]


def _groups(head: str, groups: Sequence[tally.Group], most: int = _MOST_GROUPS) -> list[text.Line]:
    """A line for each group where there are several; what does not fit stands on the page."""
    if len(groups) < 2:
        return []
    more = [text.line(f"and {len(groups) - most} more on the page")] if len(groups) > most else []
    return [text.BLANK, text.line(text.bold(head)), *map(_group, groups[:most]), *more]


def _group(group: tally.Group) -> text.Line:
    rate = "" if group.rate is None else f", {group.rate:.1f} % with a gain"
    return text.line(f"{group.name}: {group.closed} closed, ", text.bold(figures.r(group.r)), rate)


def _counted_costs(counted: tally.Tally, costs: catalogue.Costs) -> list[text.Line]:
    now = f"{costs.fee_percent.normalize():f} % fee and {costs.slippage_percent.normalize():f} % slippage"
    said = f"Counted are the costs that were assumed when each signal was published, now {now} at each side."
    if not counted.bare:
        return [text.line(said)]
    return [text.line(said), text.line(f"Without any costs, from before they were assumed: {counted.bare}")]


def _fine_print(service: catalogue.Service) -> list[text.Line]:
    notice = [text.line(text.bold(service.notice))] if service.notice else []
    return [text.BLANK, *notice, text.line(text.italic(service.risk))]


def entries_of(number: int, noted: Sequence[record.Noted], newest: record.Head, url: str) -> text.Message:
    """What everybody may know of a signal's entries in the record, and how to check them."""
    closed = noted[-1].closes
    said = (
        f"Entry {noted[-1].n} reveals all that the earlier ones committed to, and shows how the result follows."
        if closed
        else "The signal is open, so these are commitments: they say nothing yet, and cannot be changed any more. "
        "What they were made of is revealed when it closes."
    )
    return text.message(
        text.line(text.bold(f"Signal #{number} in the record")),
        *(row for one in noted for row in _entry(one)),
        text.BLANK,
        said,
        text.BLANK,
        *_how_to_check(newest, url),
        buttons=[[text.Button("The whole record", url=url)]],
    )


def _entry(one: record.Noted) -> list[text.Line]:
    what = _KINDS.get(one.kind) or f"target {one.kind.removeprefix('target')} hit"
    return [text.line(f"Entry {one.n}: {what}"), text.line(text.Span(one.hash, "code"))]


def _how_to_check(newest: record.Head, url: str) -> list[text.Line]:
    return [
        text.line(f"The record has {figures.counted(newest.n, 'line')}; its newest hash is"),
        text.line(text.Span(newest.hash, "code")),
        text.line("To check everything yourself, with SignalStack or with a few lines of your own code:"),
        text.line(text.Span(f"signalstack verify {url}.jsonl", "code")),
        text.line(text.Span(url, live=True)),
    ]


def no_entries(number: int) -> text.Message:
    """The record has nothing about this signal; whether there is one is not said."""
    return text.message(
        f"The record has no entry about a signal #{number}. Signals from before the record enter it when they close.",
        buttons=[[_CLOSED, _LATEST]],
    )


def which() -> text.Message:
    """No number was said, or none that can be one."""
    return text.message(
        text.line("Say which signal, by its number: ", text.command("/verify"), " 12. Lists show it after “#”."),
        buttons=[[_CLOSED, _LATEST]],
    )


def head(facts: dict[str, Any], service: catalogue.Service) -> text.Message:
    """Today's head of the record, for a public channel: what is written here cannot be taken back by its keeper."""
    url = str(facts["url"])
    return text.message(
        text.line(text.bold(f"{service.name}: the record on {facts['day']} (UTC)")),
        _standing(int(facts["entries"])),
        text.line(text.Span(str(facts["head"]), "code")),
        "Whoever keeps this message can show later that nothing before it was changed:",
        text.line(text.Span(f"signalstack verify {url}.jsonl --head {facts['head']}", "code")),
        text.line(text.Span(url, live=True)),
        *_fine_print(service),
    )


def _standing(entries: int) -> str:
    return "1 entry, with the hash" if entries == 1 else f"{entries} entries, the last of them with the hash"
