"""Cut a large array into pieces that stay in the cache."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

SIZE = 1 << 18  # elements


def pieces(shape: Sequence[int], axis: int | None = None, size: int = SIZE) -> Iterator[tuple[slice, ...]]:
    """The pieces of an array, in order.

    Args:
        shape: of the array; an empty one has no pieces.
        axis: cut only between groups of four along this axis. Defaults to none.
        size: elements of a piece, about. Defaults to 2 ** 18.
    """
    if not math.prod(shape):
        return
    cuts: list[list[slice]] = []
    rest = math.prod(shape)
    for index, length in enumerate(shape):
        rest //= length
        unit = 4 if index == axis else 1
        step = max(unit, size // rest // unit * unit)
        cuts.append([slice(start, start + step) for start in range(0, length, step)])
        if rest <= size:
            break
    yield from itertools.product(*cuts)


__all__ = ["SIZE", "pieces"]
