"""The backtest beside vectorbt, backtesting.py and a plain loop over NumPy arrays: same candles, entries and trades.

Everybody is given the same entries and levels as arrays, so what is measured is the walk from entry to exit. Where
other backtesters have other rules, the entries leave out what they differ in: vectorbt opens nothing on the candle that
closed the position before, and neither ends a position by time at a close. Times of walks are the processor's.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pydantic

from core import strategies
from core.backtest import engine, plans
from core.market.series import Series
from core.strategies import base
from tests.bench import alone, stage, table
from tests.sandbox import product

TICK = Decimal("0.01")
PEERS = product.ROOT / ".venv-bench"
_NEVER = 10_000  # candles; nobody waits so long on these markets
_AS_FAST = table.Goal("ratio", "≥", 0.95)
_FIFTY = table.Goal("ratio", "≥", 50)
_FIRST = table.Goal("figure", "≤", 1000, "ms")


@dataclass(frozen=True, slots=True)
class Dose:
    """How long the histories are, how often the quick ones run, and whether the peers are asked."""

    candles: tuple[int, ...] = (100_000, 1_000_000)
    rounds: int = 7
    starts: int = 3
    peers: bool = True


class _Params(pydantic.BaseModel):
    pass


@dataclass(eq=False)
class Given(base.Strategy):
    """A strategy that has said everything already."""

    name: ClassVar[str] = "given"
    Params: ClassVar[type[pydantic.BaseModel]] = _Params
    said: base.Entries
    params: _Params = field(default_factory=_Params)
    warmup: int = 1  # type: ignore[misc]
    expires_after: int = _NEVER  # type: ignore[misc]

    def entries(self, series: Series) -> base.Entries:
        return self.said

    def explain(self, series: Series, i: int) -> tuple[str, dict[str, float]]:
        return "It was given.", {}


@dataclass(frozen=True, slots=True)
class Trades:
    """Closed trades: the deciding candle, the candle of the exit, and its price."""

    entry: np.ndarray
    exit: np.ndarray
    price: np.ndarray

    def difference(self, other: "Trades", *, close: float = 0.0) -> str:
        """What is not the same in one sentence, empty if all is."""
        if len(self.entry) != len(other.entry):
            return f"{len(self.entry)} trades and {len(other.entry)}"
        same = (self.entry == other.entry) & (self.exit == other.exit)
        same &= np.abs(self.price - other.price) <= close * self.price
        return "" if same.all() else f"{int((~same).sum())} of {len(same)} trades differ"


def measured(folder: Path, dose: Dose) -> list[table.Row]:
    """The rows of D1 and D2; raises AssertionError when somebody's trades are not the same."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for candles in dose.candles:
        rows += _walks(folder, candles, dose)
    return [*rows, _first(folder, min(dose.candles), dose.starts)]


def note(dose: Dose) -> str:
    """What a reader must know about these rows."""
    if dose.peers and not PEERS.exists():
        return "vectorbt and backtesting.py are not installed; `make bench` installs them into a venv of their own."
    return "D1: processor time over given entries, one target, no costs; every trade of every reference is the same."


def history(candles: int) -> Series:
    """Real hours laid end to end, on ticks."""
    made = alone._long(candles)
    return Series(made.open_time, *(np.round(column, 2) for column in made.prices), made.volume)


def _walks(folder: Path, candles: int, dose: Dose) -> list[table.Row]:
    series, strategy = history(candles), strategies.create("mean_reversion", {})
    size, unit = f"{candles:,} candles", "M candles/s"
    rows = [_alone(series, strategy, size, dose.rounds)]
    full, plain = Given(strategy.entries(series)), []
    planned = _planned(series, full)
    ours, walked = [], None
    for _ in range(dose.rounds):
        seconds, walked = _ours(series, full)
        ours.append(candles / seconds / 1e6)
        seconds, looped = _timed(lambda: _loop(series, planned, _NEVER))
        plain.append(candles / seconds / 1e6)
    assert walked is not None
    assert (said := walked.difference(looped)) == "", f"a plain loop: {said}"
    rows.append(table.compared(f"D1: walk of {size}", unit, "a plain loop with NumPy", ours, plain))
    return rows + (_beside(folder, series, full, size, dose) if dose.peers and PEERS.exists() else [])


def _alone(series: Series, strategy: base.Strategy, size: str, rounds: int) -> table.Row:
    rules = engine.Rules(strategy, "1h", TICK)
    seconds = [_timed(lambda: _results(engine.run(series, rules)))[0] for _ in range(rounds)]
    speed = len(series) / table.quantile(seconds, 0.5) / 1e6
    return table.Row(f"D1: strategy, walk and results of {size}", speed, "M candles/s")


def _results(outcome: engine.Outcome) -> float:
    return float(outcome.r.sum())


def _ours(series: Series, strategy: base.Strategy) -> tuple[float, Trades]:
    rules = engine.Rules(strategy, "1h", TICK)

    def run() -> Trades:
        outcome = engine.run(series, rules)
        _results(outcome)
        return Trades(outcome.decided, outcome.ended, outcome.left)

    return _timed(run)


