"""The window of twelve columns: the best of the 5,775 ways to deal three stripes anew, for every three stripes.

What each of the 495 subsets of four columns keeps is summed once; what a way keeps is then the sum of three entries.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .clock import Clock
from .columns import Features
from .partitions import STRIPE, partitions

_COLUMNS = 3 * STRIPE
_PAIRS = np.array(list(combinations(range(_COLUMNS), 2)))
_SUMS_AT_ONCE, _GROUPS_AT_ONCE = 1 << 11, 512


class TripleMap:
    """What every three stripes can gain.

    `groups`: int64 (groups, 3), ascending stripes. `gain`: float64 (groups,). `choice`: int16 (groups,), the partition.
    `work`: groups evaluated so far, times rows.

    Args:
        features: of all stripes; it is read again at each update.
        clock: when to stop; groups that time is too short for gain nothing.
    """

    def __init__(self, features: Features, clock: Clock) -> None:
        self.features, self.clock, self.work = features, clock, 0
        stripes = np.arange(len(features.kept))
        self.groups = np.array(list(combinations(stripes, 3)), dtype=np.int64).reshape(-1, 3)
        self._weights = np.array([len(stripes) ** 2, len(stripes), 1])
        self._keys = self.groups @ self._weights
        self.gain = np.zeros(len(self.groups))
        self.choice = np.zeros(len(self.groups), dtype=np.int16)
        self.update(stripes)

    def update(self, stripes: NDArray[np.int64]) -> None:
        """Evaluate all groups with one of the given stripes."""
        due = np.flatnonzero(np.isin(self.groups, stripes).any(axis=1))
        self.gain[due] = 0.0
        for start in range(0, len(due), _GROUPS_AT_ONCE):
            if self.clock.over:
                return
            block = due[start : start + _GROUPS_AT_ONCE]
            self.work += len(block) * self.features.columns.rows
            self.gain[block], self.choice[block] = _best(self._table(self.groups[block]))

    def _table(self, groups: NDArray[np.int64]) -> NDArray[np.float64]:
        """What each subset of four columns keeps, subsets in lexicographic order, (495, groups)."""
        columns = self.features.stripes[groups].reshape(len(groups), _COLUMNS).T
        table = np.zeros((len(_subsets()), len(groups)))
        step = max(1, _SUMS_AT_ONCE // self.features.columns.width)
        for start in range(0, len(groups), step):
            part = slice(start, start + step)
            for piece in self.features.columns.values:
                _add_subsets(piece[columns[:, part]], table[:, part])
        return table

    def candidates(self, least: float) -> NDArray[np.int64]:
        """Groups that gain more than `least`, int64 (n, 3), the largest gain first."""
        found = np.flatnonzero(self.gain > least)
        return self.groups[found[np.argsort(self.gain[found], kind="stable")[::-1]]]

    def partition(self, group: NDArray[np.int64]) -> NDArray[np.int64]:
        """How the columns of that group are dealt best, int64 (3, 4)."""
        way: NDArray[np.int64] = partitions(3)[self.choice[self._number(group)]]
        return way

    def forget(self, group: NDArray[np.int64]) -> None:
        """That group gains nothing after all."""
        self.gain[self._number(group)] = 0.0

    def save(self) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
        """A copy of what is known, for `restore`."""
        return self.gain.copy(), self.choice.copy()

    def restore(self, saved: tuple[NDArray[np.float64], NDArray[np.int16]]) -> None:
        """Put back what `save` gave."""
        self.gain[:], self.choice[:] = saved

    def _number(self, group: NDArray[np.int64]) -> int:
        return int(np.searchsorted(self._keys, group @ self._weights))


def _add_subsets(values: NDArray[np.generic], table: NDArray[np.float64]) -> None:
    """Add what the rows of one piece keep: values (12, groups, width) to the table (495, groups).

    A subset is two pairs, the second after the first; with the pairs in lexicographic order the second ones of each
    first pair are the last ones of the list.
    """
    low = np.minimum(values[_PAIRS[:, 0]], values[_PAIRS[:, 1]])
    high = np.maximum(values[_PAIRS[:, 0]], values[_PAIRS[:, 1]])
    ones, row = np.ones(values.shape[-1], low.dtype), 0
    for pair, (_, second) in enumerate(_PAIRS.tolist()):
        after = int(np.searchsorted(_PAIRS[:, 0], second, side="right"))
        sums = np.maximum(low[pair], high[after:]) @ ones + np.maximum(high[pair], low[after:]) @ ones
        table[row : row + len(sums)] += sums
        row += len(sums)


def _best(table: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The gain of the best partition of each group over the unchanged one, and its number; of equals the first."""
    numbers = _numbers()
    best, choice = np.full(table.shape[1], -np.inf), np.zeros(table.shape[1], dtype=np.int64)
    for start in range(0, len(numbers), 35):
        first, second, third = numbers[start : start + 35].T
        scores = table[second] + table[third] + table[first]
        where = scores.argmax(0)
        found = np.take_along_axis(scores, where[None], 0)[0]
        better = found > best
        best, choice = np.where(better, found, best), np.where(better, start + where, choice)
    return best - table[numbers[0]].sum(0), choice


@cache
def _subsets() -> dict[tuple[int, ...], int]:
    return {subset: row for row, subset in enumerate(combinations(range(_COLUMNS), STRIPE))}


@cache
def _numbers() -> NDArray[np.int64]:
    """Rows of the table whose sum each partition keeps, (5775, 3)."""
    rows = _subsets()
    return np.array([[rows[tuple(group)] for group in way] for way in partitions(3).tolist()])


__all__ = ["TripleMap"]
