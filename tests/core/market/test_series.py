import numpy as np
import pytest

from core.market.series import Series

ROWS = [(1_000 * i, 1.0 + i, 3.0 + i, 0.5 + i, 2.0 + i, 10.0 * i) for i in range(5)]


def test_rows_become_columns() -> None:
    series = Series.from_rows(ROWS)
    assert len(series) == 5
    assert series.open_time.dtype == np.int64
    assert series.open_time.tolist() == [0, 1_000, 2_000, 3_000, 4_000]
    assert series.open.tolist() == [1, 2, 3, 4, 5]
    assert series.high.tolist() == [3, 4, 5, 6, 7]
    assert series.low.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert series.close.tolist() == [2, 3, 4, 5, 6]
    assert series.volume.tolist() == [0, 10, 20, 30, 40]


def test_no_rows_make_an_empty_series() -> None:
    assert len(Series.from_rows([])) == 0
    assert len(Series.from_rows([]).tail(3)) == 0


@pytest.mark.parametrize(
    ("stop", "n", "expected"),
    [(5, 2, [3, 4]), (3, 2, [1, 2]), (1, 4, [0]), (0, 2, []), (5, 0, []), (9, 3, []), (-1, 3, [])],
)
def test_a_window_holds_the_candles_before_its_stop(stop: int, n: int, expected: list[int]) -> None:
    assert (Series.from_rows(ROWS).window(stop, n).open_time // 1_000).tolist() == expected


def test_head_and_tail() -> None:
    series = Series.from_rows(ROWS)
    assert series.head(2).open_time.tolist() == [0, 1_000]
    assert series.tail(2).open_time.tolist() == [3_000, 4_000]
    assert len(series.tail(99)) == len(series.head(99)) == 5
    assert len(series.tail(0)) == len(series.head(0)) == len(series.head(-1)) == 0


@pytest.mark.parametrize("rows", [[ROWS[1], ROWS[0]], [ROWS[0], ROWS[0]]])
def test_open_times_must_rise(rows: list[tuple[int, float, float, float, float, float]]) -> None:
    with pytest.raises(ValueError, match="rise strictly"):
        Series.from_rows(rows)


def test_columns_must_have_one_length() -> None:
    with pytest.raises(ValueError, match=r"one length, not \[1, 2\]"):
        Series(np.zeros(2, np.int64), *(np.zeros(1) for _ in range(5)))
