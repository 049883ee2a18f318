"""What the command `backtest` reads from its options, and how it says what it found."""

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pydantic

from core import catalogue, errors
from core.market import candles, ticks, timeframes


def key(book: catalogue.Catalogue, symbol: str, timeframe: str, exchange: str | None) -> candles.Key:
    """The market that is meant; without `exchange` the one on which the catalogue watches it, or its first one.

    Raises ConfigError for what is no symbol, no timeframe or no name of an exchange.
    """
    try:
        timeframes.seconds(timeframe)
        names = [watch.exchange for watch in book.watches if watch.symbol == symbol]
        names += [watch.exchange for watch in book.watches]
        made = catalogue.Watch(symbol=symbol, timeframe=timeframe, exchange=exchange or (names or ["binance"])[0])
    except pydantic.ValidationError as error:
        hints = {"symbol": "write the market as BTC/USDT", "exchange": "write the exchange as ccxt spells it"}
        faults = [f"{hints[str(fault['loc'][0])]}, not {fault['input']!r}" for fault in error.errors()]
        raise errors.ConfigError(*faults) from None
    except ValueError as error:
        raise errors.ConfigError(f"{timeframe!r} is no timeframe: {error}") from None
    return candles.Key(made.exchange, made.symbol, made.timeframe)


def params(pairs: Iterable[str]) -> dict[str, Any]:
    """NAME=VALUE of each as values; raises ConfigError for what has no equals sign."""
    return {name: value(text) for name, text in (_split(pair, "--param window=48") for pair in pairs)}


def values(pairs: Iterable[str]) -> dict[str, list[Any]]:
    """NAME=A,B,C of each as lists of values."""
    split = (_split(pair, "--sweep window=24,48,96") for pair in pairs)
    return {name: list(dict.fromkeys(map(value, text.split(",")))) for name, text in split}


def _split(pair: str, example: str) -> tuple[str, str]:
    name, equals, text = pair.partition("=")
    if not equals or not name.strip() or not text.strip():
        raise errors.ConfigError(f"{pair!r} names no value; write it like {example}")
    return name.strip(), text.strip()


def value(text: str) -> Any:
    """A number, true, false, or else the text."""
    try:
        found = json.loads(text.strip())
    except ValueError:
        return text.strip()
    return found if isinstance(found, int | float | str) else text.strip()


def exits(text: str) -> tuple[catalogue.Exit, ...]:
    """Parts of the way out, each AT:SHARE or AT:SHARE:STOP; "none" leaves all at the target."""
    if text.strip() == "none":
        return ()
    try:
        parts = [part.strip().split(":") for part in text.split(",")]
        made = [catalogue.Exit(**dict(zip(("at", "share", "stop"), part, strict=False))) for part in parts]
        return catalogue.Watch(symbol="BTC/USDT", exits=tuple(made)).exits
    except pydantic.ValidationError as error:
        said = "; ".join(str(fault["msg"]).removeprefix("Value error, ") for fault in error.errors()[:3])
        raise errors.ConfigError(f"--exits {text!r}: {said}; write it like 0.5:0.5:entry,1:0.5") from None


def costs(usual: catalogue.Costs, fee: str | None, slippage: str | None) -> catalogue.Costs:
    """The catalogue's costs, with these percents in their place."""
    given = {"fee_percent": fee, "slippage_percent": slippage}
    try:
        return catalogue.Costs(**{**usual.model_dump(), **{name: text for name, text in given.items() if text}})
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        name = "--" + str(fault["loc"][0]).removesuffix("_percent")
        raise errors.ConfigError(f"{name} is {fault['input']!r}; write a percentage from 0 to 5") from None


def tick(text: str | None) -> Decimal:
    """The price step that was named, 1 where none was; raises ConfigError for what is none."""
    try:
        found = ticks.exact(text or "1")
    except ValueError:
        found = Decimal(0)
    if found <= 0:
        raise errors.ConfigError(f"--tick is {text!r}; write the market's smallest step in price, such as 0.01")
    return found


def summary(told: Mapping[str, Any]) -> str:
    """The report as a person reads it in a terminal."""
    figures = told["summary"]
    lines = [*_head(told), "", *_columns(_rows(figures))]
    if figures["open"]:
        lines += ["", "One more position is open at the end; it is not counted."]
    if figures["unclear"]:
        times = "trade" if figures["unclear"] == 1 else "trades"
        lines += ["", f"{figures['unclear']} {times} ended in a candle that touched stop and target; the stop counted."]
    return "\n".join([*lines, "", "Past results promise nothing.", f"Again: {told['command']}"])


