"""The task metric and the loss of a network over a loader."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from operator import length_hint
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ..common import console
from .checks import check_metrics, checked, logits_for


@torch.no_grad()
def evaluate(
    model: nn.Module, loader: Iterable[Any], name: str = "val", batches: int | None = None, stage: str = ""
) -> dict[str, float]:
    """Accuracy and mean cross-entropy.

    Args:
        model: its mode is put back afterwards.
        loader: yields (inputs, targets).
        name: what it is called in errors. Defaults to `val`.
        batches: stop after so many. Defaults to all.
        stage: stage and epoch, for errors. Defaults to none.

    Returns:
        `accuracy`, 0 to 1, and `loss`.

    Raises:
        UserError: the loader is empty or a batch can't be used (loader and batch are named), or the result is NaN or
            infinite (loader and stage are named).
    """
    training = model.training
    model.eval()
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    sums = torch.zeros(3, dtype=torch.float64)
    with console.progress(f"measure on {name}", _steps(loader, batches)) as advance:
        for index, inputs, targets in checked(islice(iter(loader), batches), name):
            sums += _scores(model, inputs.to(device), targets.to(device), f"{name} loader, batch {index}")
            advance(1)
    model.train(training)
    metrics = {"accuracy": float(sums[0] / sums[2]), "loss": float(sums[1] / sums[2])}
    check_metrics(metrics, f"{stage}, {name} loader" if stage else f"{name} loader")
    return metrics


def _steps(loader: Iterable[Any], batches: int | None) -> int | None:
    known = length_hint(loader, 0) or batches
    return min(known, batches) if known and batches else known


def _scores(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> torch.Tensor:
    logits = logits_for(model, inputs, targets, where)
    right = (logits.argmax(1) == targets).sum()
    loss = F.cross_entropy(logits.float(), targets.long(), reduction="sum")
    return torch.tensor([float(right), float(loss), float(len(targets))], dtype=torch.float64)


def say_metrics(label: str, metrics: dict[str, float]) -> None:
    """One line for people."""
    console.say(f"{label}: accuracy {metrics['accuracy']:.4f}, loss {metrics['loss']:.4f}")


__all__ = ["evaluate", "say_metrics"]
