"""Patterns of zeros: N of M along the reduction axis, or any weights of a layer.

Hardware runs 2:4. The others are there to be compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from ..config import TrainConfig, pattern_numbers
from .pairs import Paired


class Pattern(Protocol):
    """What may stay of a weight."""

    @property
    def text(self) -> str:
        """For people: `2:4`, `50 % unstructured`."""

    @property
    def group(self) -> int:
        """The reduction axis must be a multiple of it."""

    def mask(self, scores: torch.Tensor, axis: int) -> torch.Tensor:
        """True where a weight stays: those of the highest scores.

        Args:
            scores: of any shape, not negative.
            axis: the reduction axis.

        Returns:
            Bool of the same shape.
        """


@dataclass(frozen=True)
class Grouped:
    """`kept` of every aligned `group` along the axis; of equal scores the first ones stay."""

    kept: int = 2
    group: int = 4

    @property
    def text(self) -> str:
        """Such as `2:4`."""
        return f"{self.kept}:{self.group}"

    def mask(self, scores: torch.Tensor, axis: int) -> torch.Tensor:
        """Exactly `kept` True in every group."""
        moved = scores.detach().nan_to_num(nan=torch.inf).movedim(axis, -1)  # a weight that is NaN must not go unseen
        values = moved.reshape(*moved.shape[:-1], -1, self.group).unbind(-1)
        mask = torch.stack([_beaten(values, index) < self.kept for index in range(self.group)], -1)
        return mask.flatten(-2).movedim(-1, axis).contiguous()


def _beaten(values: Sequence[torch.Tensor], index: int) -> torch.Tensor:
    """How many of a group come before this one; of equals the first. Many times faster than to sort groups of four."""
    count = torch.zeros_like(values[index], dtype=torch.int16)
    for other, value in enumerate(values):
        if other != index:
            count += value >= values[index] if other < index else value > values[index]
    return count


@dataclass(frozen=True)
class Unstructured:
    """The highest scores of a whole layer, whatever their place."""

    sparsity: float
    group: int = 1

    @property
    def text(self) -> str:
        """Such as `50 % unstructured`."""
        return f"{100 * self.sparsity:g} % unstructured"

    def mask(self, scores: torch.Tensor, axis: int) -> torch.Tensor:  # noqa: ARG002
        """Prunes `sparsity` of the layer, rounded to whole weights."""
        return partial(torch.zeros_like(scores, dtype=torch.bool), scores, self.sparsity)


def partial(mask: torch.Tensor, scores: torch.Tensor, share: float) -> torch.Tensor:
    """A mask on its way: of the weights that `mask` prunes, the `share` with the lowest scores is gone.

    Args:
        mask: the mask at the end, bool.
        scores: of the same shape.
        share: 0 to 1; 1 gives `mask` itself.
    """
    candidates = (~mask).flatten().nonzero().flatten()
    count = round(share * len(candidates))
    order = scores.detach().flatten()[candidates].sort(stable=True).indices[:count]
    kept = torch.ones(mask.numel(), dtype=torch.bool, device=mask.device)
    kept[candidates[order]] = False
    return kept.view(mask.shape)


def pattern_of(train: TrainConfig) -> Pattern:
    """The pattern that a stage asks for."""
    if train.pairs:
        return Paired()
    numbers = pattern_numbers(train.pattern)
    return Grouped(*numbers) if numbers else Unstructured(train.sparsity if train.sparsity is not None else 0.5)


__all__ = ["Grouped", "Pattern", "Unstructured", "partial", "pattern_of"]
