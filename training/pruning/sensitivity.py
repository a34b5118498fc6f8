"""Which layers can't bear to be pruned: each is pruned alone, not retrained, and what it loses is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from ...common import console
from ...common.bundle import Layer
from ...common.metric import loss_of
from ..evaluate import evaluate
from ..judge import Classes, Judge
from .rule import Rule


def by_sensitivity(
    model: nn.Module, layers: Sequence[Layer], rule: Rule, loader: Iterable[Any], max_drop: float,
    judge: Callable[[], Judge] = Classes,
) -> list[Layer]:
    """The layers with those left dense that lose more than `max_drop`; every figure is in the layer's reason.

    Args:
        model: not changed.
        layers: those with `sparse` are tried.
        rule: gives the masks.
        loader: what the metric is measured on, the calibration loader.
        max_drop: of the metric; see `metric.loss_of`.
        judge: makes what measures it. Defaults to accuracy.

    Raises:
        UserError: the loader can't be used, or the network computes NaN.
    """
    metric, whole = _first(evaluate(model, loader, "calibration", stage="sensitivity", judge=judge()))
    tried = sum(layer.sparse for layer in layers)
    judged = []
    with console.progress("prune each layer alone", tried) as advance:
        for layer in layers:
            if layer.sparse:
                alone = _alone(model, layer.name, rule, loader, judge())
                layer = _judged(layer, metric, loss_of(metric, whole, alone), max_drop)
                advance(1)
            judged.append(layer)
    return judged


@torch.no_grad()
def _alone(model: nn.Module, name: str, rule: Rule, loader: Iterable[Any], judge: Judge) -> float:
    weight = model.get_parameter(f"{name}.weight")
    kept = weight.detach().clone()
    weight.masked_fill_(~rule.mask(f"{name}.weight", weight), 0.0)
    try:
        return _first(evaluate(model, loader, "calibration", stage=f"sensitivity of {name}", judge=judge))[1]
    finally:
        weight.copy_(kept)


def _first(metrics: dict[str, float]) -> tuple[str, float]:
    return next(iter(metrics.items()))


def _judged(layer: Layer, metric: str, drop: float, max_drop: float) -> Layer:
    bears = drop <= max_drop
    verdict = "" if bears else f", more than max_drop {max_drop:g}"
    name = metric.replace("_", " ")
    reason = f"{layer.reason}; pruned alone it costs {drop:.4f} of {name} on the calibration loader{verdict}"
    return layer.model_copy(update={"sparse": bears, "reason": reason})


__all__ = ["by_sensitivity"]
