"""Candles as arrays: the one shape that strategies, backtests and charts read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Row = tuple[int, float, float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Closed candles of one market, oldest first, as arrays of equal length n.

    Compared by identity: two arrays have no single truth value. Slices are views and share memory with their source.
    """

    open_time: NDArray[np.int64]
    """Epoch milliseconds, UTC, strictly rising."""
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    def __post_init__(self) -> None:
        lengths = {len(column) for column in (self.open_time, *self.prices, self.volume)}
        if len(lengths) > 1:
            raise ValueError(f"the columns of a series must have one length, not {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.open_time)

    @property
    def prices(self) -> tuple[NDArray[np.float64], ...]:
        """Open, high, low and close, in this order."""
        return self.open, self.high, self.low, self.close

    @classmethod
    def from_rows(cls, rows: Sequence[Row]) -> Series:
        """A series of rows (open time in ms, open, high, low, close, volume), oldest first.

        Raises ValueError when open times do not rise strictly or a row has not exactly six columns.
        """
        if not rows:
            return cls(np.empty(0, np.int64), *(np.empty(0, np.float64) for _ in range(5)))
        # Epoch milliseconds stay exact in float64 (they are far below 2**53).
        table = np.array(rows, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] != 6:
            raise ValueError(f"a candle row has six columns, these have the shape {table.shape}")
        columns = np.ascontiguousarray(table.T)
        open_time = columns[0].astype(np.int64)
        if np.any(np.diff(open_time) <= 0):
            raise ValueError("open times must rise strictly")
        return cls(open_time, *columns[1:])

    def window(self, stop: int, n: int) -> Series:
        """The last `n` candles before index `stop` (not included); fewer where the series begins later."""
        return self._slice(max(0, stop - n), max(0, stop))

    def tail(self, n: int) -> Series:
        """The newest `n` candles, or all where there are fewer."""
        return self.window(len(self), n)

    def head(self, n: int) -> Series:
        """The oldest `n` candles, or all where there are fewer."""
        return self._slice(0, max(0, n))

    def _slice(self, start: int, stop: int) -> Series:
        part = slice(start, stop)
        return Series(
            self.open_time[part],
            self.open[part],
            self.high[part],
            self.low[part],
            self.close[part],
            self.volume[part],
        )
