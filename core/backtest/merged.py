"""Candles merged by two, four, eight and so on, to find in a few steps the first one that touches a level.

A merged candle is touched exactly when one of its parts is, so stretches that touch nothing are passed in large steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.market.series import Series
from core.signals import exits

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


class Merged:
    """A binary tree over the candles: node 1 is all of them, nodes 2k and 2k + 1 are the halves of node k."""

    def __init__(self, series: Series) -> None:
        self._count = len(series)
        self._leaves = 1 << max(0, self._count - 1).bit_length()
        self._high = self._tree(series.high, np.fmax, -np.inf)
        self._low = self._tree(series.low, np.fmin, np.inf)

    def _tree(self, leaves: Floats, merge: np.ufunc, nothing: float) -> Floats:
        tree = np.full(2 * self._leaves, nothing)
        tree[self._leaves : self._leaves + self._count] = leaves
        size = self._leaves
        while size > 1:
            merge(tree[size : 2 * size : 2], tree[size + 1 : 2 * size : 2], out=tree[size // 2 : size])
            size //= 2
        return tree

    def first(self, start: Indices, long: NDArray[np.bool_], stop: Floats, target: Floats) -> Indices:
        """For each position the index of the first candle from `start` on that touches stop or target.

        As many as there are candles where none does.
        """
        found = np.full(len(start), self._count)
        rows = np.flatnonzero(start < self._count)
        node = start[rows] + self._leaves
        while len(rows):
            touched = self._touched(node, long[rows], stop[rows], target[rows])
            hit = rows[touched]
            found[hit] = self._leaf(node[touched], long[hit], stop[hit], target[hit])
            rows, node = rows[~touched], node[~touched] + 1
            node //= node & -node  # the largest stretch that begins where this one ended
            inside = node > 1
            rows, node = rows[inside], node[inside]
        return found

    def _leaf(self, node: Indices, long: NDArray[np.bool_], stop: Floats, target: Floats) -> Indices:
        """The first touched candle below each of these nodes, which are touched."""
        rows = np.flatnonzero(node < self._leaves)
        while len(rows):
            left = 2 * node[rows]
            node[rows] = left + ~self._touched(left, long[rows], stop[rows], target[rows])
            rows = rows[node[rows] < self._leaves]
        return node - self._leaves

    def _touched(self, node: Indices, long: NDArray[np.bool_], stop: Floats, target: Floats) -> NDArray[np.bool_]:
        high, low = self._high[node], self._low[node]
        # Where it opens says how a level is filled, not whether it is touched.
        touched: NDArray[np.bool_] = exits.touched(long, stop, target, low, high, low) != exits.NONE
        return touched
