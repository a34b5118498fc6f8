"""Samples of a stream whose length nobody knows, each as likely as any other, and always the same ones.

Source: Vitter, "Random Sampling with a Reservoir", ACM Transactions on Mathematical Software 11(1), 1985, algorithm R.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

Row = TypeVar("Row")
_SEED = 24


class Reservoir(Generic[Row]):
    """Keeps `size` rows of those that are offered; all of them while there are no more.

    Args:
        size: the largest number of rows that is kept, and so held in memory; at least 1.
    """

    def __init__(self, size: int) -> None:
        self._size, self._seen, self._random = size, 0, np.random.default_rng(_SEED)
        self._kept: list[tuple[int, Row]] = []

    def offer(self, make: Callable[[], Row]) -> None:
        """Draw for the next row of the stream.

        Args:
            make: gives the row; called only if it is kept, perhaps until another takes its place.
        """
        if self._seen < self._size:
            self._kept.append((self._seen, make()))
        elif (place := int(self._random.integers(self._seen + 1))) < self._size:
            self._kept[place] = (self._seen, make())
        self._seen += 1

    def rows(self) -> list[Row]:
        """What was kept, in the stream's order."""
        return [row for _, row in sorted(self._kept, key=lambda pair: pair[0])]


def subset(count: int, size: int) -> list[int]:
    """Numbers of `size` of `count` samples, or of all, in random order that is always the same."""
    chosen: list[int] = np.random.default_rng(_SEED).permutation(count)[:size].tolist()
    return chosen


__all__ = ["Reservoir", "subset"]
