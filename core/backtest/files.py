"""Candles from a CSV file: columns ts (open time, epoch milliseconds, UTC), open, high, low, close, volume.

A file is taken whole or not at all: what is wrong with it is said line by line.
"""

from __future__ import annotations

import gzip
import io
import warnings
import zlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core import errors
from core.backtest import walk
from core.market import candles, ticks, timeframes
from core.market.series import Row, Series

COLUMNS = ("ts", "open", "high", "low", "close", "volume")
MOST_BYTES = 1 << 29
_SAID = 20  # faulty lines that are named; of the others only the number
_FINEST = 12  # decimals
_SECONDS = 100_000_000_000  # what is below is no time in milliseconds since 1973


class FaultyFileError(errors.SignalStackError):
    """The file cannot be used; `faults` has one sentence for each thing to change, the first ones where many are."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def read(path: Path, timeframe: str) -> Series:
    """All candles of the file; raises FaultyFileError if it is no file of sound candles of this timeframe."""
    text = _text(path)
    header, _, body = text.partition("\n")
    places = _places(path, header)
    table = _quick(body, places)
    _check_step(path, table, timeframe)
    if table is not None and _is_sound(table, timeframes.ms(timeframe), timeframe):
        return Series(table[0].astype(np.int64), *table[1:])
    return _slowly(path, body, places, timeframe)


def tick(series: Series) -> Decimal:
    """The coarsest power of ten that every price in the series is a multiple of, as a market's tick may be."""
    prices = np.concatenate(series.prices)
    for decimals in range(_FINEST):
        counted = prices * 10.0**decimals
        if np.all(np.abs(counted - np.rint(counted)) <= 1e-9 * np.maximum(1, np.abs(counted))):
            return Decimal(1).scaleb(-decimals)
    return Decimal(1).scaleb(-_FINEST)


def _check_step(path: Path, table: NDArray[np.float64] | None, timeframe: str) -> None:
    """The file is not plainly one of another timeframe."""
    step, length = _step(table), timeframes.ms(timeframe)
    if step > length or (0 < step < length and step % 60_000 == 0 and length % step == 0):
        raise FaultyFileError(
            f"{path} has {_named(step)} candles, not {timeframe} ones; say --timeframe {_named(step)}."
        )


def finer(path: Path, timeframe: str) -> walk.Finer:
    """The file's shorter candles, by the candle of `timeframe` that they make up exactly.

    Raises FaultyFileError also when they are not shorter, or do not divide it.
    """
    header, _, body = _text(path).partition("\n")
    length, step = timeframes.ms(timeframe), _step(_quick(body, _places(path, header)))
    if not 0 < step < length or length % step:
        raise FaultyFileError(f"{path}: its candles do not divide a {timeframe} candle; give shorter ones.")
    series = read(path, _named(step))

    def within(open_time: int) -> Sequence[candles.Candle]:
        first, last = np.searchsorted(series.open_time, (open_time, open_time + length))
        if (last - first) * step != length:
            return ()
        columns = (series.open_time, *series.prices, series.volume)
        rows = zip(*(column[first:last].tolist() for column in columns), strict=True)
        return [candles.Candle(at, *map(ticks.exact, figures)) for at, *figures in rows]

    return within


def _text(path: Path) -> str:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            found = file.read(MOST_BYTES + 1)
        if len(found) > MOST_BYTES:
            raise FaultyFileError(f"{path} is too long; use a file of at most {MOST_BYTES >> 20} MB.")
        return found.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise FaultyFileError(f"{path} cannot be read: {reason}.") from None
    except UnicodeDecodeError:
        raise FaultyFileError(f"{path} is no text file; give a CSV of candles.") from None


def _places(path: Path, header: str) -> list[int]:
    names = [name.strip().strip('"').lower() for name in header.split(",")]
    missing = [name for name in COLUMNS if names.count(name) != 1]
    if missing:
        raise FaultyFileError(
            f"{path}: its first line must name the columns {','.join(COLUMNS)}, each once; "
            f"look at {', '.join(missing)}."
        )
    return [names.index(name) for name in COLUMNS]


