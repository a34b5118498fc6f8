"""What is checked of a batch for training, beyond what calibration asks for: the labels and the loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..calibrate.batches import answer, checked, unlabelled
from ..common.errors import UserError

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def logits_for(
    model: nn.Module | Callable[..., Any], inputs: torch.Tensor, targets: torch.Tensor, where: str
) -> torch.Tensor:
    """The model's logits, (N, classes) or (N, classes, ...), with the labels checked against them.

    Raises:
        UserError: the model refuses the batch, doesn't return logits, or a label is no class.
    """
    logits = answer(model, inputs, where)
    if logits.ndim < 2 or len(logits) != len(targets):
        raise UserError(
            f"The model returned the shape {tuple(logits.shape)} for {len(targets)} samples, not (samples, classes).",
            where=where,
            fix="twofour trains classifiers: forward() must return one row of logits per sample, or per pixel with the "
            "classes on axis 1.",
        )
    check_labels(targets, logits.shape, where)
    return logits


def tried(model: nn.Module, inputs: torch.Tensor, where: str) -> torch.Tensor:
    """What the model answers in eval mode, without gradients; its mode is kept.

    Args:
        model: on any device.
        inputs: a few samples, on any device.
        where: loader and batch, for errors.

    Raises:
        UserError: the model refuses them.
    """
    training, device = model.training, next((one.device for one in model.parameters()), inputs.device)
    try:
        with torch.no_grad():
            return answer(model.eval(), inputs.to(device), where)
    finally:
        model.train(training)


def check_labels(targets: torch.Tensor, logits: Sequence[int], where: str) -> None:
    """Every label is an integer from 0 to the number of classes, one for each prediction.

    Args:
        targets: (N, ...).
        logits: the shape of the logits, (N, classes, ...).
        where: loader and batch, for errors.

    Raises:
        UserError: it is not.
    """
    classes, places = logits[1], tuple(logits[2:])
    if tuple(targets.shape[1:]) != places or targets.dtype not in _INTEGERS:
        raise UserError(
            f"The labels are {targets.dtype} of shape {tuple(targets.shape)}, not one integer per sample"
            + (f" and place: the model returned the shape {tuple(logits)}." if places else "."),
            where=where,
            fix="Give class numbers as integers; the model's classes are on axis 1.",
        )
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= classes:
        raise UserError(
            f"A label is out of range: labels from {low} to {high}, but the model has {classes} classes (0 to "
            f"{classes - 1}).",
            where=where,
            fix="Correct the labels, or the model's number of classes.",
        )


def check_loss(loss: torch.Tensor, epoch: int, step: int) -> None:
    """The loss is finite.

    Raises:
        UserError: it is not; the epochs before this one are kept.
    """
    if not bool(torch.isfinite(loss)):
        raise UserError(
            f"The loss became {loss.item()}; training was stopped and the last whole epoch is kept.",
            where=f"epoch {epoch}, batch {step} of the train loader",
            fix="Lower the learning rate, or set `clip` in the stage's optimizer.",
        )


def check_metrics(metrics: Mapping[str, float], where: str) -> None:
    """Everything measured on a loader is finite.

    Args:
        metrics: name to value.
        where: loader, stage and epoch.

    Raises:
        UserError: it is not; nothing was written of this epoch, the epochs before it are kept.
    """
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise UserError(
                f"The network computes NaN or infinity: its {name} is {value}. The last whole epoch, if any, is kept.",
                where=where,
                fix="Lower the learning rate, or set `clip` in the stage's optimizer; check the weights that it got.",
            )


__all__ = ["answer", "check_labels", "check_loss", "check_metrics", "checked", "logits_for", "tried", "unlabelled"]
