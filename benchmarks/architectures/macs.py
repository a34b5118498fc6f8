"""Multiply-accumulates of a network's weighted layers."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

CONV = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSE = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def macs_by_layer(network: nn.Module, inputs: torch.Tensor) -> dict[str, int]:
    """Multiply-accumulates with a weight, by module path, in one forward pass; attention's products have no weight.

    Args:
        network: asked as it is, in its own mode.
        inputs: one batch, all of which is counted.
    """
    found: Counter[str] = Counter()
    with ExitStack() as hooks, torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, (*CONV, *TRANSPOSE, nn.Linear)):
                hooks.callback(module.register_forward_hook(_counter(name, found)).remove)
        network(inputs)
    return dict(found)


def _counter(name: str, found: Counter[str]) -> Any:
    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        # a weight meets every value of the output once, or, where the convolution is transposed, of the input
        values = inputs[0].numel() if isinstance(module, TRANSPOSE) else output.numel()
        found[name] += values * module.weight[0].numel()

    return count


__all__ = ["macs_by_layer"]
