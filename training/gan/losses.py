"""Loss terms of a generator and its discriminator, one value per sample, and how far those of two are apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

_LEAST = 1e-3  # of a denominator: a term that is nearly 0 must not blow its difference up
Judge = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # inputs and pictures to logits


@dataclass(frozen=True)
class Terms:
    """What the pictures of one batch cost, float32 (N,) each.

    Attributes:
        generator: the adversarial term of the generator.
        reconstruction: mean absolute difference from the target picture.
        discriminator: the discriminator's own loss.
    """

    generator: torch.Tensor
    reconstruction: torch.Tensor
    discriminator: torch.Tensor


def as_real(logits: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of calling each picture real, (N, ...) -> (N,); the mean over a picture's patches."""
    return F.softplus(-logits).flatten(1).mean(1)


def as_made(logits: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of calling each picture made, (N, ...) -> (N,)."""
    return F.softplus(logits).flatten(1).mean(1)


def apart(made: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of each picture, (N, ...) -> (N,)."""
    return (made.float() - targets.float()).abs().flatten(1).mean(1)


def terms_of(judge: Judge, inputs: torch.Tensor, made: torch.Tensor, targets: torch.Tensor) -> Terms:
    """The terms of pictures that were made of these inputs; the gradient goes through all of them to the pictures.

    Args:
        judge: the discriminator.
        inputs: (N, ...).
        made: (N, C, H, W).
        targets: real pictures of the same shape.
    """
    logits = judge(inputs, made)
    return Terms(as_real(logits), apart(made, targets), as_real(judge(inputs, targets)) + as_made(logits))


def relative(
    goal: torch.Tensor, ours: torch.Tensor, ratio: Literal["batch_mean", "per_sample"] = "batch_mean"
) -> torch.Tensor:
    """How far a term is from what it should be, as a share of that, a scalar.

    Args:
        goal: (N,), a constant.
        ours: (N,).
        ratio: of the means over the batch, |a - b| / |a|, or of the norms of the vectors. A denominator is at least
            0.001. Defaults to `batch_mean`.
    """
    goal = goal.detach()
    if ratio == "batch_mean":
        return (goal.mean() - ours.mean()).abs() / goal.mean().abs().clamp(min=_LEAST)
    share: torch.Tensor = torch.linalg.vector_norm(goal - ours) / torch.linalg.vector_norm(goal).clamp(min=_LEAST)
    return share


__all__ = ["Judge", "Terms", "apart", "as_made", "as_real", "relative", "terms_of"]
