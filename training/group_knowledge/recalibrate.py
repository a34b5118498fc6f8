"""Batch norm statistics of the network as it is, for training left those of many subnets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..checks import answer, unlabelled
from ..seeds import seed_all, steady


@torch.no_grad()
def recalibrate(model: nn.Module, loader: Iterable[Any], samples: int) -> None:
    """Take the running mean and variance of every batch norm anew, the plain mean over batches, in place.

    The same network and data always give the same statistics, and training's random states stay as they were. A
    network without batch norm is left alone.

    Args:
        model: its mode is kept.
        loader: the train loader; one pass at most.
        samples: how many are enough; whole batches are taken. 0 changes nothing.

    Raises:
        UserError: a batch can't be used.
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not layers or not samples:
        return
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    seen = 0
    with steady(), _measuring(model, layers):
        seed_all(0, "recalibrate", 0, loader)  # a loader with a generator of its own has to give the same batches too
        for index, inputs, _ in unlabelled(loader, "train"):
            answer(model, inputs.to(device), f"train loader, batch {index}")
            seen += len(inputs)
            if seen >= samples:
                return


@contextmanager
def _measuring(model: nn.Module, layers: list[_BatchNorm]) -> Iterator[None]:
    """Batch norms gather means over everything that they see, and nothing else is in training mode."""
    modes = {module: module.training for module in model.modules()}
    momenta = [layer.momentum for layer in layers]
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
        layer.training = True
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


__all__ = ["recalibrate"]
