"""The task metric and the loss of a network over a loader."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from operator import length_hint
from typing import Any

import torch
from torch import nn

from ..common import console
from .checks import check_metrics, checked
from .judge import Classes, Judge


@torch.no_grad()
def evaluate(
    model: nn.Module, loader: Iterable[Any], name: str = "val", batches: int | None = None, stage: str = "",
    judge: Judge | None = None,
) -> dict[str, float]:
    """The task's metric and loss over a loader.

    Args:
        model: its mode is put back afterwards.
        loader: yields (inputs, targets).
        name: what it is called in errors. Defaults to `val`.
        batches: stop after so many. Defaults to all.
        stage: stage and epoch, for errors. Defaults to none.
        judge: gathers the metric. Defaults to accuracy and mean cross-entropy.

    Returns:
        The metric by its name (`accuracy`, 0 to 1), first, and `loss` where the targets belong to the inputs.

    Raises:
        UserError: the loader is empty or a batch can't be used (loader and batch are named), or the result is NaN or
            infinite (loader and stage are named).
    """
    training = model.training
    model.eval()
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    judge = judge or Classes()
    with console.progress(f"measure on {name}", _steps(loader, batches)) as advance:
        for index, inputs, targets in checked(islice(iter(loader), batches), name):
            judge.see(model, inputs.to(device), targets.to(device), f"{name} loader, batch {index}")
            advance(1)
    model.train(training)
    metrics = judge.metrics()
    check_metrics(metrics, f"{stage}, {name} loader" if stage else f"{name} loader")
    return metrics


def _steps(loader: Iterable[Any], batches: int | None) -> int | None:
    known = length_hint(loader, 0) or batches
    return min(known, batches) if known and batches else known


def say_metrics(label: str, metrics: dict[str, float]) -> None:
    """One line for people."""
    console.say(f"{label}: {', '.join(f'{name} {value:.4f}' for name, value in metrics.items())}")


__all__ = ["evaluate", "say_metrics"]
