"""From a stage's settings to its masker: which layers, which weights, and how they are held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ...common.bundle import Layer
from ...common.errors import UserError
from ..config import TrainConfig
from ..eligibility import list_layers, reduction_axis
from ..judge import Classes, Judge
from ..masks import is_two_four
from .activations import input_norms
from .gradual import Gradual
from .masker import Fixed, Masker
from .pattern import pattern_of
from .rule import Rule, axes_of
from .sensitivity import by_sensitivity
from .sr_ste import SrSte

_SHOWN = 12


def eligible_layers(model: nn.Module, train: TrainConfig) -> list[Layer]:
    """The layers and the verdict of rule and patterns on each; quick, nothing is measured.

    Raises:
        UserError: no layer can be pruned (the rule that each one met is said), a pattern of names matches nothing, or
            an included layer doesn't fit.
    """
    pattern = pattern_of(train)
    layers = list_layers(model, train.layers, pattern.group)
    _some(layers, pattern.text)
    return layers


def choose(
    model: nn.Module, train: TrainConfig, calibration: Iterable[Any], judge: Callable[[], Judge] = Classes
) -> tuple[Rule, list[Layer]]:
    """The rule that gives the masks, and the layers that it is for.

    Args:
        model: dense; not changed.
        train: a sparse stage.
        calibration: loader for `scores: activations` and `layers: max_drop`.
        judge: makes what `max_drop` is measured with. Defaults to accuracy.

    Raises:
        UserError: as `eligible_layers`; or no layer bears to be pruned; or the loader can't be used.
    """
    pattern, layers = pattern_of(train), eligible_layers(model, train)
    names = [layer.name for layer in layers if layer.sparse]
    norms = input_norms(model, names, calibration) if train.scores == "activations" else {}
    factors = {f"{name}.weight": norm for name, norm in norms.items()}
    rule = Rule(pattern, axes_of(model, layers), factors)
    if train.layers.max_drop is not None:
        layers = by_sensitivity(model, layers, rule, calibration, train.layers.max_drop, judge)
        _some(layers, pattern.text)
        rule = Rule(pattern, axes_of(model, layers), factors)
    return rule, layers


def make_masker(train: TrainConfig, rule: Rule, masks: Mapping[str, torch.Tensor]) -> Masker:
    """What holds the zeros in training: of the stage's method, or fixed masks where nothing is trained.

    Args:
        train: a sparse stage.
        rule: gives masks.
        masks: those of now.
    """
    if train.method == "sr_ste" and train.total_epochs:
        return SrSte(rule, train.sr_ste.decay)
    gradual = train.method == "gradual" or (
        train.method == "gan_compression" and train.gan_compression.prune == "gradual"
    )
    if gradual and train.total_epochs:
        return Gradual(rule, train.gradual)
    return Fixed(masks)


def described(
    model: nn.Module, layers: Sequence[Layer], masks: Mapping[str, torch.Tensor], pattern: str
) -> list[Layer]:
    """The layers as they became: `sparse` says 2:4, so a layer of another pattern is not, and its reason says so."""
    return [_described(model, layer, masks.get(f"{layer.name}.weight"), pattern) for layer in layers]


def _described(model: nn.Module, layer: Layer, mask: torch.Tensor | None, pattern: str) -> Layer:
    if not layer.sparse or mask is None:
        return layer
    layer = layer.model_copy(update={"pattern": pattern})
    if pattern == "2:4":
        return layer
    two_four = is_two_four(mask, reduction_axis(model.get_submodule(layer.name)))
    reason = f"pruned to {pattern}, which {'is 2:4 too' if two_four else 'is not 2:4'}; {layer.reason}"
    return layer.model_copy(update={"sparse": two_four, "reason": reason})


def _some(layers: Sequence[Layer], pattern: str) -> None:
    if any(layer.sparse for layer in layers):
        return
    shown = "; ".join(f"{layer.name}: {layer.reason}" for layer in layers[:_SHOWN])
    rest = f"; and {len(layers) - _SHOWN} more" if len(layers) > _SHOWN else ""
    why = f" {shown}{rest}." if layers else " It has no Linear and no convolution."
    raise UserError(
        f"No layer of this network can be pruned to {pattern}.{why}",
        where="training: sparse",
        fix="Make widths multiples of 16; or name layers in `layers: include`; or raise `layers: max_drop`.",
    )


__all__ = ["choose", "described", "eligible_layers", "make_masker"]
