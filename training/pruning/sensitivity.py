"""Which layers can't bear to be pruned: each is pruned alone, not retrained, and the loss of accuracy is measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from ...common import console
from ...common.bundle import Layer
from ..evaluate import evaluate
from .rule import Rule


def by_sensitivity(
    model: nn.Module, layers: Sequence[Layer], rule: Rule, loader: Iterable[Any], max_drop: float
) -> list[Layer]:
    """The layers with those left dense that lose more than `max_drop`; every figure is in the layer's reason.

    Args:
        model: not changed.
        layers: those with `sparse` are tried.
        rule: gives the masks.
        loader: what accuracy is measured on, the calibration loader.
        max_drop: of accuracy, 0 to 1.

    Raises:
        UserError: the loader can't be used, or the network computes NaN.
    """
    whole = evaluate(model, loader, "calibration", stage="sensitivity")["accuracy"]
    tried = sum(layer.sparse for layer in layers)
    judged = []
    with console.progress("prune each layer alone", tried) as advance:
        for layer in layers:
            if layer.sparse:
                layer = _judged(layer, whole - _alone(model, layer.name, rule, loader), max_drop)
                advance(1)
            judged.append(layer)
    return judged


@torch.no_grad()
def _alone(model: nn.Module, name: str, rule: Rule, loader: Iterable[Any]) -> float:
    weight = model.get_parameter(f"{name}.weight")
    kept = weight.detach().clone()
    weight.masked_fill_(~rule.mask(f"{name}.weight", weight), 0.0)
    try:
        return evaluate(model, loader, "calibration", stage=f"sensitivity of {name}")["accuracy"]
    finally:
        weight.copy_(kept)


def _judged(layer: Layer, drop: float, max_drop: float) -> Layer:
    bears = drop <= max_drop
    verdict = "" if bears else f", more than max_drop {max_drop:g}"
    reason = f"{layer.reason}; pruned alone it costs {drop:.4f} of accuracy on the calibration loader{verdict}"
    return layer.model_copy(update={"sparse": bears, "reason": reason})


__all__ = ["by_sensitivity"]
