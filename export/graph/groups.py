"""Count groups of four, and how many of them hold more than two numbers that are not zero."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .codes import Codes
from .pieces import pieces
from .values import Array


@dataclass(frozen=True)
class Groups:
    """What is in a weight.

    Attributes:
        groups: of four along the axis; an incomplete last one counts as one.
        violations: those with more than two codes that are not zero.
        nonzero: codes that are not zero.
        strange: stored numbers that are NaN or infinite.
    """

    groups: int
    violations: int
    nonzero: int
    strange: int


def count(codes: Codes, axis: int, parts: int = 1) -> Groups:
    """Count the groups along `axis`.

    Args:
        codes: a weight in the shape in which its operator sees it.
        axis: where the groups lie.
        parts: equal parts of the axis (a ConvTranspose's groups); no group of four crosses from one to the next.
    """
    if parts > 1:
        codes, axis = codes.moved(lambda array: _split(array, axis, parts)), axis + 1
    groups = violations = full = strange = 0
    for piece in pieces(codes.source.shape, axis):
        mask = codes.nonzero(piece)
        more, wrong = _fours(mask, axis)
        groups, violations = groups + more, violations + wrong
        full += int(np.count_nonzero(mask))
        strange += codes.strange(piece)
    return Groups(groups, violations, full, strange)


def count_groups(mask: Array, axis: int, parts: int = 1) -> tuple[int, int]:
    """Groups of four along `axis` of a mask (bool), and how many of them hold more than two True; see `count`."""
    found = count(Codes(mask), axis, parts)
    return found.groups, found.violations


def _split(array: Array, axis: int, parts: int) -> Array:
    return array.reshape(*array.shape[:axis], parts, -1, *array.shape[axis + 1 :])


def _fours(mask: Array, axis: int) -> tuple[int, int]:
    if rest := -mask.shape[axis] % 4:
        mask = np.pad(mask, [(0, rest if index == axis else 0) for index in range(mask.ndim)])
    inner = math.prod(mask.shape[axis + 1 :])
    ones = np.ascontiguousarray(mask).view(np.uint8)
    if inner == 1:
        fours = ones.reshape(-1).view(np.uint32)
        # the four bytes are 0 or 1: the multiplication leaves their sum in the top byte
        return fours.size, int(np.count_nonzero((fours * np.uint32(0x01010101)) >> np.uint32(24) > 2))
    ones = ones.reshape(-1, 4, inner)
    sums = ones[:, 0] + ones[:, 1] + ones[:, 2] + ones[:, 3]
    return sums.size, int(np.count_nonzero(sums > 2))


__all__ = ["Groups", "count", "count_groups"]
