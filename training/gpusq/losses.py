"""The feature term of GPUSQ-ViT: late outputs are imitated where student and teacher give the same class."""

from __future__ import annotations

from collections.abc import Mapping

import torch


def same_prediction(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Samples whose class is the same in both, bool (N,).

    Args:
        student: logits (N, classes).
        teacher: logits (N, classes).
    """
    return student.detach().argmax(1) == teacher.argmax(1)


def feature_losses(
    student: Mapping[str, torch.Tensor], teacher: Mapping[str, torch.Tensor], counted: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """Mean squared difference of each layer's output, by path: the mean over a sample's values, then over samples.

    Args:
        student: outputs (N, ...).
        teacher: outputs of the same paths and shapes.
        counted: bool (N,); the others count as 0, and stay in the mean. Defaults to all.

    Returns:
        Float32 scalars.
    """
    losses = {}
    for path, goal in teacher.items():
        each = (student[path].float() - goal.float()).square().flatten(1).mean(1)
        losses[path] = (each if counted is None else each * counted).mean()
    return losses


__all__ = ["feature_losses", "same_prediction"]
