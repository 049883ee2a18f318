"""What an operator reads: the state of the whole, places, deliveries, figures, and what they have set in motion."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.messages import earnings, figures, people, text
from core import catalogue, census, health, models
from core.billing import revenue

_MENU = text.Button("Operator's desk", data="/admin")
_MOST_ALARMS = 5
_USAGES = {
    "grant": "/grant MEMBER [PLAN] [DAYS]",
    "revoke": "/revoke MEMBER [PLAN]",
    "who": "/who MEMBER",
    "why": "/why MEMBER",
    "delivery": "/delivery ID",
    "broadcast": "/broadcast TEXT",
}


def usage(name: str, fault: str = "") -> text.Message:
    """How the command is written, after what was wrong with it."""
    who = "MEMBER is telegram:123456, discord:123456, @username, member:12, or a number on this chat."
    return text.message(
        *([fault] if fault else []),
        text.line("Write it so: ", text.Span(_USAGES[name], "code")),
        *([who] if "MEMBER" in _USAGES[name] else []),
        buttons=[[_MENU]],
    )


def menu(
    counted: census.Census,
    places: Sequence[models.Place],
    held: int,
    report: health.Report,
    paused: models.Switch | None,
) -> text.Message:
    """The state of the whole in a few lines, and where to look further."""
    alarms = [f"· {alarm.text} (since {figures.moment(alarm.first_at)})" for alarm in report.alarms[:_MOST_ALARMS]]
    more = len(report.alarms) - len(alarms)
    switch = text.Button("Resume signals", data="/resume") if paused else text.Button("Pause signals", data="/pause")
    return text.message(
        text.line(text.bold("Operator's desk")),
        f"Members with access: {counted.holding} of {counted.known} known",
        f"New signals: PAUSED since {figures.moment(paused.at)} by {paused.by}" if paused else "New signals: on",
        *(f"Place {place.name} ({people.platform(place.platform)}): {place.fault or 'fine'}" for place in places),
        *([] if places else ["No places for subscribers."]),
        *([text.line(f"Held back at the doors: {held}; see ", text.command("/drift"))] if held else []),
        "No alarms." if not report.alarms else text.line(text.bold(f"Alarms: {len(report.alarms)}")),
        *alarms,
        *([f"and {more} more"] if more > 0 else []),
        buttons=[
            [text.Button("Figures", data="/stats"), text.Button("Places", data="/drift")],
            [switch, text.Button("Parts", data="/service")],
        ],
    )


def stats(counted: census.Census, taken: revenue.Revenue, book: catalogue.Catalogue) -> text.Message:
    """The community in figures, each with what it counts."""
    by_plan = [
        f"· {_plan(book, plan)}, {status}: {number}" for (plan, status), number in sorted(counted.by_plan.items())
    ]
    states = [f"· {state}: {number}" for state, number in sorted(counted.deliveries.items())]
    return text.message(
        text.line(text.bold("Figures of this moment")),
        f"Members known: {counted.known} (have written to the bot, and were not deleted)",
        f"With access: {counted.holding} (at least one plan now, paid or given)",
        *by_plan,
        *earnings.lines(taken),
        text.line(text.bold("Chats")),
        f"Muted: {counted.muted}",
        f"Private chats that take no messages: {counted.unreachable}",
        text.line(text.bold("Deliveries planned in the last 24 hours, by their state now")),
        *(states or ["none"]),
        "A plan's status is what the payment provider said when it was last asked. Who has two plans is counted in "
        "each, and once in “with access”. What each figure counts stands in docs/dunning.md.",
        buttons=[[_MENU]],
    )


def _plan(book: catalogue.Catalogue, key: str) -> str:
    return book.by_key[key].name if key in book.by_key else key or "unknown plan"


def drift(rounds: Sequence[models.Round], names: Mapping[str, str]) -> text.Message:
    """What the last round through each chat's places, and through what each payment provider lists, found and did."""
    if not rounds:
        return text.message("No round through places was made yet; without places there is none.", buttons=[[_MENU]])
    waiting = sum(one.held for one in rounds if not one.released_by)
    release = [[text.Button(f"Let {waiting} leave", data="/drift release")]] if waiting else []
    return text.message(
        text.line(text.bold("Places: who is inside and who may be")),
        *(row for one in rounds for row in _round(one, names)),
        *(["Held back means: so many would have to leave at once that it may be a mistake."] if waiting else []),
        buttons=[*release, [_MENU]],
    )


