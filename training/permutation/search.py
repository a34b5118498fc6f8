"""The search for the order of columns that 2:4 pruning harms least.

Stripe groups after Pool and Yu, "Channel Permutations for N:M Sparsity", NeurIPS 2021: for every group of two
stripes (or three) the best way to deal its columns anew is known; passes apply the best of them until none gains. Where
a window covers all columns the result is the best there is, otherwise a local optimum, which escapes try to improve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.errors import UserError
from .clock import Clock
from .columns import Columns, Features
from .greedy import Greedy, Window
from .magnitude import kept_magnitude, row_bound
from .pairs import PairMap
from .partitions import STRIPE
from .triples import TripleMap

WINDOWS = (8, 12)
WIDEST = 2048
"""Columns that are searched together; of wider matrices each part of at most that many is searched by itself."""
WIDEST_TRIPLES = 512
"""The same for the window of twelve; where it is exceeded, the parts are joined by the window of eight."""
ESCAPE_WORK = 200_000_000
"""Pairs of stripes times rows that escapes may evaluate, ten seconds or so: few are tried in a very large matrix."""
SPARSE = 1e-3
"""Pruning that loses no more than this part of the magnitude is not worth a search."""
_LEAST = 5 * float(np.finfo(np.float16).tiny)
_LEAST_PART = 1e-6


@dataclass(frozen=True)
class Found:
    """The order that was found, and what it is worth.

    Attributes:
        order: int64 (columns,); `matrix[:, order]` is what is to be pruned.
        kept: magnitude that 2:4 pruning keeps in that order, summed in float64.
        default: the same for the matrix as it came; never more than `kept`.
        bound: the larger half of every row: what no order can exceed.
        seconds: how long the search took.
    """

    order: NDArray[np.int64]
    kept: float
    default: float
    bound: float
    seconds: float

    @property
    def efficacy(self) -> float:
        """How much of what could be gained was gained, per cent; 100 where nothing could be."""
        possible = self.bound - self.default
        return 100.0 * (self.kept - self.default) / possible if possible > 0 else 100.0


def search(matrix: NDArray[Any], *, window: int = 8, escapes: int = 100, seed: int = 0,
           seconds: float | None = None) -> Found:
    """Search for the order of the columns that keeps most of the magnitude under 2:4 pruning.

    The same arguments give the same order; no global random generator is touched. With `seconds` the order depends on
    the machine's speed, and is still at least as good as the one the matrix came in.

    Args:
        matrix: (rows, columns), real and finite; only magnitudes matter. Moves are ranked in float64 for float64 and
            integers and in float32 for narrower types; a move is made on its float64 sums in either case.
        window: columns that are dealt anew together, 8 or 12. Twelve starts from the result of eight and costs far
            more: about a minute for 512 columns and 512 rows. Defaults to 8.
        escapes: attempts to leave the local optimum; fewer where a matrix is so large that `ESCAPE_WORK` is used up
            before. Defaults to 100.
        seed: of the escapes. Defaults to 0.
        seconds: budget, checked between steps; None, the default, is without end.

    Returns:
        The best order seen, with what it keeps.

    Raises:
        UserError: the columns are no multiple of 4, a value is not finite, or the window is neither 8 nor 12.
    """
    _check(matrix, window)
    clock, order = Clock(seconds), np.arange(matrix.shape[1])
    default, bound = kept_magnitude(matrix), row_bound(matrix)
    total = float(np.abs(matrix).sum(dtype=np.float64))
    if total - default > SPARSE * total:
        trail = _Trail(Columns(matrix), np.random.default_rng(seed), min(_LEAST, _LEAST_PART * total), clock)
        order = trail.search(order, window, escapes)
    kept = kept_magnitude(matrix[:, order])
    if kept <= default:  # as it came: a gain within rounding is none
        order, kept = np.arange(matrix.shape[1]), default
    return Found(order, kept, default, bound, clock.passed)


def _check(matrix: NDArray[Any], window: int) -> None:
    if matrix.ndim != 2 or matrix.shape[1] % STRIPE:
        raise UserError(f"A matrix of shape {matrix.shape} can't be searched for a permutation.",
                        fix=f"It must have two dimensions, the second a multiple of {STRIPE}.")
    if np.iscomplexobj(matrix):
        raise UserError("Only real weights can be searched for a permutation.")
    if not np.isfinite(matrix).all():
        raise UserError("Weights that are not finite can't be searched for a permutation.")
    if window not in WINDOWS:
        raise UserError(f"A window of {window} columns is not supported.", fix=f"Use one of {WINDOWS}.")


@dataclass(frozen=True)
class _Trail:
    """The steps of one search; each returns an order that keeps at least as much as the one it was given."""

    columns: Columns
    random: np.random.Generator
    least: float
    clock: Clock

    def search(self, order: NDArray[np.int64], window: int, escapes: int) -> NDArray[np.int64]:
        order = self._parts(order, WIDEST, PairMap, escapes)
        if window > WINDOWS[0] and len(order) > WINDOWS[0]:
            order = self._parts(order, WIDEST_TRIPLES, TripleMap, 0)
            if len(order) > WIDEST_TRIPLES:
                order = self._parts(order, WIDEST, PairMap, 0)
        return order

    def _parts(self, order: NDArray[np.int64], widest: int, window: Callable[[Features, Clock], Window],
               escapes: int) -> NDArray[np.int64]:
        """Search in equal parts of at most `widest` columns, each with its share of the time that is left."""
        parts = np.array_split(order.reshape(-1, STRIPE), -(-len(order) // widest))
        found = [self._greedy(part.reshape(-1), window, escapes, self.clock.share(len(parts) - index))
                 for index, part in enumerate(parts)]
        return np.concatenate(found)

    def _greedy(self, order: NDArray[np.int64], window: Callable[[Features, Clock], Window], escapes: int,
                clock: Clock) -> NDArray[np.int64]:
        features = Features(self.columns, order)
        greedy = Greedy(features, window(features, clock), self.least, clock)
        greedy.converge()
        if len(order) > WINDOWS[0]:
            greedy.escape(escapes, ESCAPE_WORK, self.random)
        return greedy.order


__all__ = ["Found", "kept_magnitude", "row_bound", "search"]
