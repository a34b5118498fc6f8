"""Learning to make pictures: from those that belong to the inputs, from another network's, or from both."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn

from ..common.errors import UserError
from ..common.metric import DISTANCE
from .checks import answer
from .config import TrainConfig
from .judge import metric_of
from .loaders import Data
from .objective import Objective, placed

_OF_CLASSES = ("gpusq", "group_knowledge", "adversarial_amendment")
_PLAIN = ("supervised", "asp", "sr_ste", "gradual", "qat")


class Reconstruction(Objective):
    """Mean absolute difference to the targets, mixed with that to a teacher's pictures where there is a teacher.

    Args:
        teacher: its weights don't change. Defaults to none.
        weight: the teacher's share, 0 to 1; with 1 the targets are not looked at. Defaults to 0.
    """

    def __init__(self, teacher: nn.Module | None = None, weight: float = 0.0) -> None:
        self.teacher = teacher.eval().requires_grad_(False) if teacher else None
        self.weight = weight if teacher else 0.0

    def place(self, device: torch.device, memory_format: torch.memory_format) -> None:
        """Move the teacher."""
        if self.teacher:
            placed(self.teacher, device, memory_format)

    def __call__(self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> torch.Tensor:
        """The mixed loss."""
        made = answer(model, inputs, where).float()
        loss = made.new_zeros(())
        if self.weight < 1:
            loss = loss + (1 - self.weight) * F.l1_loss(made, _fitting(targets, made, where).float())
        if self.teacher and self.weight:
            with torch.no_grad():
                told = answer(self.teacher, inputs, where).float()
            loss = loss + self.weight * F.l1_loss(made, told)
        return loss


def _fitting(targets: torch.Tensor, made: torch.Tensor, where: str) -> torch.Tensor:
    if targets.shape != made.shape:
        raise UserError(f"The network makes the shape {tuple(made.shape)}; the targets have {tuple(targets.shape)}.",
                        where=where, fix="Targets must be pictures of the shape that the network makes.")
    return targets


def check_methods(data: Data, stages: Iterable[TrainConfig]) -> None:
    """Each stage's method can learn from what the data gives.

    Raises:
        UserError: a method of classifiers on pictures, or nothing to learn from on pictures without pairs.
    """
    metric = metric_of(data)
    for train in stages if metric != "accuracy" else ():
        if train.method in _OF_CLASSES:
            raise UserError(f"{train.method} is a method for classifiers, and this data is of pictures.",
                            where=f"training: {train.stage}: method", fix="Leave the method out.")
        if metric == DISTANCE and train.adversarial and train.gan.reconstruction:
            raise UserError("The targets don't belong to the inputs, so the pictures can't be drawn to them.",
                            where=f"training: {train.stage}: gan.reconstruction", fix="Set it to 0.")
        alone = train.distill is None or train.distill.weight < 1
        if metric == DISTANCE and train.method in _PLAIN and train.total_epochs and alone:
            raise UserError(
                f"The targets don't belong to the inputs, and {train.method} would learn them as if they did.",
                where=f"training: {train.stage}: method",
                fix="Learn from an earlier stage alone (`distill: {teacher: dense, weight: 1}`), or by a method for "
                "generators.",
            )


__all__ = ["Reconstruction", "check_methods"]
