"""Patterns of zeros: N of M along the reduction axis, any weights of a layer, or whole outputs of it.

Hardware runs 2:4. The others are there to be compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from ..config import TrainConfig, pattern_numbers
from .pairs import Paired
from .partial import partial


class Pattern(Protocol):
    """What may stay of a weight."""

    @property
    def text(self) -> str:
        """For people: `2:4`, `50 % unstructured`."""

    @property
    def group(self) -> int:
        """The reduction axis must be a multiple of it."""

    @property
    def sparsity(self) -> float:
        """Share of a layer's weights that go."""

    def mask(self, scores: torch.Tensor, axis: int) -> torch.Tensor:
        """True where a weight stays: those of the highest scores.

        Args:
            scores: of any shape, not negative.
            axis: the reduction axis.

        Returns:
            Bool of the same shape.
        """

    def partial(self, scores: torch.Tensor, axis: int, share: float) -> torch.Tensor:
        """A mask on its way, that prunes a `share`, 0 to 1, of what the whole one does, the lowest scores first."""


@dataclass(frozen=True)
class Grouped:
    """`kept` of every aligned `group` along the axis; of equal scores the first ones stay."""

    kept: int = 2
    group: int = 4

    @property
    def text(self) -> str:
        """Such as `2:4`."""
        return f"{self.kept}:{self.group}"

    @property
    def sparsity(self) -> float:
        """1 - N / M."""
        return 1 - self.kept / self.group

    def mask(self, scores: torch.Tensor, axis: int) -> torch.Tensor:
        """Exactly `kept` True in every group."""
        moved = scores.detach().nan_to_num(nan=torch.inf).movedim(axis, -1)  # a weight that is NaN must not go unseen
        values = moved.reshape(*moved.shape[:-1], -1, self.group).unbind(-1)
        mask = torch.stack([_beaten(values, index) < self.kept for index in range(self.group)], -1)
        return mask.flatten(-2).movedim(-1, axis).contiguous()

    def partial(self, scores: torch.Tensor, axis: int, share: float) -> torch.Tensor:
        """The lowest of what the whole mask prunes, each weight by itself."""
        return partial(self.mask(scores, axis), scores, share)


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

    def partial(self, scores: torch.Tensor, axis: int, share: float) -> torch.Tensor:
        """The lowest of what the whole mask prunes, each weight by itself."""
        return partial(self.mask(scores, axis), scores, share)


@dataclass(frozen=True)
class Filters:
    """Whole outputs of a layer: those of the highest sums of scores stay, the filters of the largest L1 norm.

    Source of the norm: Li et al., "Pruning filters for efficient ConvNets", arXiv 1608.08710.
    """

    sparsity: float
    group: int = 1

    @property
    def text(self) -> str:
        """Such as `25 % of the filters`."""
        return f"{100 * self.sparsity:g} % of the filters"

    def mask(self, scores: torch.Tensor, axis: int) -> torch.Tensor:
        """Prunes `sparsity` of the outputs, rounded to whole ones; of equal sums the first ones go."""
        return self.partial(scores, axis, 1.0)

    def partial(self, scores: torch.Tensor, axis: int, share: float) -> torch.Tensor:
        """The filters of the lowest sums, whole ones on the way too."""
        by_output = scores.detach().nan_to_num(nan=torch.inf).movedim(1 - axis, 0)  # axes 0 and 1 are output and input
        order = by_output.flatten(1).sum(1).sort(stable=True).indices
        kept = torch.ones(len(order), dtype=torch.bool, device=scores.device)
        kept[order[: round(share * round(self.sparsity * len(order)))]] = False
        wide = kept.view(-1, *[1] * (scores.ndim - 1)).expand(by_output.shape)
        return wide.movedim(0, 1 - axis).contiguous()



def pattern_of(train: TrainConfig) -> Pattern:
    """The pattern that a stage asks for."""
    if train.pairs:
        return Paired()
    numbers = pattern_numbers(train.pattern)
    sparsity = 0.5 if train.sparsity is None else train.sparsity
    if numbers:
        return Grouped(*numbers)
    return Filters(sparsity) if train.pattern == "filters" else Unstructured(sparsity)


__all__ = ["Filters", "Grouped", "Pattern", "Unstructured", "pattern_of"]
