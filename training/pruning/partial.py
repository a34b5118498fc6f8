"""Masks on their way to a whole one."""

from __future__ import annotations

import torch


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


__all__ = ["partial"]
