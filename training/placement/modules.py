"""Placement by layers alone, with no run of the network."""

from __future__ import annotations

from torch import nn

from ..layers import Add
from .operations import WEIGHTED
from .placement import Placement


def weighted_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The layers whose input and weight can be quantized, by path.

    Subclasses of PyTorch's layers are not among them, nor layers whose weight another module reads (those inside
    `nn.MultiheadAttention`).
    """
    hidden = {
        child
        for module in model.modules()
        if isinstance(module, nn.MultiheadAttention)
        for child in module.modules()
        if child is not module
    }
    return {name: module for name, module in model.named_modules() if type(module) in WEIGHTED and module not in hidden}


def weight_names(model: nn.Module) -> list[str]:
    """The quantizers of weights."""
    return [_join(name, "weight_quantizer") for name in weighted_layers(model)]


def by_module(model: nn.Module, policy: str = "onnxruntime") -> Placement:
    """`weights-and-inputs`: each weighted layer's input and weight; `onnxruntime`: both summands of each `Add` too."""
    names = [
        _join(layer, quantizer)
        for layer in weighted_layers(model)
        for quantizer in ("input_quantizer", "weight_quantizer")
    ]
    if policy == "onnxruntime":
        adds = [name for name, module in model.named_modules() if isinstance(module, Add)]
        names += [_join(name, f"input_quantizer_{side}") for name in adds for side in "ab"]
    return Placement(policy=policy, quantizers=[[name] for name in names])


def _join(path: str, name: str) -> str:
    return f"{path}.{name}".removeprefix(".")


__all__ = ["by_module", "weight_names", "weighted_layers"]
