"""The ways to deal the columns of a few stripes into new stripes of four.

The order within a stripe and that of the stripes don't matter, so each way is listed once: every stripe sorted, the
stripes by their first column. There are 35 for two stripes and 5,775 for three.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

STRIPE = 4


@cache
def partitions(stripes: int) -> NDArray[np.int64]:
    """All of them, the unchanged one first; read-only.

    Args:
        stripes: how many stripes are dealt anew.

    Returns:
        int64 (partitions, stripes, 4): columns of the window, 0 to 4 * stripes - 1.
    """
    found = np.array(list(_deal(tuple(range(STRIPE * stripes)))), dtype=np.int64)
    found.flags.writeable = False
    return found


def _deal(columns: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """The first column takes every three of the others in turn."""
    if not columns:
        yield ()
        return
    first, *others = columns
    for three in combinations(others, STRIPE - 1):
        left = tuple(column for column in others if column not in three)
        for rest in _deal(left):
            yield ((first, *three), *rest)


def in_place(partition: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same partition with the stripes that it leaves whole where they were, so that they count as unchanged.

    Args:
        partition: int64 (stripes, 4).

    Returns:
        int64 (stripes, 4), each stripe sorted.
    """
    groups = [tuple(sorted(group)) for group in partition.tolist()]
    stripes = [tuple(range(start, start + STRIPE)) for start in range(0, partition.size, STRIPE)]
    moved = iter([group for group in groups if group not in stripes])
    return np.array([stripe if stripe in groups else next(moved) for stripe in stripes])


__all__ = ["STRIPE", "in_place", "partitions"]
