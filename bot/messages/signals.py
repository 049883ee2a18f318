"""What a signal's opening and its end say, and the short lines in which lists name signals.

Every figure is computed from the stored prices of the signal; nothing here estimates or promises.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from bot.messages import figures, text
from core import catalogue, clock, models
from core.market import timeframes
from core.models import SignalStatus
from core.signals import results

CAPTION = 1024
"""An opening fits the caption of a picture, so that picture and words are one message."""
_WORDS = {"long": "▲ Long", "short": "▼ Short"}
_ENDS = {"target": "✓ Target hit", "stopped": "✕ Stopped", "expired": "○ Expired"}


Facts = tuple[object, ...]


def facts(signal: models.Signal) -> Facts:
    """Everything of a signal that these messages can say; equal facts make equal messages."""
    what = (signal.id, signal.symbol, signal.timeframe, signal.direction, signal.reason, signal.late)
    levels = (signal.entry, signal.target, signal.stop, signal.tick, signal.candle, signal.expires)
    return (*what, *levels, signal.status, signal.close_price, signal.close_candle)


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
    tail = [text.BLANK, *_fine_print(service)]
    fixed = text.message(tuple(head), *levels, text.BLANK, text.BLANK, *tail, picture=True)
    reason = text.shortened(signal.reason, CAPTION - text.units(fixed.plain))
    middle = [text.BLANK, text.line(reason)] if reason else []
    return text.message(tuple(head), *levels, *middle, *tail, picture=True)


def _levels(signal: models.Signal) -> list[text.Line]:
    target, stop = (figures.percent(results.percent(signal, price)) for price in (signal.target, signal.stop))
    ratio = results.reward_risk(signal)
    return [
        text.line("Entry ", text.bold(figures.price(signal.entry, signal.tick))),
        text.line("Target ", text.bold(figures.price(signal.target, signal.tick)), f" ({target}, {figures.r(ratio)})"),
        text.line("Stop loss ", text.bold(figures.price(signal.stop, signal.tick)), f" ({stop})"),
        text.line(f"Risk/reward 1 : {ratio:.2f}"),
    ]


def _times(signal: models.Signal, *, dated: bool) -> list[text.Line]:
    ends = text.line(f"Expires {figures.moment(clock.from_ms(signal.expires))}")
    if not dated:
        return [ends]
    since = figures.moment(_closes(signal, signal.candle))
    return [ends, text.line(f"Given {since}; the price may have moved since.")]


def _fine_print(service: catalogue.Service) -> list[text.Line]:
    notice = [text.line(text.bold(service.notice))] if service.notice else []
    return [*notice, text.line(text.italic(service.risk))]


def closing(signal: models.Signal, service: catalogue.Service) -> text.Message:
    """How the signal ended, in percent, in R and in candles; a reply to its opening."""
    return text.message(
        text.line(
            text.bold(_ENDS[signal.status]),
            f" · {signal.symbol} {signal.direction} · {signal.timeframe} · #{signal.id}",
        ),
        text.line(text.bold(_result(signal)), f" after {_duration(signal)}"),
        text.line(f"Entry {figures.price(signal.entry, signal.tick)}, exit {_exit(signal)}"),
        text.BLANK,
        *_fine_print(service),
    )


def _result(signal: models.Signal) -> str:
    return f"{figures.percent(results.percent(signal))} ({figures.r(results.r(signal))})"


def _exit(signal: models.Signal) -> str:
    return figures.price(signal.close_price, signal.tick) if signal.close_price is not None else "–"


def _duration(signal: models.Signal) -> str:
    if signal.close_candle is None:
        return "no candle"
    return figures.counted((signal.close_candle - signal.candle) // timeframes.ms(signal.timeframe), "candle")


def listed(signal: models.Signal) -> list[text.Line]:
    """The signal as a paying member's list shows it: open ones with their levels, closed ones with their result."""
    if signal.status != SignalStatus.OPEN:
        return [result(signal)]
    levels = (figures.price(value, signal.tick) for value in (signal.entry, signal.target, signal.stop))
    return [
        text.line(
            text.bold(f"{_WORDS[signal.direction]} {signal.symbol}"), f" · {signal.timeframe} · #{signal.id} · open"
        ),
        text.line("Entry {}, target {}, stop loss {}".format(*levels)),
        *_times(signal, dated=True),
    ]


def result(signal: models.Signal) -> text.Line:
    """A closed signal as anybody may read it: what it was and what came of it."""
    what = f" · {signal.symbol} {signal.direction} · {signal.timeframe} · #{signal.id}: "
    return text.line(text.bold(_ENDS[signal.status]), what, text.bold(_result(signal)))


def closed_on(signal: models.Signal) -> text.Line:
    """The same with the day on which it closed."""
    when = _closes(signal, signal.close_candle) if signal.close_candle is not None else signal.closed_at
    return (*result(signal), text.Span(f" · {figures.day(when)}")) if when else result(signal)


def _closes(signal: models.Signal, candle: int) -> datetime:
    """When this candle closed."""
    return clock.from_ms(candle) + timedelta(seconds=timeframes.seconds(signal.timeframe))


def whole(signal: models.Signal, events: Sequence[models.SignalEvent], *, levels: bool) -> list[text.Line]:
    """The signal and everything that happened to it; with `levels` also what only those may read who have it."""
    what = f"{signal.symbol} · {signal.timeframe} · #{signal.id}"
    running = signal.status == SignalStatus.OPEN
    ended = [] if running else [text.line(text.bold(f"{_ENDS[signal.status]}: {_result(signal)}"))]
    ended += [] if running else [text.line(f"after {_duration(signal)}")]
    return [
        text.line(text.bold(f"{_WORDS[signal.direction]} {what}"), " · open" if running else ""),
        *(_levels(signal) if levels else []),
        *(_times(signal, dated=True) if running else []),
        *ended,
        *([text.BLANK] if events or signal.late else []),
        *(_happened(signal, event) for event in events),
        *([text.line("It came too late to be sent as fresh.")] if signal.late else []),
        *([text.BLANK, text.line(signal.reason)] if levels and signal.reason else []),
    ]


_EVENTS = {"opened": "published, entry", "target": "target hit at", "stopped": "stopped at", "expired": "expired at"}


def _happened(signal: models.Signal, event: models.SignalEvent) -> text.Line:
    when = figures.moment(_closes(signal, event.candle))
    said = _EVENTS.get(event.event, event.event)
    return text.line(f"{when}: {said} {figures.price(event.price, signal.tick)}")


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