def _timed(work: Any) -> tuple[float, Any]:
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def _beside(folder: Path, series: Series, full: Given, size: str, dose: Dose) -> list[table.Row]:
    """vectorbt and backtesting.py, each run in turn with ours."""
    rows = []
    for name, goal, given, close in (
        ("vectorbt", _AS_FAST, _without_handovers(series, full), 1e-9),
        ("backtesting", _FIFTY, full, 0.0),
    ):
        stage.say(f"{name} over {size}")
        ours, theirs = [], []
        with _peer(name, folder, series, given) as ask:
            first = ask()
            for _ in range(dose.rounds):
                seconds, trades = _ours(series, given)
                ours.append(len(series) / seconds / 1e6)
                # One run of backtesting.py takes seconds, and its first is like the others.
                theirs.append(len(series) / (first if name == "backtesting" else ask()) / 1e6)
        found = np.load(folder / f"{name}.npz")
        said = trades.difference(Trades(found["entry"], found["exit"], found["price"]), close=close)
        assert said == "", f"{name}: {said}"
        what = f"D1: walk of {size}, {len(trades.entry):,} trades, all the same"
        reference = f"{name}, warm" if name == "vectorbt" else "backtesting.py"
        rows.append(table.compared(what, "M candles/s", reference, ours, theirs, goal))
        if name == "vectorbt":
            rows.append(table.Row(f"  vectorbt's first call on {size}", 1000 * first, "ms"))
    return rows


def _without_handovers(series: Series, full: Given) -> Given:
    """The entries without those that open a position on the candle that closed the one before."""
    said = base.Entries(full.said.direction.copy(), full.said.target, full.said.stop)
    while True:
        _, trades = _ours(series, Given(said))
        handed = trades.entry[1:][trades.entry[1:] == trades.exit[:-1]]
        if not len(handed):
            return Given(said)
        said.direction[handed] = 0


def _planned(series: Series, given: Given) -> plans.Plans:
    """The entries with their levels on ticks, as everybody is given them."""
    return plans.plans(series, given.said, (), TICK)


@contextmanager
def _peer(name: str, folder: Path, series: Series, given: Given) -> Iterator[Any]:
    """A function that lets the peer run once and gives back its seconds; at the end its trades are in a file."""
    source, found = folder / f"{name}-given.npz", folder / f"{name}.npz"
    planned, direction = _planned(series, given), np.zeros(len(series), np.int8)
    stop, target = np.full(len(series), np.nan), np.full(len(series), np.nan)
    direction[planned.candle] = np.where(planned.long, 1, -1)
    stop[planned.candle], target[planned.candle] = planned.stop, planned.levels[:, 0]
    columns = {column: getattr(series, column) for column in ("open_time", "open", "high", "low", "close")}
    np.savez(source, direction=direction, stop=stop, target=target, **columns)
    words = [str(PEERS / "bin" / "python"), str(Path(__file__).with_name("peers.py")), name, str(source), str(found)]
    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, text=True, **quiet) as peer:
        assert peer.stdin is not None
        assert peer.stdout is not None

        def ask() -> float:
            print("go", file=peer.stdin, flush=True)
            return float(peer.stdout.readline())

        yield ask
        peer.stdin.close()
        peer.wait()


def _loop(series: Series, planned: plans.Plans, expires_after: int) -> Trades:
    """The rules once more, as plainly as they can be written: one position after the other, one slice for each."""
    rows, at, last = [], 0, len(series) - 1
    while (place := int(np.searchsorted(planned.candle, at))) < len(planned):
        i, sign = int(planned.candle[place]), 1 if planned.long[place] else -1
        stop, target = float(planned.stop[place]), float(planned.levels[place, 0])
        end = _end(series, i, sign, stop, target, min(i + expires_after, last))
        if end is None:
            break
        at = end[0]
        rows.append((i, *end))
    entry, left, price = (np.array(column) for column in zip(*rows, strict=True))
    return Trades(entry, left, price)


def _end(series: Series, i: int, sign: int, stop: float, target: float, last: int) -> tuple[int, float] | None:
    """The candle and the price of the exit; None where the candles end first."""
    worst, best = (series.low, series.high) if sign > 0 else (series.high, series.low)
    start, width = i + 1, 64
    while start <= last:
        part = slice(start, min(start + width, last + 1))
        stopped, reached = sign * worst[part] <= sign * stop, sign * best[part] >= sign * target
        if (hit := stopped | reached).any():
            j = start + int(hit.argmax())
            opened = float(series.open[j])
            if stopped[j - start]:
                return j, opened if sign * opened <= sign * stop else stop
            return j, opened if sign * opened >= sign * target else target
        start, width = part.stop, 2 * width
    return None


def _first(folder: Path, candles: int, starts: int) -> table.Row:
    """From the shell to the printed result, the file of candles read and checked."""
    series, path = history(candles), folder / "candles.csv"
    columns = (series.open_time, *series.prices, series.volume)
    lines = (",".join(map(repr, row)) for row in zip(*(column.tolist() for column in columns), strict=True))
    path.write_text("\n".join(["ts,open,high,low,close,volume", *lines]))
    words: Sequence[str] = ("-m", "bot", "backtest", "BTC/USDT", "-s", "mean_reversion", "--csv", str(path))
    waits = [1000 * alone._seconds(lambda: _python(words)) for _ in range(starts + 1)][1:]
    what = f"D2: signalstack backtest of a CSV of {candles:,} candles in a fresh process"
    return table.Row(what, table.quantile(waits, 0.5), "ms", goal=_FIRST)


def _python(words: Sequence[str]) -> None:
    subprocess.run([sys.executable, *words], cwd=product.ROOT, stdout=subprocess.DEVNULL, check=True)
