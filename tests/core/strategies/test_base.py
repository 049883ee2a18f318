import dataclasses

import numpy as np
import pydantic
import pytest

from core.market.series import Series
from core.strategies import base
from tests.core.strategies.markets import HOUR, START

WARMUP = 4


class NoParams(pydantic.BaseModel):
    pass


class Always(base.Strategy):
    """Says long at every candle, so that only the checks decide which entries remain."""

    name = "always"
    Params = NoParams
    warmup = WARMUP
    expires_after = 3
    figure = 1.0

    def entries(self, series: Series) -> base.Entries:
        n = len(series)
        return base.sound_entries(
            series,
            WARMUP,
            np.arange(n),
            direction=np.ones(n, np.int8),
            target=series.close + 1,
            stop=series.close - 1,
        )

    def explain(self, series: Series, i: int) -> tuple[str, dict[str, float]]:
        return "Always.", {"close": float(series.close[i]), "figure": self.figure}


def calm(n: int = 12) -> Series:
    return Series.from_rows([(START + i * HOUR, 10.0, 11.0, 9.0, 10.0, 1.0) for i in range(n)])


def heard(series: Series) -> list[int]:
    """The candles at which entries remain; a live decision is asked of each candle as well and must agree."""
    strategy = Always(NoParams())
    kept = np.flatnonzero(strategy.entries(series).direction).tolist()
    assert kept == [i for i in range(len(series)) if strategy.decide(series.head(i + 1))]
    return [int(i) for i in kept]


def test_entries_begin_when_the_window_is_full() -> None:
    assert heard(calm()) == list(range(WARMUP - 1, 12))


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
@pytest.mark.parametrize("figure", [np.nan, np.inf, -np.inf])
def test_a_broken_figure_silences_exactly_the_windows_that_hold_it(column: str, figure: float) -> None:
    figures = getattr(calm(), column).copy()
    figures[5] = figure
    assert heard(dataclasses.replace(calm(), **{column: figures})) == [3, 4, 9, 10, 11]


def test_a_gap_silences_exactly_the_windows_that_span_it() -> None:
    late = calm().open_time.copy()
    late[5:] += HOUR
    # Candles 5, 6 and 7 have the gap between 4 and 5 inside their last four.
    assert heard(dataclasses.replace(calm(), open_time=late)) == [3, 4, 8, 9, 10, 11]


def test_figures_that_are_not_finite_make_no_decision() -> None:
    strategy = Always(NoParams())
    strategy.figure = float("nan")
    assert strategy.decide(calm()) is None


@pytest.mark.parametrize(
    ("direction", "target", "stop", "kept"),
    [
        (1, 11.0, 9.0, True),
        (-1, 9.0, 11.0, True),
        (1, 9.0, 11.0, False),
        (-1, 11.0, 9.0, False),
        (1, 10.0, 9.0, False),
        (1, 11.0, 10.0, False),
        (1, 11.0, 0.0, False),
        (-1, -1.0, 11.0, False),
        (1, np.nan, 9.0, False),
        (1, 11.0, np.nan, False),
        (1, np.inf, 9.0, False),
        (0, 11.0, 9.0, False),
    ],
)
def test_prices_on_the_wrong_side_make_no_entry(direction: int, target: float, stop: float, kept: bool) -> None:
    entries = base.sound_entries(
        calm(),
        WARMUP,
        np.array([8]),
        direction=np.array([direction], np.int8),
        target=np.array([target]),
        stop=np.array([stop]),
    )
    assert entries.direction.tolist() == [0] * 8 + [direction if kept else 0] + [0] * 3
    assert np.flatnonzero(np.isfinite(entries.target)).tolist() == ([8] if kept else [])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Close 27\u202f412.10.", "Close 27\u202f412.10."),
        ("  two\r\n\tlines \u2028", "two lines"),
        ("nothing \0 and \ud83d half", "nothing and half"),
        ("déjà vu 🎯", "déjà vu 🎯"),
    ],
)
def test_a_text_becomes_one_line_that_every_database_keeps(text: str, line: str) -> None:
    assert base.one_line(text) == line


@pytest.mark.parametrize(
    ("value", "movement", "text"),
    [
        (27412.1, 155.2, "27\u202f412.10"),
        (0.00001234, 0.00000031, "0.00001234"),
        (0.51234, 0.00412, "0.5123"),
        (1.5, 0.0, "1.50"),
        (2e300, 1e299, "2e+300"),
        (5.0, np.nan, "5.00"),
    ],
)
def test_numbers_have_the_decimals_that_their_market_moves_in(value: float, movement: float, text: str) -> None:
    assert base.number(value, movement) == text
