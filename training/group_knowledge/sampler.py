"""Which subnet comes next: exponential decay over how many blocks each stage loses of those that it still has.

The name and the purpose (larger subnets come more often, and a subnet inherits what its parent left out) are public;
the formula is this project's reconstruction.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

_TRIES = 100


def sample(keep: Sequence[int], rho: float, strict: bool = False) -> tuple[int, ...]:
    """Draw a subnet of a subnet, from PyTorch's global random state.

    A stage that keeps d blocks loses j of them, 0 to d - 1, the last ones, with a probability proportional to rho^j.

    Args:
        keep: blocks that each stage still has, at least 1.
        rho: above 0, at most 1; 1 is uniform, and near 0 nothing is ever lost.
        strict: draw until something is lost, where it can be. After 100 draws the stage with most blocks loses one.
            Defaults to False.
    """
    for _ in range(_TRIES if strict and max(keep) > 1 else 1):
        drawn = tuple(blocks - _lost(blocks, rho) for blocks in keep)
        if drawn != tuple(keep) or not strict:
            return drawn
    largest = max(range(len(keep)), key=keep.__getitem__)
    return tuple(max(1, blocks - (index == largest)) for index, blocks in enumerate(keep))


def _lost(blocks: int, rho: float) -> int:
    weights = torch.tensor([rho**lost for lost in range(blocks)], dtype=torch.float64)
    return int(torch.multinomial(weights, 1))


__all__ = ["sample"]
