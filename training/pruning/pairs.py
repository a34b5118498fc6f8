"""The pattern of INT4 kernels: of every four pairs of neighbours, two stay."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .partial import partial

PAIR, KEPT, PAIRS = 2, 2, 4


@dataclass(frozen=True)
class Paired:
    """2 of 4 pairs in every aligned group of eight along the axis: half of the weights, as in 2:4, two by two.

    A pair's score is the sum of its weights'; of equal scores the first pairs stay. What stays may have four weights
    in one group of four, so it is no 2:4.
    """

    group: int = PAIR * PAIRS
    sparsity: float = 1 - KEPT / PAIRS

    @property
    def text(self) -> str:
        """For people."""
        return "2:4 in pairs"

    def mask(self, scores: torch.Tensor, axis: int) -> torch.Tensor:
        """Two whole pairs True in every group of eight.

        Args:
            scores: of any shape, not negative; the axis a multiple of eight.
            axis: the reduction axis.

        Returns:
            Bool of the same shape.
        """
        moved = scores.detach().nan_to_num(nan=torch.inf).movedim(axis, -1)
        groups = moved.reshape(*moved.shape[:-1], -1, PAIRS, PAIR).sum(-1)
        order = groups.sort(dim=-1, descending=True, stable=True).indices[..., :KEPT]
        pairs = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, order, True)
        mask = pairs.unsqueeze(-1).expand(*pairs.shape, PAIR).flatten(-3)
        return mask.movedim(-1, axis).contiguous()

    def partial(self, scores: torch.Tensor, axis: int, share: float) -> torch.Tensor:
        """The lowest of what the whole mask prunes, each weight by itself."""
        return partial(self.mask(scores, axis), scores, share)


__all__ = ["Paired"]
