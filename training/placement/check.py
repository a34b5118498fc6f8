"""Is a placed network still the network it was?"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from ..seeds import steady
from .trace import run

_TOLERANCE = 1e-3


def complain(model: nn.Module, placed: nn.Module, quantizers: Mapping[str, Any], example: Any) -> str:
    """What is wrong with a placed copy of `model`, or nothing.

    Args:
        model: as it was.
        placed: a copy with quantizers; they are switched off.
        quantizers: of `placed`, by name.
        example: a small batch, as forward() takes it.
    """
    seen: set[str] = set()
    with ExitStack() as hooks:
        for name, quantizer in quantizers.items():
            quantizer.disable()
            hooks.callback(quantizer.register_forward_hook(lambda *_, name=name: seen.add(name)).remove)
        expected, found = (_answer(network, example) for network in (model, placed))
    unseen = sorted(quantizers.keys() - seen)
    if unseen:
        return f"not every run computes {', '.join(unseen[:3])}"
    alike = len(expected) == len(found) and all(map(_alike, expected, found))
    return "" if alike else "quantizers that are off change what it computes"


def _answer(model: nn.Module, example: Any) -> list[torch.Tensor]:
    training = model.training
    try:
        with steady(), torch.no_grad():
            answer = run(model.eval(), example)
    finally:
        model.train(training)
    return [leaf for leaf in tree_leaves(answer) if isinstance(leaf, torch.Tensor)]


def _alike(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.shape != b.shape:
        return False
    span = float(a.double().abs().max()) if a.numel() else 0.0
    return bool(torch.allclose(a.double(), b.double(), atol=_TOLERANCE * span, rtol=_TOLERANCE))


__all__ = ["complain"]
