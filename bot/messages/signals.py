"""What a signal's opening and its end say, and the short lines in which lists name signals.

Every figure is computed from the stored prices of the signal; nothing here estimates or promises.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from bot.messages import figures, text
from core import catalogue, clock, models
from core.market import timeframes
from core.models import SignalStatus
from core.signals import results

CAPTION = 1024
"""An opening fits the caption of a picture, so that picture and words are one message."""
_WORDS = {"long": "▲ Long", "short": "▼ Short"}
_ENDS = {
    "target": "✓ Target hit",
    "stopped": "✕ Stopped",
    "expired": "○ Expired",
    "closed": "◇ Closed by the operator",
    "delisted": "◇ Market delisted",
}
_SEAL = 12
"""So many characters of an entry's hash stand in a message; enough to find it in the record."""


Facts = tuple[object, ...]


def facts(signal: models.Signal) -> Facts:
    """Everything of a signal that these messages can say; equal facts make equal messages."""
    what = (signal.id, signal.symbol, signal.timeframe, signal.direction, signal.reason, signal.late)
    levels = (signal.entry, signal.levels, signal.stop, signal.tick, signal.candle, signal.expires)
    stands = (signal.status, signal.filled, signal.reached, signal.stop_now, signal.left, signal.banked, signal.seal)
    return (*what, *levels, *stands, signal.close_price, signal.close_candle, signal.fee, signal.slippage)


def opening(
    signal: models.Signal, service: catalogue.Service, *, repeat: bool = False, catch_up: bool = False
) -> text.Message:
    """The signal with its levels, its reason and the risk text; at most 1024 units, the reason gives way."""
    head = [
        text.bold(f"{_WORDS[signal.direction]} {signal.symbol}"),
        text.Span(f" · {signal.timeframe} · #{signal.id}"),
    ]
    head += [text.bold(" (repeat)")] if repeat else [text.Span(" (still open)")] if catch_up else []
    levels = [*_levels(signal), *_times(signal, dated=repeat or catch_up or signal.late)]
    tail = [text.BLANK, *_sealed(signal.seal), *_fine_print(service)]
    fixed = text.message(tuple(head), *levels, text.BLANK, text.BLANK, *tail, picture=True)
    reason = text.shortened(signal.reason, CAPTION - text.units(fixed.plain))
    middle = [text.BLANK, text.line(reason)] if reason else []
    return text.message(tuple(head), *levels, *middle, *tail, picture=True)


def _levels(signal: models.Signal) -> list[text.Line]:
    stop = figures.percent(results.planned_percent(signal, signal.stop))
    return [
        text.line("Entry ", text.bold(figures.price(signal.entry, signal.tick))),
        *(_target(signal, number) for number in range(len(signal.levels))),
        text.line("Stop loss ", text.bold(figures.price(signal.stop, signal.tick)), f" ({stop})"),
        text.line(f"Risk/reward 1 : {results.reward_risk(signal):.2f}"),
    ]


def planned(signal: models.Signal) -> list[text.Line]:
    """What would be published of a signal that has no number yet; its head is none that a published one has."""
    head = text.line(text.bold(f"Draft: {signal.direction} {signal.symbol}"), f" · {signal.timeframe}")
    return [head, *_levels(signal), *_times(signal, dated=False)]


def _target(signal: models.Signal, number: int) -> text.Line:
    level, several = signal.levels[number], len(signal.levels) > 1
    way = figures.percent(results.planned_percent(signal, level.price))
    ratio = figures.r(results.planned_r(signal, level.price))
    share = f": {figures.share(level.share)} out" if several else ""
    stop = "" if level.stop is None else f", stop to {figures.price(level.stop, signal.tick)}"
    name = f"Target {number + 1} " if several else "Target "
    return text.line(name, text.bold(figures.price(level.price, signal.tick)), f" ({way}, {ratio}){share}{stop}")


def _sealed(seal: str) -> list[text.Line]:
    """The beginning of the entry's hash, by which it is found in the public record."""
    return [text.line("Record ", text.Span(seal[:_SEAL], "code"))] if seal else []


