"""What a task measures: predictions against labels, gathered batch by batch."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import nn

from .checks import logits_for


class Judge(Protocol):
    """Gathers what the task's metric needs; a new one is made for every pass over a loader."""

    def see(self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> None:
        """Take in one batch.

        Args:
            model: in eval mode.
            inputs: (N, ...), on the network's device.
            targets: as the loader gives them, on the same device.
            where: loader and batch, for errors.

        Raises:
            UserError: the batch can't be used.
        """

    def metrics(self) -> dict[str, float]:
        """The task's metric by its name, first, and `loss`."""


class Classes:
    """Share of right classes, of samples or pixels, and mean cross-entropy."""

    def __init__(self) -> None:
        self._sums = torch.zeros(3, dtype=torch.float64)

    def see(self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> None:
        """Predict one batch."""
        logits = logits_for(model, inputs, targets, where)
        right = (logits.argmax(1) == targets).sum()
        loss = F.cross_entropy(logits.float(), targets.long(), reduction="sum")
        self._sums += torch.tensor([float(right), float(loss), float(targets.numel())], dtype=torch.float64)

    def metrics(self) -> dict[str, float]:
        """`accuracy`, 0 to 1, and `loss`."""
        return {"accuracy": float(self._sums[0] / self._sums[2]), "loss": float(self._sums[1] / self._sums[2])}


__all__ = ["Classes", "Judge"]
