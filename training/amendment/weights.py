"""What each sample's amendment counts, by how vulnerable it is to the attack. The formulas are our reconstruction."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

_LEAST = 1e-12


def sample_losses(logits: torch.Tensor, targets: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Cross-entropy of each sample, the mean over its places, float32 (N,).

    Args:
        logits: (N, classes) or (N, classes, ...).
        targets: classes, (N,) or (N, ...).
        smoothing: of the labels, 0 to 1. Defaults to 0.
    """
    losses = F.cross_entropy(logits.float(), targets.long(), reduction="none", label_smoothing=smoothing)
    return losses.reshape(len(losses), -1).mean(1)


def vulnerability(
    clean: torch.Tensor, attacked: torch.Tensor, targets: torch.Tensor, kind: Literal["probability", "loss", "flipped"]
) -> torch.Tensor:
    """How much the attack harmed each sample, at least 0, (N,); the mean over its places where it has several.

    Args:
        clean: logits of the benign samples, (N, classes) or (N, classes, ...).
        attacked: of the adversarial ones.
        targets: classes, (N,) or (N, ...).
        kind: `probability`: what the label's probability lost, 0 to 1; `loss`: what the cross-entropy gained, over the
            batch's mean of that; `flipped`: whether another class is predicted.
    """
    if kind == "loss":
        gained = (sample_losses(attacked, targets) - sample_losses(clean, targets)).clamp(min=0)
        return gained / gained.mean().clamp(min=_LEAST)
    if kind == "flipped":
        harmed = (clean.argmax(1) != attacked.argmax(1)).float()
    else:
        harmed = (_probability(clean, targets) - _probability(attacked, targets)).clamp(min=0)
    return harmed.reshape(len(harmed), -1).mean(1)


def _probability(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return logits.float().softmax(1).gather(1, targets.long()[:, None]).squeeze(1)


def weights(vulnerable: torch.Tensor, gamma: float) -> torch.Tensor:
    """(1 + v) ** gamma over the mean of that: their mean is 1, and no gradient goes through them.

    Args:
        vulnerable: v, at least 0, (N,).
        gamma: above 0, vulnerable samples count more; below 0, less; 0: all 1.
    """
    raised = (1 + vulnerable.detach()) ** gamma
    return raised / raised.mean()


__all__ = ["sample_losses", "vulnerability", "weights"]