def _times(signal: models.Signal, *, dated: bool) -> list[text.Line]:
    ends = text.line(f"Expires {figures.moment(clock.from_ms(signal.expires))}")
    if not dated:
        return [ends]
    # By hand a signal is given while its candle is still running.
    since = figures.moment(min(_closes(signal, signal.candle), signal.created_at))
    return [ends, text.line(f"Given {since}; the price may have moved since.")]


def _fine_print(service: catalogue.Service) -> list[text.Line]:
    notice = [text.line(text.bold(service.notice))] if service.notice else []
    return [*notice, text.line(text.italic(service.risk))]


def update(signal: models.Signal, facts: dict[str, Any], service: catalogue.Service) -> text.Message:
    """What one candle did to the signal: targets on the way, or its end; a reply to its opening.

    `facts` are the `changes` (event, price, share, stop, seal) and what is `left`; without them it is the end.
    """
    changes = facts.get("changes") or []
    if not changes or changes[-1]["event"] in _ENDS:
        return closing(signal, service, seal=changes[-1]["seal"] if changes else "")
    stop, left = Decimal(changes[-1]["stop"]), Decimal(facts["left"])
    reached = ", ".join(one["event"].removeprefix("target") for one in changes)
    parts = [
        text.line(f"{figures.share(Decimal(one['share']))} out at ", text.bold(_price(signal, one["price"])))
        for one in changes
    ]
    return text.message(
        text.line(text.bold(f"◐ Target {reached} of {len(signal.levels)} hit"), f" · {_named(signal)}"),
        *parts,
        text.line(f"{figures.share(left)} go on; stop loss at ", text.bold(figures.price(stop, signal.tick))),
        text.BLANK,
        *_sealed(changes[-1]["seal"]),
        *_fine_print(service),
        paid=True,
    )


def _price(signal: models.Signal, price: str) -> str:
    return figures.price(Decimal(price), signal.tick)


def _named(signal: models.Signal) -> str:
    return f"{signal.symbol} {signal.direction} · {signal.timeframe} · #{signal.id}"


def closing(signal: models.Signal, service: catalogue.Service, *, seal: str = "") -> text.Message:
    """How the signal ended, in percent, in R and in candles; a reply to its opening."""
    return text.message(
        text.line(text.bold(_end(signal)), f" · {_named(signal)}"),
        text.line(text.bold(_result(signal)), f" after {_duration(signal)}"),
        text.line(f"Entry {_entry(signal)}, exit {_exit(signal)}"),
        text.line(costs(signal)),
        text.BLANK,
        *_sealed(seal),
        *_fine_print(service),
        picture=True,
    )


def _end(signal: models.Signal) -> str:
    """How it ended, and how far it had come before."""
    halfway = signal.reached and signal.status != SignalStatus.TARGET
    return _ENDS[signal.status] + (f" after target {signal.reached} of {len(signal.levels)}" if halfway else "")


def costs(signal: models.Signal) -> str:
    """What the signal's result counts as costs, in words."""
    if not signal.fee + signal.slippage:
        return "Fees and slippage are not counted."
    return (
        f"Counted: {signal.fee.normalize():f}{figures.THIN}% fee and {signal.slippage.normalize():f}{figures.THIN}% "
        "slippage at each side."
    )


def _result(signal: models.Signal) -> str:
    return f"{figures.percent(results.percent(signal))} ({figures.r(results.r(signal))})"


def _entry(signal: models.Signal) -> str:
    """The price that was published, and the one it counts from where the next candle opened elsewhere."""
    said = figures.price(signal.entry, signal.tick)
    if signal.filled in {None, signal.entry}:
        return said
    return f"{said}, filled at {figures.price(signal.filled, signal.tick)}"


def _exit(signal: models.Signal) -> str:
    """The price it left at, the average of all parts where there were several."""
    if signal.close_price is None:
        return "–"
    several = "on average " if signal.reached and len(signal.levels) > 1 else ""
    return several + figures.price(signal.close_price, signal.tick)


