"""What an operator reads on the way to a signal by hand, and on the way to its end."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from bot.messages import figures, signals, text
from core import clock, models
from core.market import timeframes
from core.models import SignalStatus
from core.signals import closing, publish, results

_DESK = text.Button("Operator's desk", data="/admin")
_POST = "/post BTC long 27400 stop 26900 targets 28000 28500 Why"
_PARTS = "targets 28000:50%:entry 28500:50%"


def usage(fault: str = "") -> text.Message:
    """How a signal is written, after what was wrong with it."""
    return text.message(
        *([fault] if fault else []),
        text.line("Write it so: ", text.Span(_POST, "code")),
        "Without a price after the direction the entry is the last known close.",
        text.line("Parts, and where the stop goes after each: ", text.Span(_PARTS, "code")),
        text.line("How many candles it lives: ", text.Span("expires 24", "code"), ", before the reason."),
        buttons=[[_DESK]],
    )


def preview(draft: int, plan: publish.Draft, until: datetime, chats: int, places: Sequence[str]) -> text.Message:
    """The signal as it would be, before anybody has it."""
    # As it would stand in the table, so that its lines are those that members read.
    shown = models.Signal(
        direction="long" if plan.long else "short",
        symbol=plan.symbol,
        timeframe=plan.timeframe,
        candle=plan.candle,
        entry=plan.entry,
        target=plan.levels[-1].price,
        targets=plan.levels,
        stop=plan.stop,
        tick=plan.tick,
        expires=plan.expires,
        reason=plan.reason,
        status=SignalStatus.OPEN,
    )
    also = f" and is posted in {', '.join(places)}" if places else ""
    counts = clock.from_ms(plan.candle) + timedelta(seconds=timeframes.seconds(plan.timeframe))
    return text.message(
        text.line(text.bold("Publish this signal?")),
        *signals.planned(shown),
        f"Counts from the open of the next candle, {figures.moment(counts)}",
        *([text.BLANK, text.line(plan.reason)] if plan.reason else []),
        text.BLANK,
        f"It goes to {figures.counted(chats, 'private chat')}{also}. It cannot be taken back, only closed.",
        f"Asked until {figures.moment(until)}.",
        buttons=[[text.Button("Publish", data=f"/post yes {draft}"), text.Button("Discard", data=f"/post no {draft}")]],
        paid=True,
    )


def published(number: int) -> text.Message:
    """It is on its way."""
    close = text.Button(f"Close #{number}", data=f"/close {number}")
    return text.message(text.line(text.bold(f"Signal #{number} is published.")), buttons=[[close, _DESK]])


def exists(number: int) -> text.Message:
    """The same order was published before."""
    close = text.Button(f"Close #{number}", data=f"/close {number}")
    return text.message(
        f"That order is signal #{number} already; nothing was published again.", buttons=[[close, _DESK]]
    )


def discarded() -> text.Message:
    return text.message("Discarded; nobody got anything.", buttons=[[_DESK]])


def gone() -> text.Message:
    return text.message(
        "That draft is used up, older than ten minutes, or not yours. Write it anew.", buttons=[[_DESK]]
    )


def close_usage(fault: str = "") -> text.Message:
    """How an end is written."""
    return text.message(
        *([fault] if fault else []),
        text.line("Write it so: ", text.Span("/close ID [PRICE]", "code")),
        f"Without a price it is the last known close; a price may be {closing.MOST_OFF}% away from it.",
        buttons=[[_DESK]],
    )


def close_preview(draft: int, offer: closing.Offer, until: datetime, *, named: bool) -> text.Message:
    """The end as it would be, before anybody hears of it."""
    signal, price = offer.signal, offer.price
    result = f"{figures.percent(results.percent(signal, price))} ({figures.r(results.r(signal, price))})"
    return text.message(
        text.line(text.bold(f"Close #{signal.id} {signal.symbol} {signal.direction} at {_price(signal, price)}?")),
        text.line("Result: ", text.bold(result), f", {_counted(signal)}"),
        "Everybody who got the signal is told. It cannot be taken back.",
        *([] if named else ["If the market has another close when you confirm, that one counts."]),
        f"Asked until {figures.moment(until)}.",
        buttons=[[text.Button("Close it", data=f"/close yes {draft}"), text.Button("No", data=f"/close no {draft}")]],
    )


def _price(signal: models.Signal, price: Decimal) -> str:
    return figures.price(price, signal.tick)


def _counted(signal: models.Signal) -> str:
    if signal.filled is None:
        return "withdrawn before it was filled, so it counts from its entry"
    return f"from {_price(signal, signal.filled)}"


def closed(signal: models.Signal) -> text.Message:
    """It has ended, and everybody who got it is told."""
    return text.message(signals.result(signal), "Everybody who got the signal is told.", buttons=[[_DESK]])
