"""How much of a network is 2:4."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol


class Weighted(Protocol):
    """A layer with a weight that was checked."""

    @property
    def shape(self) -> list[int]:
        """Of the weight."""

    @property
    def two_four(self) -> bool:
        """Whether it is 2:4."""


def two_four_share(layers: Sequence[Weighted]) -> float:
    """Weights in 2:4 layers over the weights of all weighted layers, 0 to 1; 0 where there are none."""
    total = sum(math.prod(layer.shape) for layer in layers)
    return sum(math.prod(layer.shape) for layer in layers if layer.two_four) / total if total else 0.0


__all__ = ["two_four_share"]
