"""What we answer about signals: the latest, the open ones, the closed ones, a single one, and the public results."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bot.messages import figures, signals, text
from core import catalogue, models
from core.signals import marks, results

_PLANS = text.Button("Plans and prices", data="/plans")
_LATEST = text.Button("Latest results", data="/latest")
_MOST_PAIRS = 9
Live = Mapping[int, Sequence[text.Line]]
_NONE: Live = MappingProxyType({})


def latest(
    shown: Sequence[models.Signal],
    service: catalogue.Service,
    *,
    paying: bool,
    pairs: Sequence[str] = (),
    live: Live = _NONE,
) -> text.Message:
    """The signals, newest first; callers leave out the open ones that the reader has not paid for.

    `live` says of open ones, by their number, how they stand.
    """
    head = "Latest signals" if paying else "Latest results"
    open_to = [] if paying else [text.BLANK, text.line("Open signals go to subscribers: ", text.command("/subscribe"))]
    return text.message(
        text.line(text.bold(head)),
        *(_rows(shown, live) or [text.line("Nothing yet. Signals are rare on purpose; this list fills by itself.")]),
        *open_to,
        *_fine_print(service),
        buttons=[*_pair_rows("latest", pairs), *([] if paying else [[_PLANS]])],
        paid=_open(shown),
    )


def _rows(shown: Sequence[models.Signal], live: Live) -> list[text.Line]:
    return [row for signal in shown for row in (text.BLANK, *signals.listed(signal, live.get(signal.id, ())))]


def live(shown: Sequence[models.Signal], found: Mapping[int, marks.Mark]) -> Live:
    """How each open one of these signals stands, by its number, where its market is known to stand as found."""
    running = [signal for signal in shown if signal.status == models.SignalStatus.OPEN]
    return {signal.id: _standing(signal, found.get(signal.id)) for signal in running}


def _open(shown: Sequence[models.Signal]) -> bool:
    return any(signal.status == models.SignalStatus.OPEN for signal in shown)


def _fine_print(service: catalogue.Service) -> list[text.Line]:
    notice = [text.line(text.bold(service.notice))] if service.notice else []
    return [text.BLANK, *notice, text.line(text.italic(service.risk))]


def which_pair(pairs: Sequence[str], command: str = "latest") -> text.Message:
    """The pair that was asked for is not watched; these are."""
    return text.message("We do not watch that pair. These are the ones we watch:", buttons=_pair_rows(command, pairs))


def _pair_rows(command: str, pairs: Sequence[str]) -> list[list[text.Button]]:
    buttons = [text.Button(pair, data=f"/{command} {pair}") for pair in pairs[:30]]
    return [buttons[i : i + 3] for i in range(0, len(buttons), 3)]


def _standing(signal: models.Signal, mark: marks.Mark | None) -> list[text.Line]:
    """How an open signal stands at the newest known price: what it would bring, what is reached, where the stop is."""
    reached = []
    if signal.reached:
        rest = f"{signal.reached} of {len(signal.levels)} reached, {figures.share(signal.left)} still open"
        reached = [text.line(f"Target {rest}{_moved(signal)}")]
    if mark is None:
        return [*reached, text.line("The price now is not known yet.")]
    old = f"{figures.age(mark.age)} old"
    price = figures.price(mark.price, signal.tick)
    if signal.filled is None:
        return [*reached, text.line(f"Last price {price} ({old}); it counts from the open of the next candle.")]
    so_far = f"{figures.percent(results.percent(signal, mark.price))} ({figures.r(results.r(signal, mark.price))})"
    return [*reached, text.line(f"Last price {price} ({old}): ", text.bold(so_far), " so far")]


def _moved(signal: models.Signal) -> str:
    if signal.stop_now is None or signal.stop_now == signal.stop:
        return ""
    return f", stop loss moved from {figures.price(signal.stop, signal.tick)}"


def opened(
    shown: Sequence[models.Signal],
    service: catalogue.Service,
    *,
    paying: bool,
    page: int,
    pages: int,
    live: Live = _NONE,
) -> text.Message:
    """Open signals that the reader has, with their levels and how they stand, and pages when they are many."""
    if not paying:
        return text.message(
            "Open signals go to subscribers. Everybody may read how the closed ones ended.",
            buttons=[[_PLANS], [text.Button("Closed signals", data="/history"), _LATEST]],
        )
    if not shown:
        return text.message(
            "No signal of yours is open right now. The next one comes to you by itself.",
            buttons=[[text.Button("Closed signals", data="/history")]],
        )
    return text.message(
        text.line(text.bold("Open signals" if pages < 2 else f"Open signals, page {page} of {pages}")),
        *_rows(shown, live),
        text.BLANK,
        text.line(signals.costs(shown[0])),
        *_fine_print(service)[1:],
        buttons=[*_numbers(shown), _turn("open", page, pages)],
        paid=True,
    )


def history(
    shown: Sequence[models.Signal],
    service: catalogue.Service,
    *,
    pair: str,
    page: int,
    pages: int,
    pairs: Sequence[str] = (),
) -> text.Message:
    """Closed signals with their results, newest first."""
    about = f" of {pair}" if pair else ""
    if not shown:
        return text.message(f"No signal{about} has closed yet.", buttons=[[_LATEST]])
    return text.message(
        text.line(text.bold(f"Closed signals{about}, page {page} of {pages}")),
        *(signals.closed_on(signal) for signal in shown),
        "The buttons show one of them in full.",
        *_fine_print(service),
        buttons=[
            *_numbers(shown),
            _turn(f"history {pair}".strip(), page, pages),
            *_pair_rows("history", pairs if len(pairs) <= _MOST_PAIRS else ()),
        ],
    )


def _numbers(shown: Sequence[models.Signal]) -> list[list[text.Button]]:
    """A button for each signal, which shows it in full."""
    buttons = [text.Button(f"#{signal.id}", data=f"/signal {signal.id}") for signal in shown]
    return [buttons[i : i + 5] for i in range(0, len(buttons), 5)]


def _turn(line: str, page: int, pages: int) -> list[text.Button]:
    newer = [text.Button("« Newer", data=f"/{line} {page - 1}")] if page > 1 else []
    older = [text.Button("Older »", data=f"/{line} {page + 1}")] if page < pages else []
    return newer + older


def whole(
    signal: models.Signal,
    events: Sequence[models.SignalEvent],
    service: catalogue.Service,
    *,
    levels: bool,
    live: Live = _NONE,
) -> text.Message:
    """One signal with everything that happened to it; its levels, its chart and its reason for those who have it."""
    now = [*live.get(signal.id, ()), text.line(signals.costs(signal))] if _open([signal]) else []
    shown = signals.whole(signal, events, levels=levels, live=now)
    more = [text.Button("Open signals", data="/open"), text.Button("Closed signals", data="/history")]
    about = f"signal:{signal.id}" if levels else ""
    return text.message(
        *shown, *_fine_print(service), buttons=[more], picture=levels, paid=_open([signal]), about=about
    )


def which_signal() -> text.Message:
    """No number was said, or none that can be one."""
    return text.message(
        text.line(
            "Say which signal, by its number: ", text.command("/signal"), " 12. Lists show the numbers after “#”."
        ),
        buttons=[[_LATEST, text.Button("Closed signals", data="/history")]],
    )


def no_signal(number: int) -> text.Message:
    """There is no such signal, or it is open and not the reader's; which of these is not said."""
    return text.message(
        f"There is no signal #{number} that you can read. Closed signals are open to everybody; open ones go to those "
        "whose plan has them.",
        buttons=[[_LATEST, _PLANS]],
    )
