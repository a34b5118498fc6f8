"""What a task measures: predictions against labels, or pictures against pictures, gathered batch by batch."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import nn

from ..common.errors import UserError
from ..common.images import Features, Score
from ..common.metric import METRICS, Metric
from .checks import answer, logits_for
from .loaders import Data
from .span import span_of


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
        """The task's metric by its name, first, and `loss` where the targets belong to the inputs."""


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
        data_range: difference of the largest and the least value of a picture.
        features: what `feature_distance` is measured in; with `ssim` it is measured too where they are given.
    """

    def __init__(self, metric: str, data_range: float, features: Features | None) -> None:
        self._score = Score(metric, data_range, features)

    def see(self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> None:
        """Make the pictures of one batch."""
        made = answer(model, inputs, where).detach().float().cpu().numpy()
        self._score.see(made, targets.detach().float().cpu().numpy(), where)

    def metrics(self) -> dict[str, float]:
        """The metric, and with `ssim` the mean absolute difference as `loss`."""
        return self._score.metrics()


def metric_of(data: Data) -> Metric:
    """What the data says that it is measured by; `accuracy` where it says nothing.

    Raises:
        UserError: there is no metric of that name.
    """
    name = getattr(data, "metric", "accuracy")
    for metric in METRICS:
        if name == metric:
            return metric
    raise UserError(f"There is no metric called {name!r}.", where="data: metric", fix=f"Known: {', '.join(METRICS)}.")


def require_metric(data: Data, asked: str) -> Metric:
    """The data's metric, which must be the one that the recipe asks for.

    Raises:
        UserError: it is another one, or there is none of that name.
    """
    metric = metric_of(data)
    if metric != asked:
        raise UserError(f"The data is measured by {metric}.", where=f"validate.metric: {asked}",
                        fix=f"Set `validate: {{metric: {metric}}}`, or choose other data.")
    return metric


def features_of(data: Data) -> Features | None:
    """The features that the data measures pictures in, if it names some."""
    found: Features | None = getattr(data, "features", None)
    return found


def judge_of(data: Data) -> Judge:
    """A new judge of what the data is measured by.

    Raises:
        UserError: the data names no metric that there is, no features where they are needed, or targets that are no
            pictures.
    """
    metric = metric_of(data)
    if metric == "accuracy":
        return Classes()
    low, high = span_of(data)
    return Images(metric, high - low, features_of(data))


__all__ = ["Classes", "Images", "Judge", "features_of", "judge_of", "metric_of", "require_metric"]
