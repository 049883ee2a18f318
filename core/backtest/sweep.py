"""Many values of a strategy's params on one history, and an honest look at the best: walk forward.

The history is cut into equal parts. In each part the best combination is chosen, and what counts is what it brings in
the part after it, which the choice has not seen (Pardo, The Evaluation and Optimization of Trading Strategies, 2008).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from core import clock, errors
from core.backtest import engine, figures, report, source, walk

MOST = 10_000
SHOWN = 20
_LEAST = 10  # candles of a part

Params = Mapping[str, Any]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Fold:
    """One step of walking forward: the best `params` from `since` on, and what they brought from `turn` to `until`."""

    since: int
    turn: int
    until: int
    params: Params
    inside: figures.Summary
    outside: figures.Summary


@dataclass(frozen=True, slots=True)
class Swept:
    """What each combination brought on the whole history, best sum of R first, and the walk forward."""

    rows: list[tuple[Params, figures.Summary]]
    folds: list[Fold]


def combinations(question: report.Asked, values: Mapping[str, Sequence[Any]]) -> list[Params]:
    """All combinations that the strategy takes.

    Raises ConfigError when there are none or too many, with what the strategy says to the first.
    """
    count = int(np.prod([float(len(one)) for one in values.values()]))
    if count > MOST:
        raise errors.ConfigError(f"the sweep has {count} combinations; at most {MOST} are tried, name fewer values")
    found: list[Params] = []
    fault = None
    for picked in itertools.product(*values.values()):
        params = dict(zip(values, picked, strict=True))
        try:
            _asked(question, params).rules(Decimal(1))
        except errors.ConfigError as error:
            fault = fault or error
        else:
            found.append(params)
    if not found:
        raise fault or errors.ConfigError("the sweep names no values")
    return found


def runs(count: int, folds: int) -> int:
    """How many backtests a sweep of so many combinations is."""
    return count * (1 + folds) + folds


def swept(
    question: report.Asked,
    history: source.History,
    tried: Sequence[Params],
    *,
    folds: int,
    finer: walk.Finer | None = None,
    said: Callable[[int], None] = lambda _: None,
) -> Swept:
    """Every combination on the whole history and in each part; `said` hears of each backtest that is done.

    Raises RefusedError where the history is too short for so many parts.
    """
    count, first = len(history.series), int(np.searchsorted(history.series.open_time, history.first))
    if count - first < _LEAST * (folds + 1):
        raise errors.RefusedError(f"There are too few candles for {folds} folds; use fewer folds or a longer time.")
    edges = np.linspace(first, count, folds + 2).astype(int).tolist()
    # NumPy works outside of Python's lock, so threads share the processors without copies of the history.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        work = _Work(question, history, tried, finer, said, pool)
        whole = work.every((first, count))
        steps = [work.step(*span) for span in zip(edges, edges[1:], edges[2:], strict=False)]
    order = sorted(range(len(tried)), key=lambda place: -whole[place].total_r)
    return Swept([(tried[place], whole[place]) for place in order], steps)


@dataclass(frozen=True, slots=True)
class _Work:
    """The backtests of a sweep; spans are indices of candles, the end not included."""

    question: report.Asked
    history: source.History
    tried: Sequence[Params]
    finer: walk.Finer | None
    said: Callable[[int], None]
    pool: ThreadPoolExecutor

    def one(self, params: Params, span: Span) -> figures.Summary:
        """What these params bring when nothing after the span is known."""
        series = self.history.series
        rules = _asked(self.question, params).rules(self.history.tick)
        since = int(series.open_time[span[0]])
        return figures.summary(engine.run(series.head(span[1]), rules, since=since, finer=self.finer))

    def every(self, span: Span) -> list[figures.Summary]:
        """What each combination brings there, in their order."""
        found = []
        for one in self.pool.map(lambda params: self.one(params, span), self.tried):
            found.append(one)
            self.said(1)
        return found

    def step(self, since: int, turn: int, until: int) -> Fold:
        """The best of the first part, and what it brings in the second."""
        inside = self.every((since, turn))
        best = max(range(len(self.tried)), key=lambda place: inside[place].total_r)
        outside = self.one(self.tried[best], (turn, until))
        self.said(1)
        times = self.history.series.open_time
        moments = (int(times[since]), int(times[turn]), int(times[until - 1]))
        return Fold(*moments, self.tried[best], inside[best], outside)


def told(question: report.Asked, history: source.History, found: Swept) -> dict[str, Any]:
    """The sweep in JSON values: how many combinations, the best of them, the walk forward, and a warning."""
    best = found.rows[0][1].total_r
    outside = round(sum(fold.outside.total_r for fold in found.folds), 2)
    inside = round(sum(fold.inside.total_r for fold in found.folds), 2)
    return {
        "symbol": question.key.symbol,
        "exchange": question.key.exchange,
        "timeframe": question.key.timeframe,
        "strategy": question.strategy,
        "candles": int((history.series.open_time >= history.first).sum()),
        "tried": len(found.rows),
        "best": [{"params": dict(params), "summary": asdict(one)} for params, one in found.rows[:SHOWN]],
        "walk_forward": [_step(fold) for fold in found.folds],
        "inside_r": inside,
        "outside_r": outside,
        "warning": (
            f"{len(found.rows)} combinations were tried on the same candles, so the best sum ({best:+.2f} R) is partly "
            f"luck. Chosen on one part and traded on the next, the choices brought {outside:+.2f} R where they had "
            f"shown {inside:+.2f} R. Only the part that was not seen says anything about tomorrow, and even that "
            "promises nothing."
        ),
    }


def _step(fold: Fold) -> dict[str, Any]:
    return {
        "since": f"{clock.from_ms(fold.since):%Y-%m-%dT%H:%M:%SZ}",
        "turn": f"{clock.from_ms(fold.turn):%Y-%m-%dT%H:%M:%SZ}",
        "until": f"{clock.from_ms(fold.until):%Y-%m-%dT%H:%M:%SZ}",
        "params": dict(fold.params),
        "inside": asdict(fold.inside),
        "outside": asdict(fold.outside),
    }


def _asked(question: report.Asked, params: Params) -> report.Asked:
    return replace(question, params={**question.params, **params})
