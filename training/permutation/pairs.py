"""The window of eight columns: the best of the 35 ways to deal two stripes anew, for every pair of stripes.

Ways that move one column each way or two each way are all there are. Their sums come from a table of subsets, and the
table from sums over rows of the larger of two values (`columns.add_maxima`).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from .clock import Clock
from .columns import PAIRS, Features, add_maxima
from .partitions import STRIPE, partitions

_BLOCK = 8


class PairMap:
    """What every pair of stripes can gain.

    `gain`: float64 (stripes, stripes), the gain of pair (i, j), i < j, at [i, j]; 0 elsewhere.
    `choice`: int16, the partition that gains it. `work`: pairs evaluated so far, times rows.

    Args:
        features: of all stripes; it is read again at each update.
        clock: when to stop; pairs that time is too short for gain nothing.
    """

    def __init__(self, features: Features, clock: Clock) -> None:
        self.features, self.clock, self.work = features, clock, 0
        stripes = len(features.kept)
        self.gain = np.zeros((stripes, stripes))
        self.choice = np.zeros((stripes, stripes), dtype=np.int16)
        self.update(np.arange(stripes))

    def update(self, stripes: NDArray[np.int64]) -> None:
        """Evaluate all pairs with one of the given stripes."""
        self.gain[stripes], self.gain[:, stripes] = 0.0, 0.0
        left = np.arange(len(self.gain))
        for start in range(0, len(stripes), _BLOCK):
            if self.clock.over:
                return
            block = stripes[start : start + _BLOCK]
            self._evaluate(block, left)
            left = np.setdiff1d(left, block)

    def _evaluate(self, block: NDArray[np.int64], others: NDArray[np.int64]) -> None:
        self.work += len(block) * len(others) * self.features.columns.rows
        scores = self._scores(block, others)
        scores[0] = self.features.kept[block][:, None] + self.features.kept[others]
        turned = others < block[:, None]
        scores = np.where(turned, scores[_turned()], scores)
        choice = scores.argmax(0)
        gain = np.take_along_axis(scores, choice[None], 0)[0] - scores[0]
        first, second = np.minimum(block[:, None], others), np.maximum(block[:, None], others)
        same = first == second
        self.gain[first, second] = np.where(same, 0.0, gain)
        self.choice[first, second] = choice

    def _scores(self, block: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
        """What each partition keeps, (35, block, others), the stripe of the block taken as the first of the two."""
        found, shape = self.features, (len(block), len(others))
        pairs = np.zeros((shape[0] * len(PAIRS), shape[1] * len(PAIRS)))
        swaps = np.zeros((shape[0] * STRIPE, shape[1] * STRIPE))
        for piece in range(found.columns.pieces):
            for mine, theirs, into in ((found.low, found.high, pairs), (found.high, found.low, pairs),
                                       (found.second, found.one, swaps), (found.one, found.second, swaps)):
                width = mine.shape[-1]
                add_maxima(mine[piece, block].reshape(-1, width), theirs[piece, others].reshape(-1, width), into)
        by_swap = swaps.reshape(shape[0], STRIPE, shape[1], STRIPE)
        by_swap += found.largest[block][:, :, None, None] + found.largest[others]
        return _added(pairs.reshape(shape[0], len(PAIRS), shape[1], len(PAIRS)), by_swap)

    def candidates(self, least: float) -> NDArray[np.int64]:
        """Pairs that gain more than `least`, int64 (n, 2), the largest gain first."""
        found = np.flatnonzero(self.gain > least)
        best = found[np.argsort(self.gain.reshape(-1)[found], kind="stable")[::-1]]
        first, second = np.divmod(best, max(len(self.gain), 1))
        return np.stack([first, second], axis=1)

    def partition(self, group: NDArray[np.int64]) -> NDArray[np.int64]:
        """How the columns of that pair are dealt best, int64 (2, 4)."""
        way: NDArray[np.int64] = partitions(2)[self.choice[group[0], group[1]]]
        return way

    def forget(self, group: NDArray[np.int64]) -> None:
        """That pair gains nothing after all."""
        self.gain[group[0], group[1]] = 0.0

    def save(self) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
        """A copy of what is known, for `restore`."""
        return self.gain.copy(), self.choice.copy()

    def restore(self, saved: tuple[NDArray[np.float64], NDArray[np.int16]]) -> None:
        """Put back what `save` gave."""
        self.gain[:], self.choice[:] = saved


def _added(pairs: NDArray[np.float64], swaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores of the partitions, (35, a, b), from what is kept by each pair of pairs and by each swap.

    Args:
        pairs: (a, 6, b, 6), of the stripe that holds one pair of either; its complement is the other stripe.
        swaps: (a, 4, b, 4), of both stripes after these columns changed places.
    """
    scores = np.zeros((len(_moves()), pairs.shape[0], pairs.shape[2]))
    for index, (count, one, other) in enumerate(_moves()):
        if count == 1:
            scores[index] = swaps[:, one, :, other]
        elif count == 2:
            last = len(PAIRS) - 1
            scores[index] = pairs[:, one, :, other] + pairs[:, last - one, :, last - other]
    return scores


@cache
def _moves() -> tuple[tuple[int, int, int], ...]:
    """Of each partition, how many columns change places, and which of the first stripe and of the second.

    One: the column of either stripe that leaves. Two: the pair of the first stripe and that of the second that end up
    in one stripe.
    """
    found = []
    for group, other in partitions(2).tolist():
        mine = [column for column in group if column < STRIPE]
        theirs = [column - STRIPE for column in group if column >= STRIPE]
        if len(mine) == 2:
            found.append((2, PAIRS.index((mine[0], mine[1])), PAIRS.index((theirs[0], theirs[1]))))
        elif len(mine) == 4:
            found.append((0, 0, 0))
        else:
            lone = other if len(mine) == 3 else group
            found.append((1, min(lone), ({4, 5, 6, 7} - set(lone)).pop() - STRIPE))
    return tuple(found)


@cache
def _turned() -> NDArray[np.int64]:
    """For each partition of stripes (i, j), its number among those of (j, i)."""
    number = {frozenset(map(frozenset, way)): index for index, way in enumerate(partitions(2).tolist())}
    turned = (partitions(2) + STRIPE) % (2 * STRIPE)
    return np.array([number[frozenset(map(frozenset, way))] for way in turned.tolist()])


__all__ = ["PairMap"]
