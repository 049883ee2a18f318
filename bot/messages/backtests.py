"""What we say about backtests: which one is meant, that it runs, and what came of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from bot.messages import figures, signals, text
from core import catalogue
from core.signals import tally

_PLANS = text.Button("Plans and prices", data="/plans")
_RESULTS = text.Button("Real results", data="/record")
_AGAIN = text.Button("Another backtest", data="/backtest")
_SHORT = 90  # days
_PARAMS = 160  # units


def for_subscribers() -> text.Message:
    """Backtests belong to a plan."""
    return text.message(
        text.line("Backtests are for subscribers; the way to become one is ", text.command("/subscribe"), "."),
        buttons=[[_PLANS], [_RESULTS]],
    )


def which(what: str, choices: Sequence[tuple[str, str]], *, unknown: str = "") -> text.Message:
    """One of these choices (words, command line) is asked for: a `what`; `unknown` is what was said instead."""
    said = f"“{text.shortened(unknown, 30)}” is nothing that we know. " if unknown else ""
    buttons = [text.Button(words, data=line) for words, line in choices]
    return text.message(
        f"{said}Which {what} shall be tested? It is held against the candles that we have stored.",
        buttons=[buttons[i : i + 2] for i in range(0, len(buttons), 2)],
    )


def running(asked: Mapping[str, str], *, new: bool) -> text.Message:
    """The backtest is on its way."""
    state = "is running" if new else "is running already"
    return text.message(
        text.line("The backtest of ", text.bold(_named(asked)), f" {state}. Its answer comes here, mostly in seconds.")
    )


def _named(facts: Mapping[str, Any]) -> str:
    return f"{facts['symbol']} · {facts['timeframe']} · {facts['strategy']}"


def result(facts: Mapping[str, Any], service: catalogue.Service) -> text.Message:
    """What the backtest brought, with its curve; or why there is no result."""
    if "error" in facts:
        return text.message(
            text.line("The backtest of ", text.bold(_named(facts)), " has no result."),
            str(facts["error"]),
            buttons=[[_AGAIN]],
        )
    notice = [text.line(text.bold(service.notice))] if service.notice else []
    head = [text.line(text.bold("Backtest"), f" · {_named(facts)}"), *_history(facts), text.BLANK]
    head += [*_outcome(facts["summary"]), text.BLANK]
    tail = [
        text.line(_costs(facts["costs"])),
        text.line("This is computed from the past. It promises nothing about what comes."),
        *notice,
        text.line(text.italic(service.risk)),
    ]
    room = signals.CAPTION - text.units(text.message(*head, *tail).plain) - 1
    params = text.shortened(_params(facts), min(_PARAMS, room))
    shown = [*head, *([text.line(params)] if params else []), *tail]
    return text.message(*shown, buttons=[[_AGAIN, _RESULTS]], picture=True, about=f"backtest:{facts['id']}")


def _history(facts: Mapping[str, Any]) -> list[text.Line]:
    """The candles it was held against, and what is to be known of them."""
    if not facts["since"]:
        return [text.line("There are too few stored candles for this strategy to decide anything.")]
    since, until = (datetime.fromisoformat(facts[name]) for name in ("since", "until"))
    gaps = f", {facts['gaps']} missing" if facts["gaps"] else ""
    days = (until - since).days
    span = f"{figures.day(since)} to {figures.day(until)}: {facts['candles']} candles of {facts['exchange']}{gaps}"
    short = [text.line(f"A short history: {figures.counted(days, 'day')}.")] if days < _SHORT else []
    return [text.line(span), *short]


def _outcome(summary: Mapping[str, Any]) -> list[text.Line]:
    """The figures; a rate only where there are enough trades for one."""
    trades = summary["trades"]
    still = [text.line("One position is open at the end and not counted.")] if summary["open"] else []
    if not trades:
        return [text.line(text.bold("No trade: the strategy never found an entry.")), *still]
    ends = ", ".join(
        f"{summary[name]} {words}"
        for name, words in (("target", "at the target"), ("stopped", "stopped"), ("expired", "expired"))
        if summary[name]
    )
    return [
        text.line(text.bold(figures.counted(trades, "trade")), f": {ends}"),
        text.line(
            "Together ", text.bold(_r(summary["total_r"])), f", {_r(-summary['drawdown_r'])} at the deepest fall"
        ),
        text.line(_each(summary)),
        text.line(_rate(summary)),
        text.line(_exposure(summary)),
        *still,
    ]


def _r(value: float) -> str:
    return figures.r(Decimal(str(value)))


def _each(summary: Mapping[str, Any]) -> str:
    factor = summary["profit_factor"]
    gains = "" if factor is None else f", profit factor {factor:.2f}"
    run = f", {summary['losing_run']} losses in a row at most" if summary["losing_run"] else ""
    return f"A trade brings {_r(summary['expectancy_r'])} on average{gains}{run}"


def _rate(summary: Mapping[str, Any]) -> str:
    if summary["win_rate"] is None:
        return f"Too few trades for a rate: we name one from {tally.ENOUGH} on."
    return f"With a gain: {summary['win_rate']:.1f}{figures.THIN}%"


def _exposure(summary: Mapping[str, Any]) -> str:
    sharpe = summary["sharpe"]
    ratio = "" if sharpe is None else f", Sharpe ratio {figures.signed(Decimal(str(sharpe)))} a year"
    return f"In the market {summary['exposure']:.1f}{figures.THIN}% of the time{ratio}"


def _params(facts: Mapping[str, Any]) -> str:
    """With which parameters, so that whoever wants to can do the same."""
    said = [f"{name} {value}" for name, value in sorted(facts["params"].items())]
    said += [f"{len(facts['exits'])} targets"] if len(facts["exits"]) > 1 else []
    return f"With {', '.join(said)}" if said else ""


def _costs(costs: Mapping[str, str]) -> str:
    fee, slippage = (Decimal(costs[name]).normalize() for name in ("fee_percent", "slippage_percent"))
    counted = f"Counted: {fee:f}{figures.THIN}% fee and {slippage:f}{figures.THIN}% slippage at each side."
    return counted if fee + slippage else "Fees and slippage are not counted."