def sweep(told: Mapping[str, Any]) -> str:
    """The sweep in two tables and a warning."""
    head = (
        f"{told['strategy']} on {told['symbol']} {told['timeframe']} ({told['exchange']}), {told['candles']:,} candles"
    )
    best: list[Sequence[str]] = [("params", "trades", "total R", "per trade", "profit factor", "deepest fall")]
    best += [(_named(one["params"]), *_short(one["summary"])) for one in told["best"]]
    walk: list[Sequence[str]] = [("chosen until", "traded until", "params", "chosen on", "then brought")]
    for fold in told["walk_forward"]:
        rs = (f"{fold[side]['total_r']:+.2f} R ({fold[side]['trades']})" for side in ("inside", "outside"))
        walk.append((fold["turn"][:10], fold["until"][:10], _named(fold["params"]), *rs))
    count = f"The best {len(told['best'])} of {told['tried']} combinations, on all candles:"
    ahead = "Walking forward: chosen on one part, traded on the next (trades in brackets):"
    return "\n".join([head, "", count, *_table(best), "", ahead, *_table(walk), "", f"Warning: {told['warning']}"])


def picture(told: Mapping[str, Any]) -> tuple[str, str, str]:
    """Title, subtitle and note of the curve."""
    figures = told["summary"]
    title = f"{told['strategy']} {told['symbol']} {told['timeframe']}"
    subtitle = f"{figures['trades']} trades, {figures['total_r']:+.2f} R after costs"
    return title, subtitle, "Backtest: past results promise nothing"


def _subject(told: Mapping[str, Any]) -> str:
    return f"{told['strategy']} on {told['symbol']} {told['timeframe']} ({told['exchange']})"


def _head(told: Mapping[str, Any]) -> list[str]:
    since, until = (str(told[name] or "")[:16].replace("T", " ") for name in ("since", "until"))
    costs = told["costs"]
    ways = "; ".join(f"{part['share']} at {part['at']} of the way{_moved(part['stop'])}" for part in told["exits"])
    return [
        _subject(told),
        f"{since} to {until} UTC: {told['candles']:,} candles, {told['gaps']:,} missing, tick {told['tick']}",
        f"Params: {_named(told['params'])}",
        f"Exits: {ways or 'everything at the target'}",
        "Filled at the open of the next candle",
        f"Costs at each side: {costs['fee_percent']} % fee, {costs['slippage_percent']} % slippage",
    ]


def _moved(stop: str) -> str:
    return {"": "", "entry": ", then the stop at the entry", "previous": ", then the stop at the target before"}[stop]


def _rows(one: Mapping[str, Any]) -> list[tuple[str, str]]:
    few = "too few trades to say (under 30)"
    ends = f"{one['target']} at the target, {one['stopped']} stopped, {one['expired']} expired"
    return [
        ("Trades", f"{one['trades']} ({one['long']} long, {one['trades'] - one['long']} short): {ends}"),
        ("Win rate", few if one["win_rate"] is None else f"{one['win_rate']:.1f} % ({one['wins']} of {one['trades']})"),
        ("Result", f"{one['total_r']:+.2f} R, {one['total_percent']:+.2f} % with one sum in each trade"),
        ("Per trade", _or("{:+.4f} R", one["expectancy_r"])),
        ("Best and worst", f"{_or('{:+.2f} R', one['best_r'])}, {_or('{:+.2f} R', one['worst_r'])}"),
        ("Profit factor", _or("{:.2f}", one["profit_factor"])),
        (
            "Deepest fall",
            f"{one['drawdown_r']:.2f} R; {one['drawdown_percent']:.2f} % risking 1 % in each trade",
        ),
        ("Growth", f"{one['growth_percent']:+.2f} % by the same rule"),
        ("Sharpe ratio", _or("{:.2f} a year, by the same rule", one["sharpe"])),
        ("Longest losing run", f"{one['losing_run']}"),
        ("Held on average", _or("{:.1f} hours", one["holding_hours"])),
        ("In the market", f"{one['exposure']:.1f} % of the candles"),
    ]


def _or(form: str, figure: float | None) -> str:
    return "-" if figure is None else form.format(figure)


def _named(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {figure}" for name, figure in params.items()) or "the usual ones"


def _short(one: Mapping[str, Any]) -> Sequence[str]:
    return (
        str(one["trades"]),
        f"{one['total_r']:+.2f}",
        _or("{:+.3f}", one["expectancy_r"]),
        _or("{:.2f}", one["profit_factor"]),
        f"{one['drawdown_r']:.2f}",
    )


def _columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    wide = max(len(name) for name, _ in rows)
    return [f"  {name.ljust(wide)}  {text}" for name, text in rows]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip() for row in rows]
