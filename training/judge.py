"""What a task measures: predictions against labels, gathered batch by batch."""

from __future__ import annotations

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import nn

from ..common.images import Features, frechet_distance, ssim
from .checks import answer, logits_for


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


class Images:
    """Pictures beside their targets.

    Args:
        metric: `ssim` or `feature_distance`.
        features: for `feature_distance`.
    """

    def __init__(self, metric: str, features: Features | None) -> None:
        self.metric, self.features = metric, features
        self._made: list[torch.Tensor] = []
        self._targets: list[torch.Tensor] = []

    def see(self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> None:
        """Make the pictures of one batch."""
        self._made.append(answer(model, inputs, where).float().cpu())
        self._targets.append(targets.float().cpu())

    def metrics(self) -> dict[str, float]:
        """The metric, and as `loss` the mean absolute difference."""
        made, targets = torch.cat(self._made).numpy(), torch.cat(self._targets).numpy()
        loss = float(abs(made - targets).mean())
        if self.metric == "ssim":
            return {"ssim": float(ssim(made, targets, 2.0).mean()), "loss": loss}
        if self.features is None or len(made) < 2:
            return {"feature_distance": 0.0, "loss": loss}
        return {"feature_distance": frechet_distance(self.features(made), self.features(targets)), "loss": loss}


def judge_of(data: Any) -> Judge:
    """A new judge of what a `Data` is measured by."""
    metric = getattr(data, "metric", "accuracy")
    return Classes() if metric == "accuracy" else Images(metric, data.features)


__all__ = ["Classes", "Images", "Judge", "judge_of"]
