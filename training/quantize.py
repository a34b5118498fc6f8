"""Inserting ModelOpt's quantizers. Imported late, as ModelOpt is slow."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ..calibrate.modelopt import QuantizerAttributeConfig, QuantModuleRegistry, TensorQuantizer
from ..calibrate.quantizers import enabled
from ..common.bundle import Range
from ..common.errors import UserError
from .layers import Add

_PER_CHANNEL = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_PER_TENSOR = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_ACTIVATION = {"num_bits": 8, "axis": None}


def insert(model: nn.Module) -> nn.Module:
    """Insert INT8 fake quantizers, in place.

    Weights of Conv and Linear: symmetric per output channel (axis 0), codes -127 to 127; ConvTranspose: per tensor.
    Inputs of those layers and both summands of `Add`: symmetric per tensor. Subclasses of these layers, and layers
    whose weight another module reads (inside `nn.MultiheadAttention`), are left alone.

    Returns:
        `model` itself; its quantizers have no range yet.

    Raises:
        UserError: it has quantizers already, or no layer that can have one.
    """
    if enabled(model):
        raise UserError("This network has quantizers already.", where="model", fix="Give a network without them.")
    hidden = _read_by_others(model)
    for module in list(model.modules()):
        if isinstance(module, Add):
            module.input_quantizer_a, module.input_quantizer_b = _activation(), _activation()
        elif type(module) in _PER_CHANNEL + _PER_TENSOR and module not in hidden:
            _convert(module)
    if not enabled(model):
        raise UserError("This network has no Conv, Linear or ConvTranspose layer to quantize.", where="model")
    return model


def _read_by_others(model: nn.Module) -> set[nn.Module]:
    return {
        child
        for module in model.modules()
        if isinstance(module, nn.MultiheadAttention)
        for child in module.modules()
        if child is not module
    }


def _convert(module: nn.Module) -> None:
    axis = 0 if isinstance(module, _PER_CHANNEL) else None
    converted = QuantModuleRegistry.convert(module)
    weight = QuantizerAttributeConfig(num_bits=8, axis=axis, narrow_range=True)
    converted.weight_quantizer.set_from_attribute_config(weight)
    converted.input_quantizer.set_from_attribute_config(QuantizerAttributeConfig(**_ACTIVATION))


def _activation() -> nn.Module:
    quantizer: nn.Module = TensorQuantizer(QuantizerAttributeConfig(**_ACTIVATION))
    return quantizer


def set_ranges(model: nn.Module, ranges: Iterable[Range]) -> None:
    """Give the quantizers of `model` their ranges, in place.

    Raises:
        UserError: the ranges are not those of this network's quantizers.
    """
    quantizers, given = enabled(model), {entry.tensor: entry for entry in ranges}
    if quantizers.keys() != given.keys():
        odd = ", ".join(sorted(quantizers.keys() ^ given.keys())[:5])
        raise UserError(
            f"The ranges don't fit the network; only on one side: {odd}.",
            where="ranges.json",
            fix="Run `twofour calibrate` again.",
        )
    for name, entry in given.items():
        quantizers[name].amax = _amax(model, entry)


def _amax(model: nn.Module, entry: Range) -> torch.Tensor:
    amax = torch.tensor(entry.amax, dtype=torch.float32)
    if entry.axis is None:
        return amax
    layer = model.get_submodule(entry.tensor.rpartition(".")[0])
    shape = [1] * layer._parameters["weight"].ndim  # type: ignore[union-attr]
    shape[entry.axis] = amax.numel()
    return amax.view(shape) if amax.numel() > 1 else amax.reshape(())


__all__ = ["enabled", "insert", "set_ranges"]