def _duration(signal: models.Signal) -> str:
    if signal.close_candle is None:
        return "no candle"
    return figures.counted((signal.close_candle - signal.candle) // timeframes.ms(signal.timeframe), "candle")


def listed(signal: models.Signal, live: Sequence[text.Line] = ()) -> list[text.Line]:
    """The signal as a paying member's list shows it: open ones with their levels, closed ones with their result."""
    if signal.status != SignalStatus.OPEN:
        return [result(signal)]
    goal = signal.levels[min(signal.reached, len(signal.levels) - 1)].price
    stop = signal.stop if signal.stop_now is None else signal.stop_now
    levels = (figures.price(value, signal.tick) for value in (signal.entry, goal, stop))
    return [
        text.line(
            text.bold(f"{_WORDS[signal.direction]} {signal.symbol}"), f" · {signal.timeframe} · #{signal.id} · open"
        ),
        text.line("Entry {}, target {}, stop loss {}".format(*levels)),
        *live,
        *_times(signal, dated=True),
    ]


def result(signal: models.Signal) -> text.Line:
    """A closed signal as anybody may read it: what it was and what came of it."""
    return text.line(text.bold(_end(signal)), f" · {_named(signal)}: ", text.bold(_result(signal)))


def closed_on(signal: models.Signal) -> text.Line:
    """The same with the day on which it closed."""
    when = _closes(signal, signal.close_candle) if signal.close_candle is not None else signal.closed_at
    return (*result(signal), text.Span(f" · {figures.day(when)}")) if when else result(signal)


def _closes(signal: models.Signal, candle: int) -> datetime:
    """When this candle closed."""
    return clock.from_ms(candle) + timedelta(seconds=timeframes.seconds(signal.timeframe))


def whole(
    signal: models.Signal, events: Sequence[models.SignalEvent], *, levels: bool, live: Sequence[text.Line] = ()
) -> list[text.Line]:
    """The signal and everything that happened to it; with `levels` also what only those may read who have it."""
    what = f"{signal.symbol} · {signal.timeframe} · #{signal.id}"
    running = signal.status == SignalStatus.OPEN
    ended = [] if running else [text.line(text.bold(f"{_end(signal)}: {_result(signal)}"))]
    ended += [] if running else [text.line(f"after {_duration(signal)}. {costs(signal)}")]
    return [
        text.line(text.bold(f"{_WORDS[signal.direction]} {what}"), " · open" if running else ""),
        *(_levels(signal) if levels else []),
        *(_counted(signal) if levels else []),
        *live,
        *(_times(signal, dated=True) if running else []),
        *ended,
        *([text.BLANK] if events or signal.late else []),
        *(_happened(signal, event) for event in events),
        *([text.line("It came too late to be sent as fresh.")] if signal.late else []),
        *([text.BLANK, text.line(signal.reason)] if levels and signal.reason else []),
    ]


def _counted(signal: models.Signal) -> list[text.Line]:
    """From which price the result counts, where that is not the published entry."""
    if signal.filled is None or signal.filled == signal.entry:
        return []
    return [text.line(f"Counted from {figures.price(signal.filled, signal.tick)}, the open of the next candle")]


_EVENTS = {
    "opened": "published, entry",
    "target": "target hit at",
    "stopped": "stopped at",
    "expired": "expired at",
    "closed": "closed by the operator at",
    "delisted": "delisted, last price",
}


def _happened(signal: models.Signal, event: models.SignalEvent) -> text.Line:
    when = figures.moment(min(_closes(signal, event.candle), event.at))
    partly = event.event not in _EVENTS
    said = f"target {event.event.removeprefix('target')} hit, {figures.share(event.share)} out at" if partly else ""
    moved = "" if not partly or event.stop is None else f", stop loss at {figures.price(event.stop, signal.tick)}"
    price = figures.price(event.price, signal.tick)
    rest = f" ({figures.share(event.share)})" if not partly and 0 < event.share < 1 else ""
    return text.line(f"{when}: {said or _EVENTS[event.event]} {price}{rest}{moved}")


def late(signals: list[dict[str, object]], service: catalogue.Service) -> text.Message:
    """One summary instead of openings that came too late to act on; entries have id, symbol, timeframe, direction."""
    number = len(signals)
    rows = [
        text.line(f"· {_WORDS[str(s['direction'])]} {s['symbol']} · {s['timeframe']} · #{s['id']}") for s in signals
    ]
    return text.message(
        text.line(text.bold(f"While we were away: {figures.counted(number, 'signal')}")),
        text.line("Too much time has passed to act on them, so we do not send them as fresh. ", text.command("/latest"))
        if number
        else text.BLANK,
        *rows,
        text.BLANK,
        *_fine_print(service),
    )