def _quick(body: str, places: list[int]) -> NDArray[np.float64] | None:
    """The six columns, or None where something in them is no number."""
    if not body.strip():
        return None
    if places == list(range(len(COLUMNS))) and (table := _quickest(body.strip())) is not None:
        return table
    try:
        table = np.loadtxt(io.StringIO(body), delimiter=",", usecols=places, comments=None, ndmin=2)
    except ValueError:
        return None
    return np.ascontiguousarray(table.T)


def _quickest(body: str) -> NDArray[np.float64] | None:
    """The same where there are no other columns, as one row of numbers; None where their count is not right.

    Two faulty lines could make up for one another, but then what stands in the column ts is no open time.
    """
    with warnings.catch_warnings(action="error"):
        try:
            figures = np.fromstring(body.replace("\n", ","), sep=",")
        except (ValueError, DeprecationWarning):
            return None
    if len(figures) != len(COLUMNS) * (body.count("\n") + 1):
        return None
    return np.ascontiguousarray(figures.reshape(-1, len(COLUMNS)).T)


def _is_sound(table: NDArray[np.float64], length: int, timeframe: str) -> bool:
    ts, opened, high, low, close, volume = table
    shift = timeframes.floor(timeframe, 7 * length) % length  # weeks begin on Mondays
    sound = np.isfinite(table).all() and (ts >= _SECONDS).all() and (np.diff(ts) > 0).all()
    sound = sound and ((ts - shift) % length == 0).all()
    sound = sound and (low > 0).all() and (low <= np.minimum(opened, close)).all() and (volume >= 0).all()
    return bool(sound and (high >= np.maximum(opened, close)).all())


def _slowly(path: Path, body: str, places: list[int], timeframe: str) -> Series:
    """The same line by line, for what is to be said about each."""
    rows: list[Row] = []
    faults, count, before = [], 0, 0
    for number, line in enumerate(body.split("\n"), 2):
        if not line.strip():
            continue
        row, fault = _row(line, places, timeframe, before)
        if row is None:
            count += 1
            faults += [f"{path}, line {number}: {fault}."] if count <= _SAID else []
        else:
            rows.append(row)
            before = row[0]
    if count > _SAID:
        faults.append(f"{path}: {count - _SAID} more lines are faulty.")
    if faults or not rows:
        raise FaultyFileError(*(faults or [f"{path} has no candles; add a line for each."]))
    return Series.from_rows(rows)


def _row(line: str, places: list[int], timeframe: str, before: int) -> tuple[Row | None, str]:
    """The candle of this line, or what is wrong with it."""
    values = [value.strip().strip('"') for value in line.split(",")]
    if len(values) <= max(places):
        return None, f"it has {len(values)} values, where the first line has {max(places) + 1} columns or more"
    figures = []
    for name, place in zip(COLUMNS, places, strict=True):
        try:
            figures.append(float(ticks.exact(values[place])))
        except ValueError:
            return None, f"{name} is {values[place][:40]!r}, which is no number"
    ts, opened, high, low, close, volume = figures
    for fault in _faults(ts, before, timeframe):
        return None, fault
    if not 0 < low <= min(opened, close) <= max(opened, close) <= high or volume < 0:
        return None, "its prices contradict one another, or are not above nought"
    return (int(ts), opened, high, low, close, volume), ""


def _faults(ts: float, before: int, timeframe: str) -> Iterator[str]:
    if ts < _SECONDS or ts != int(ts):
        yield f"ts is {ts:.17g}; write the open time in whole milliseconds since 1970"
    elif timeframes.floor(timeframe, int(ts)) != ts:
        yield f"the candle opens at {ts:.0f}, where no {timeframe} candle opens"
    elif ts <= before:
        yield f"the candle opens at {ts:.0f}, not after the candle before it; sort the lines and keep each candle once"


def _step(table: NDArray[np.float64] | None) -> int:
    """The shortest distance between two candles, in milliseconds; 0 where there are no two."""
    return 0 if table is None or table.shape[1] < 2 else int(np.nan_to_num(np.diff(table[0])).min())


def _named(step: int) -> str:
    """The timeframe of so many milliseconds."""
    for unit, length in (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        if step % length == 0 and step // length < 1000:
            return f"{step // length}{unit}"
    return "1m"
