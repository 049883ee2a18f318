"""A file is taken whole or not at all, and each bad line has its sentence."""

import contextlib
import gzip
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as draws

from core.backtest import files
from core.market import candles
from tests.core.backtest import dice

HEAD = "ts,open,high,low,close,volume"
FIRST = dice.START


def _line(hour: int, *figures: object) -> str:
    return ",".join(map(str, (FIRST + hour * dice.HOUR, *(figures or (100, 101, 99, 100.5, 3)))))


def _write(folder: Path, *lines: str, head: str = HEAD) -> Path:
    path = folder / "candles.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def _faults(path: Path, timeframe: str = "1h") -> list[str]:
    with pytest.raises(files.FaultyFileError) as refused:
        files.read(path, timeframe)
    return [fault.removeprefix(f"{path}").removeprefix(", ") for fault in refused.value.faults]


def test_candles_are_read_as_they_are_written(tmp_path: Path) -> None:
    rows = dice.Jumps(seed=1, gaps=0.1).candles()
    lines = [",".join([str(row[0]), *(f"{figure:f}" for figure in row[1:])]) for row in rows]
    expected = candles.series(rows)
    packed = tmp_path / "candles.csv.gz"
    packed.write_bytes(gzip.compress("\r\n".join([HEAD, *lines, ""]).encode("utf-8-sig")))
    swapped = "note,volume,close,Low,high,open,ts"
    other = _write(tmp_path, *(",".join(["-", *line.split(",")[::-1]]) for line in lines), head=swapped)
    for path in (packed, other):
        found = files.read(path, "1h")
        assert found.open_time.tolist() == expected.open_time.tolist()
        assert all((one == two).all() for one, two in zip(found.prices, expected.prices, strict=True))


def test_every_bad_line_has_one_sentence_with_its_number(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        _line(0),
        _line(1, 100, 99, 98, 100, 1),
        _line(2, 100, "abc", 98, 100, 1),
        _line(3)[:20],
        _line(4, 100, "nan", 98, 100, 1),
        _line(5, 100, 101, 0, 100, 1),
        _line(6, 100, 101, 99, 100, -1),
        _line(0),
        str(FIRST + 8 * dice.HOUR + 1) + ",100,101,99,100,1",
        "1672531200,100,101,99,100,1",
        _line(9),
    )
    said = _faults(path)
    assert [fault.split(":")[0] for fault in said] == [f"line {number}" for number in range(3, 12)]
    assert "contradict" in said[0]
    assert "high is 'abc', which is no number" in said[1]
    assert "values" in said[2]
    assert "not after the candle before it" in said[6]
    assert "no 1h candle opens" in said[7]
    assert "milliseconds" in said[8]


def test_of_many_bad_lines_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    said = _faults(_write(tmp_path, *(_line(hour, 1, 1, 1, "x", 1) for hour in range(50))))
    assert len(said) == 21
    assert "30 more lines are faulty" in said[-1]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "its first line must name the columns"),
        (b"ts,open,high,low,close\n1,2,3,4,5\n", "look at volume"),
        (b"ts,open,high,low,close,volume\n", "has no candles"),
        (b"\xff\xfe\x00", "is no text file"),
        (b"ts,ts,open,high,low,close,volume\n", "look at ts"),
    ],
)
def test_what_is_no_file_of_candles_is_said(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "candles.csv"
    path.write_bytes(content)
    assert part in _faults(path)[0]


def test_files_that_cannot_be_opened_are_said(tmp_path: Path) -> None:
    assert "No such file" in _faults(tmp_path / "none.csv")[0]
    assert "directory" in _faults(tmp_path)[0]
    for content in (b"nothing packed", gzip.compress(b"ts")[:-4]):
        packed = tmp_path / "a.gz"
        packed.write_bytes(content)
        assert "cannot be read" in _faults(packed)[0]


def test_a_file_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 1 << 20)
    packed = tmp_path / "bomb.gz"
    packed.write_bytes(gzip.compress(b"0" * (3 << 20)))
    assert "is too long" in _faults(packed)[0]


@pytest.mark.parametrize("timeframe", ["5m", "4h", "1d"])
def test_a_file_of_another_timeframe_is_recognised(tmp_path: Path, timeframe: str) -> None:
    path = _write(tmp_path, *map(_line, range(30)))
    assert _faults(path, timeframe) == [f" has 1h candles, not {timeframe} ones; say --timeframe 1h."]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, derandomize=True, max_examples=60)
@given(text=draws.text(alphabet='0123456789.,-+eE\nnaif _"\t', max_size=200))
def test_no_text_is_too_strange(tmp_path: Path, text: str) -> None:
    path = _write(tmp_path, _line(0), text)
    with contextlib.suppress(files.FaultyFileError):
        assert len(files.read(path, "1h")) >= 1


def test_the_tick_is_what_the_prices_look_like() -> None:
    for tick in ("0.01", "1", "0.00000001"):
        market = dice.Jumps(seed=3, price=100 * float(tick), tick=Decimal(tick))
        assert files.tick(candles.series(market.candles())) == Decimal(tick)


def test_finer_candles_are_found_where_they_are_whole(tmp_path: Path) -> None:
    rows = dice.Jumps(seed=6, hours=3, holes=0.0).quarters()
    del rows[5]
    lines = [",".join([str(row[0]), *(f"{figure:f}" for figure in row[1:])]) for row in rows]
    path = _write(tmp_path, *lines)
    within = files.finer(path, "1h")
    assert list(within(FIRST)) == rows[:4]
    assert list(within(FIRST + dice.HOUR)) == []
    assert list(within(FIRST + 2 * dice.HOUR)) == rows[7:]
    with pytest.raises(files.FaultyFileError, match="do not divide"):
        files.finer(path, "5m")
    assert np.diff(files.read(path, "15m").open_time).min() == dice.QUARTER
