"""What the placement knows of PyTorch's functions and layers: one table for tracing and for running."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..layers import Add

WEIGHTED = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d
)
_LAYERS: tuple[tuple[str, tuple[type[nn.Module], ...]], ...] = (
    ("weighted", WEIGHTED),
    ("add", (Add,)),
    ("norm", (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)),
    ("pool", (nn.AvgPool2d, nn.AdaptiveAvgPool2d)),
    ("activation", (
        nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.LeakyReLU, nn.Sigmoid,
        nn.Tanh, nn.ELU,
    )),
    ("same", (nn.Identity, nn.Dropout, nn.Dropout2d)),
    ("view", (nn.Flatten, nn.Unflatten, nn.MaxPool2d, nn.ZeroPad2d, nn.PixelShuffle, nn.PixelUnshuffle)),
)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)
_FUNCTIONS = {
    "add": ("add", "add_"),
    "cat": ("cat", "concat", "concatenate"),
    "pool": ("avg_pool2d", "adaptive_avg_pool2d", "mean"),
    "matmul": ("matmul", "bmm", "__matmul__"),
    "attention": ("scaled_dot_product_attention",),
    "activation": ("relu", "relu6", "gelu", "silu", "hardswish", "hardsigmoid", "leaky_relu", "sigmoid", "tanh", "elu"),
    "same": ("dropout", "dropout_", "contiguous", "clone", "float"),
    "view": (
        "view", "reshape", "flatten", "unflatten", "transpose", "permute", "squeeze", "unsqueeze", "expand",
        "expand_as", "swapaxes", "movedim", "roll", "pad", "max_pool2d", "pixel_shuffle", "view_as", "t", "rearrange",
    ),
    "slice": ("__getitem__", "chunk", "split", "unbind", "narrow", "select", "tensor_split"),
    "weighted function": ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d"),
    "product": ("einsum", "baddbmm", "addmm"),
    "in place": ("relu_", "sigmoid_", "tanh_"),
}
_KIND = {name: kind for kind, names in _FUNCTIONS.items() for name in names}
NUMBERED = ("add", "cat", "pool", "matmul", "attention", "activation")
OPERANDS = {
    "add": ("input_quantizer_a", "input_quantizer_b"),
    "matmul": ("input_quantizer_a", "input_quantizer_b"),
    "cat": ("input_quantizer",),
    "pool": ("input_quantizer",),
    "attention": ("input_quantizer_q", "input_quantizer_k", "input_quantizer_v", "softmax_quantizer"),
    "activation": (),
}
OUTPUT = "output_quantizer"


def kind_of_layer(module: nn.Module) -> str | None:
    """What a layer is to the placement; "other" for a layer it doesn't know, None for a module of several."""
    for kind, types in _LAYERS:
        if isinstance(module, types):
            return kind
    known = type(module).__module__.startswith("torch.nn") and not isinstance(module, _CONTAINERS)
    return "other" if known or isinstance(module, torch.jit.ScriptModule) else None


def is_container(module: nn.Module) -> bool:
    """It goes through its children when it is called or asked, so that it can't be given another one."""
    return isinstance(module, _CONTAINERS)


def kind_of_function(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """What a call is to the placement; None for what it doesn't know, such as an addition of a number.

    The same call has the same kind when it is traced, trained and exported: calls of a kind are counted.
    """
    kind = _KIND.get(getattr(function, "__name__", ""))
    if kind in ("add", "matmul"):
        return kind if len(args) == 2 and all(_is_float(arg) for arg in args) else None
    if kind == "pool" and function.__name__ == "mean":
        return kind if _is_spatial(args, kwargs) else None
    if kind in NUMBERED and kind != "cat" and not (args and _is_float(args[0])):
        return None
    return kind


def is_in_place(function: Callable[..., Any]) -> bool:
    """It writes into its first argument."""
    name = function.__name__
    return name.endswith("_") and not name.endswith("__")


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _is_spatial(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    axes = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if not (args and _is_float(args[0]) and args[0].ndim == 4 and isinstance(axes, (tuple, list))):
        return False
    return sorted(axis % 4 for axis in axes) == [2, 3]


__all__ = [
    "NUMBERED", "OPERANDS", "OUTPUT", "WEIGHTED", "is_container", "is_in_place", "kind_of_function", "kind_of_layer",
]
