"""Learning from another network's answers as well as from the labels.

Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..common.errors import UserError
from .checks import answer, tried


class Distiller:
    """Adds the teacher's term to the loss.

    Args:
        teacher: its weights don't change.
        weight: share of the teacher's term, 0 to 1.
        temperature: softens both answers; the term is scaled by its square.
    """

    def __init__(self, teacher: nn.Module, weight: float, temperature: float) -> None:
        self.teacher, self.weight, self.temperature = teacher.eval().requires_grad_(False), weight, temperature

    def __call__(self, loss: torch.Tensor, logits: torch.Tensor, inputs: torch.Tensor, where: str) -> torch.Tensor:
        """The mixed loss, a scalar.

        Args:
            loss: the labels' own.
            logits: the student's, (N, classes) or (N, classes, ...).
            inputs: what the student saw.
            where: loader and batch, for errors.
        """
        with torch.no_grad():
            told = answer(self.teacher, inputs, where)
        return (1 - self.weight) * loss + self.weight * divergence(logits, told, self.temperature)


    def check(self, student: nn.Module, inputs: torch.Tensor) -> None:
        """Try a few samples, before any training.

        Args:
            student: its mode is kept.
            inputs: on any device.

        Raises:
            UserError: the teacher's answers don't have the student's shape.
        """
        ours, taught = (tuple(tried(model, inputs, "train loader, batch 0").shape) for model in (student, self.teacher))
        if ours != taught:
            raise UserError(f"The teacher's answers have the shape {taught} and the student's {ours}.",
                            where="training: distill", fix="Teacher and student must know the same classes.")


def divergence(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """KL(teacher || student) of the softened answers, mean over samples and places, times temperature squared.

    Args:
        student: logits (N, classes) or (N, classes, ...).
        teacher: of the same shape.
        temperature: above 0.
    """
    target = F.log_softmax(teacher / temperature, dim=1)
    guess = F.log_softmax(student / temperature, dim=1)
    answers = student.numel() // student.shape[1]
    return F.kl_div(guess, target, reduction="sum", log_target=True) / answers * temperature**2


__all__ = ["Distiller", "divergence"]
