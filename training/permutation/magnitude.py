"""What 2:4 pruning keeps of a matrix, and the most that any choice could."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .partitions import STRIPE

_BLOCK = 1 << 20
"""Values that are worked on at a time, so that a float32 matrix is not copied to float64 as a whole."""


def kept_magnitude(matrix: NDArray[Any]) -> float:
    """Sum over rows and stripes of the two largest magnitudes of the four, in float64.

    Args:
        matrix: (rows, columns), any real type; columns a multiple of 4.
    """
    rows = max(1, _BLOCK // max(matrix.shape[1], 1))
    return float(sum(_kept(matrix[start : start + rows]) for start in range(0, len(matrix), rows)))


def _kept(rows: NDArray[Any]) -> float:
    groups = np.abs(rows.astype(np.float64, order="C")).reshape(-1, STRIPE)
    return float(np.sort(groups, axis=1)[:, 2:].sum())


def row_bound(matrix: NDArray[Any]) -> float:
    """Sum of the larger half of every row's magnitudes, in float64: no order of the columns can keep more.

    Args:
        matrix: (rows, columns), any real type; an even number of columns.
    """
    half, rows = matrix.shape[1] // 2, max(1, _BLOCK // max(matrix.shape[1], 1))
    blocks = (np.abs(matrix[start : start + rows].astype(np.float64)) for start in range(0, len(matrix), rows))
    return float(sum(np.partition(block, half, axis=1)[:, half:].sum() for block in blocks)) if half else 0.0


__all__ = ["kept_magnitude", "row_bound"]
