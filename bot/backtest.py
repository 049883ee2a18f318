"""`signalstack backtest`: a strategy over past candles, from an exchange, the database or a file.

Click is imported here and nothing else, so that `--help` stays quick.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

    from core import catalogue, stack
    from core.backtest import engine, report

WithStack = Callable[["Callable[[stack.Stack], Coroutine[Any, Any, int]]"], int]

_USUAL = 5_000  # candles back from now when no --since is given
_Options = dict[str, Any]


class Moment(click.ParamType[datetime]):
    """A date or a moment in ISO 8601; UTC where no offset is written."""

    name = "ISO"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no date; write 2025-01-31 or 2025-01-31T12:00Z.", param, ctx)


_FILE = click.Path(path_type=Path, dir_okay=False)
_OPTIONS = (
    click.option("--strategy", "-s", required=True, help="The strategy's name, such as mean_reversion."),
    click.option("--timeframe", "-t", default="1h", show_default=True, help="Such as 5m, 1h, 4h or 1d."),
    click.option("--exchange", "on", help="Where the market is; without it, where the catalogue watches it."),
    click.option("--since", type=Moment(), help="The first candle that may decide; earlier ones only warm up."),
    click.option("--until", type=Moment(), help="The last candle."),
    click.option("--csv", "file", type=_FILE, help="Candles from this file (ts,open,high,low,close,volume; .gz too)."),
    click.option("--finer", type=_FILE, help="Shorter candles that decide which of stop and target came first."),
    click.option("--tick", help="The market's smallest step in price; with --csv, else what the prices look like."),
    click.option("--stored", is_flag=True, help="Only the candles in the database: ask no exchange."),
    click.option("--param", "-p", "pairs", multiple=True, metavar="NAME=VALUE", help="A param of the strategy."),
    click.option("--exits", metavar="AT:SHARE[:STOP],…", help="Targets on the way, or none; 0.5:0.5:entry,1:0.5"),
    click.option("--fee", help="Assumed at each side, in percent of the price."),
    click.option("--slippage", help="The same for slippage."),
    click.option("--sweep", "sweeps", multiple=True, metavar="NAME=A,B,C", help="Try all combinations of values."),
    click.option("--folds", type=click.IntRange(1, 20), default=4, show_default=True, help="Of the sweep's check."),
    click.option("--json", "as_json", is_flag=True, help="Everything as JSON, each trade included."),
    click.option("--picture", type=_FILE, help="Draw the curve of results into this PNG."),
)


def command(with_stack: WithStack, known: "Callable[[catalogue.Catalogue], None]") -> click.Command:
    """The command `backtest`; `known` makes the strategies of a catalogue known, or raises ConfigError."""

    def backtest(symbol: str, **options: Any) -> int:
        """Try a strategy on the past candles of SYMBOL, such as BTC/USDT, by the same rules as live.

        Candles come from the exchange and are kept in the database, or from --csv; then nothing else is needed.
        """
        from core import settings  # noqa: PLC0415

        book = settings.book(Path(".env"))
        known(book)
        question = _question(book, symbol, options)
        from core.backtest import engine  # noqa: PLC0415

        try:
            if options["file"]:
                return _from_file(question, options)
            return with_stack(lambda held: _from_market(held, question, options))
        except engine.StrategyFailedError as error:
            raise click.ClickException(f"{error} {error.detail}".strip()) from None

    for option in reversed(_OPTIONS):
        backtest = option(backtest)
    return click.command()(click.argument("symbol")(backtest))


def _question(book: "catalogue.Catalogue", symbol: str, options: _Options) -> "report.Asked":
    """What is asked, checked as far as it can be without candles; raises UsageError with one sentence."""
    from bot import backtest_words as wording  # noqa: PLC0415
    from core import errors  # noqa: PLC0415
    from core.backtest import report  # noqa: PLC0415

    try:
        question = report.asked(
            book,
            wording.key(book, symbol, options["timeframe"], options["on"]),
            options["strategy"],
            params=wording.params(options["pairs"]),
            exits=None if options["exits"] is None else wording.exits(options["exits"]),
            costs=wording.costs(book.costs, options["fee"], options["slippage"]),
            since=options["since"],
            until=options["until"],
            words=_words(options),
        )
        question.rules(wording.tick(options["tick"]))
        if options["sweeps"]:
            from core.backtest import sweep  # noqa: PLC0415

            sweep.combinations(question, wording.values(options["sweeps"]))
    except errors.ConfigError as error:
        raise click.UsageError("\n".join(_capital(fault) for fault in error.faults)) from None
    _check_together(options)
    return question


def _check_together(options: _Options) -> None:
    """The options fit one another; raises UsageError otherwise."""
    faults = (
        (options["finer"] and not options["file"], "--finer goes with --csv; the database has its own finer candles."),
        (options["tick"] and not options["file"], "--tick goes with --csv; a market has its own."),
        (options["stored"] and options["file"], "--stored and --csv are two sources; name one."),
        (options["picture"] and options["sweeps"], "--picture draws one backtest; leave --sweep out."),
        (
            options["since"] and options["until"] and options["since"] > options["until"],
            "--since is after --until; exchange them.",
        ),
    )
    for is_wrong, sentence in faults:
        if is_wrong:
            raise click.UsageError(sentence)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:] + ("" if sentence.endswith((".", "?")) else ".")


def _words(options: _Options) -> tuple[str, ...]:
    files = [(name, options[key]) for name, key in (("--csv", "file"), ("--finer", "finer")) if options[key]]
    return tuple(word for name, path in files for word in (name, str(path)))


def _from_file(question: "report.Asked", options: _Options) -> int:
    from bot import backtest_words as wording  # noqa: PLC0415
    from core.backtest import files, source  # noqa: PLC0415

    series = files.read(options["file"], question.key.timeframe)
    tick = wording.tick(options["tick"]) if options["tick"] else files.tick(series)
    finer = files.finer(options["finer"], question.key.timeframe) if options["finer"] else None
    history = source.cut(series, tick, since=question.since, until=question.until)
    return _done(question, history, options, finer)


async def _from_market(held: "stack.Stack", question: "report.Asked", options: _Options) -> int:
    from core import clock  # noqa: PLC0415
    from core.backtest import report, source  # noqa: PLC0415
    from core.market import timeframes  # noqa: PLC0415

    length = timeframes.ms(question.key.timeframe)
    warmup = question.warmup
    until = question.until if question.until is not None else clock.to_ms(held.clock())
    if not options["stored"]:
        since = question.since if question.since is not None else until - _USUAL * length
        await _fill(held, question, max(0, since - warmup * length), until)
    if options["sweeps"]:
        history = await source.kept(held.db, question.key, since=question.since, until=question.until, warmup=warmup)
        return await asyncio.to_thread(_done, question, history, options, None)
    outcome = await report.tried(held.db, question)
    return _shown(question, outcome, options)


async def _fill(held: "stack.Stack", question: "report.Asked", since: int, until: int) -> None:
    """The table has what the exchange has; where it does not answer, that is said, and the stored candles serve."""
    from core import errors  # noqa: PLC0415
    from core.backtest import source  # noqa: PLC0415
    from core.market import exchange, refusals, timeframes  # noqa: PLC0415

    key = question.key
    expected = max(1, (until - since) // timeframes.ms(key.timeframe))
    derivatives = frozenset({key.exchange} if ":" in key.symbol else ())
    bar = _bar(expected, f"Candles of {key.symbol}")
    async with exchange.Exchanges(api_url=held.settings.exchange_api_url, derivatives=derivatives) as doors:
        try:
            with bar:
                missed = await source.fill(
                    held.db, doors[key.exchange], key, since=since, until=until, now=held.clock(), said=bar.update
                )
        except (errors.UnreachableError, refusals.BarredError) as error:
            missed = [f"{error} The candles in the database are used."]
        except errors.ConfigError as error:
            raise errors.RefusedError(_capital(error.faults[0].removeprefix("CCXT_EXCHANGE: "))) from None
    for sentence in missed:
        click.echo(sentence, err=True)


def _bar(length: int, label: str) -> "ProgressBar[int]":
    """Progress on a terminal, nothing elsewhere."""
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())


def _done(question: "report.Asked", history: Any, options: _Options, finer: Any) -> int:
    from bot import backtest_words as wording  # noqa: PLC0415
    from core import errors  # noqa: PLC0415
    from core.backtest import engine, sweep  # noqa: PLC0415

    if not len(history.series) or history.series.open_time[-1] < history.first:
        raise errors.RefusedError("There are no candles from --since to --until; name another time.")
    if not options["sweeps"]:
        outcome = engine.run(history.series, question.rules(history.tick), since=history.first, finer=finer)
        return _shown(question, outcome, options)
    tried = sweep.combinations(question, wording.values(options["sweeps"]))
    with _bar(sweep.runs(len(tried), options["folds"]), "Sweep") as bar:
        found = sweep.swept(question, history, tried, folds=options["folds"], finer=finer, said=bar.update)
    told = sweep.told(question, history, found)
    click.echo(json.dumps(told, indent=2) if options["as_json"] else wording.sweep(told))
    return 0


def _shown(question: "report.Asked", outcome: "engine.Outcome", options: _Options) -> int:
    from bot import backtest_words as wording  # noqa: PLC0415
    from core.backtest import report  # noqa: PLC0415

    told = report.told(question, outcome, with_trades=options["as_json"])
    if options["picture"]:
        _draw(options["picture"], told)
    click.echo(json.dumps(told, indent=2) if options["as_json"] else wording.summary(told))
    return 0


def _draw(path: Path, told: Mapping[str, Any]) -> None:
    from bot import backtest_words as wording  # noqa: PLC0415
    from core import errors  # noqa: PLC0415
    from core.signals import curve  # noqa: PLC0415

    title, subtitle, note = wording.picture(told)
    try:
        path.write_bytes(curve.draw([(at, r) for at, r in told["equity"]], title=title, subtitle=subtitle, note=note))
    except OSError as error:
        raise errors.SignalStackError(f"{path} cannot be written: {error.strerror}.") from None