def _round(one: models.Round, names: Mapping[str, str]) -> list[text.Line]:
    rows = [text.BLANK, text.line(text.bold(people.platform(one.platform)), f", round of {figures.moment(one.at)}")]
    for key, found in sorted(one.facts.items()):
        if "until" not in found:  # the mark up to which events were listed is nothing for people
            rows.append(text.line(f"{names.get(key, key)}: {_found(found)}"))
    if one.released_by:
        rows.append(text.line(f"Released by {one.released_by}; the next round lets them leave."))
    return rows


_FOUND = {
    "entitled": "may be inside",
    "inside": "inside",
    "unknown": "inside and unknown to us",
    "let_in": "let in",
    "put_out": "put out",
    "held": "held back",
    "requests": "requests waiting",
    "listed": "listed there",
    "changed": "put right",
    "ended": "ended",
    "gone": "unknown there",
    "fetched": "events that had to be fetched",
}


def _found(found: Mapping[str, Any]) -> str:
    if found.get("fault"):
        return str(found["fault"])
    return ", ".join(f"{words} {found[name]}" for name, words in _FOUND.items() if name in found) or "nothing to do"


def released(number: int) -> text.Message:
    """The next round puts out those who were held back."""
    if not number:
        return text.message("Nobody is held back, so there is nothing to release.", buttons=[[_MENU]])
    return text.message(
        text.line(text.bold(f"Released: {number} are put out at the next round, within ten minutes.")),
        "Who may be inside by then stays.",
        buttons=[[text.Button("Places", data="/drift"), _MENU]],
    )


def delivery(row: models.Delivery, to: str) -> text.Message:
    """One delivery from its beginning to where it is now."""
    what = " ".join(part for part in (row.kind, row.event or "", _name(row)) if part)
    about = f" of signal #{row.signal_id}" if row.signal_id else ""
    moments = (
        ("Planned", row.created_at),
        ("Not before", row.not_before),
        ("Tried first", row.tried_at),
        ("Worth sending until", row.expires_at),
        ("Ended", row.settled_at),
    )
    return text.message(
        text.line(text.bold(f"Delivery {row.id}: {what}{about}")),
        f"To: {to}",
        text.line("State: ", text.bold(str(row.state)), f" ({row.reason})" if row.reason else ""),
        *(f"{name}: {figures.moment(at)}" for name, at in moments if at is not None),
        f"Failed attempts: {row.attempts}, of them without a clear end: {row.ambiguities}",
        *([f"Answers delivery {row.after_id}"] if row.after_id else []),
        *([f"Message {row.message_id} in the chat"] if row.message_id else []),
        *([f"Caused by the request {row.request}"] if row.request else []),
        buttons=[[_MENU]],
    )


def _name(row: models.Delivery) -> str:
    return str((row.payload or {}).get("name", "")) if row.kind in {"notice", "summary"} else ""


def no_delivery(number: int) -> text.Message:
    return text.message(f"There is no delivery {number}.", buttons=[[_MENU]])


def paused(since: datetime, *, anew: bool) -> text.Message:
    """No new signals are published until they are resumed."""
    head = "New signals are paused." if anew else f"New signals have been paused since {figures.moment(since)} already."
    return text.message(
        text.line(text.bold(head)),
        "Markets are watched on; entries found meanwhile are not published, also not later. Open signals are followed "
        "to their end, and everybody sees the pause in /service.",
        buttons=[[text.Button("Resume signals", data="/resume"), _MENU]],
    )


def resumed(*, anew: bool) -> text.Message:
    """New signals are published."""
    words = "New signals are published again." if anew else "New signals were not paused; nothing changed."
    return text.message(words, buttons=[[text.Button("Pause signals", data="/pause"), _MENU]])


def broadcast_asked(draft: int, words: str, chats: int, places: Sequence[str]) -> text.Message:
    """The words once more with how many get them, before anything is sent."""
    also = f" and is posted in {', '.join(places)}" if places else ""
    return text.message(
        text.line(text.bold(f"Send this to {figures.counted(chats, 'private chat')}?")),
        *text.paragraphs(words),
        f"It goes to members with access, muted ones too{also}. It cannot be taken back.",
        buttons=[[text.Button("Send it", data=f"/broadcast yes {draft}"), text.Button("No", data="/admin")]],
    )


def broadcast_too_long(limit: int) -> text.Message:
    return text.message(f"That is too long; a message to everybody has at most {limit} characters.", buttons=[[_MENU]])


def broadcast_sent(chats: int, places: int) -> text.Message:
    """It is on its way."""
    return text.message(
        text.line(text.bold(f"On its way to {figures.counted(chats, 'private chat')}.")),
        *([f"Posted in {figures.counted(places, 'place')}."] if places else []),
        buttons=[[_MENU]],
    )


def broadcast_gone() -> text.Message:
    return text.message("That draft was sent already, is too old, or is not yours. Write it anew.", buttons=[[_MENU]])
