"""The magnitudes of a matrix by column, laid out for the search, and what is known of every stripe."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .partitions import STRIPE

WIDTH = 256
"""Rows in a piece: short enough for the cache, and for a sum of float32 to stay exact to about seven digits."""
PAIRS = tuple(combinations(range(STRIPE), 2))
"""The pairs of columns in a stripe; the complement of pair number n is number 5 - n."""
_TILE = 256
_AT_ONCE = 16


class Columns:
    """Magnitudes, (pieces, columns, width), the rows filled up with zeros.

    Args:
        matrix: (rows, columns); float64 and integers are searched in float64, everything narrower in float32.
    """

    def __init__(self, matrix: NDArray[Any]) -> None:
        rows, columns = matrix.shape
        self.rows, self.width = rows, min(WIDTH, max(rows, 1))
        self.pieces = max(1, -(-rows // self.width))
        narrow = np.issubdtype(matrix.dtype, np.floating) and matrix.dtype.itemsize < 8
        self.values: NDArray[Any] = np.zeros((self.pieces, columns, self.width), np.float32 if narrow else np.float64)
        for piece in range(self.pieces):
            part = matrix[piece * self.width : (piece + 1) * self.width]
            self.values[piece, :, : len(part)] = np.abs(part).T

    def kept(self, groups: NDArray[np.int64]) -> NDArray[np.float64]:
        """What stays of each group of four columns, exactly: int64 (groups, 4) to float64 (groups,)."""
        total = np.zeros(len(groups))
        for piece in self.values:
            a, b, c, d = piece[groups].astype(np.float64).swapaxes(0, 1)
            high = np.maximum(a, b) + np.maximum(c, d)
            total += np.maximum(np.maximum(a + b, c + d), high).sum(-1)
        return total


class Features:
    """An order of the columns and, of every stripe, row by row, what the sums over candidate groups need.

    `order`: int64 (columns,), the columns stripe by stripe. `kept`: float64 (stripes,), what each stripe keeps.
    `one`: the columns, four. `second`: the second largest of the three that are left when one column leaves, four.
    `low` and `high`: the smaller and the larger of each pair of columns, six. All four are (pieces, stripes, four or
    six, width).
    `largest`: the sum of the largest of the three that are left, float64 (stripes, 4).

    Args:
        columns: the magnitudes.
        order: int64 (columns,), all columns or some of them; it is copied.
    """

    def __init__(self, columns: Columns, order: NDArray[np.int64]) -> None:
        self.columns, self.order = columns, order.copy()
        stripes, kind = len(order) // STRIPE, columns.values.dtype
        four, six = ((columns.pieces, stripes, count, columns.width) for count in (STRIPE, len(PAIRS)))
        self.one, self.second = np.empty(four, kind), np.empty(four, kind)
        self.low, self.high = np.empty(six, kind), np.empty(six, kind)
        self.largest = np.empty((stripes, STRIPE))
        self.kept = columns.kept(self.stripes)
        self.update(np.arange(stripes))

    @property
    def stripes(self) -> NDArray[np.int64]:
        """The order, a row for each stripe: a view, int64 (stripes, 4)."""
        view: NDArray[np.int64] = self.order.reshape(-1, STRIPE)
        return view

    def put(self, stripes: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        """Fill these stripes with these columns, int64 (n,) and (n, 4); `update` them before the next sums."""
        self.stripes[stripes] = columns
        self.kept[stripes] = self.columns.kept(columns)

    def update(self, stripes: NDArray[np.int64]) -> None:
        """Compute what the sums need of the given stripes anew."""
        for start in range(0, len(stripes), _AT_ONCE):
            self._update(stripes[start : start + _AT_ONCE])

    def _update(self, stripes: NDArray[np.int64]) -> None:
        values = self.columns.values[:, self.stripes[stripes]]
        self.one[:, stripes] = values
        for index, (a, b) in enumerate(PAIRS):
            self.low[:, stripes, index] = np.minimum(values[:, :, a], values[:, :, b])
            self.high[:, stripes, index] = np.maximum(values[:, :, a], values[:, :, b])
        for left in range(STRIPE):
            a, b, c = (column for column in range(STRIPE) if column != left)
            pair, third = PAIRS.index((a, b)), values[:, :, c]
            low, high = self.low[:, stripes, pair], self.high[:, stripes, pair]
            self.second[:, stripes, left] = np.maximum(low, np.minimum(high, third))
            self.largest[stripes, left] = np.maximum(high, third).sum((0, 2), dtype=np.float64)


def add_maxima(left: NDArray[Any], right: NDArray[Any], into: NDArray[np.float64]) -> None:
    """Add the sum over rows of the larger of two values, for every pair of vectors.

    The two largest of four, (a, b) and (c, d) with a >= b and c >= d, add up to max(a, d) + max(b, c): all sums that
    the search needs are of this one form.

    Args:
        left: (u, width).
        right: (v, width), the same type.
        into: float64 (u, v), added to.
    """
    ones = np.ones(left.shape[1], left.dtype)
    for start in range(0, len(right), _TILE):
        tile = right[start : start + _TILE]
        room, sums = np.empty_like(tile), np.empty((len(left), len(tile)), left.dtype)
        for index, vector in enumerate(left):
            np.maximum(vector, tile, out=room)
            np.dot(room, ones, out=sums[index])
        into[:, start : start + _TILE] += sums


__all__ = ["PAIRS", "Columns", "Features", "add_maxima"]
