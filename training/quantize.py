"""Inserting ModelOpt's quantizers. Imported late, as ModelOpt is slow."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from ..calibrate.modelopt import QuantizerAttributeConfig, QuantModuleRegistry, TensorQuantizer
from ..calibrate.quantizers import enabled
from ..common import console
from ..common.bundle import Range
from ..common.errors import UserError
from .layers import Add
from .placement.check import complain
from .placement.interception import Operation, attach, listen
from .placement.modules import by_module
from .placement.operations import OUTPUT, WEIGHTED
from .placement.placement import Placement
from .placement.plan import UNTRACED, plan

_FOUR = 4
_PER_TENSOR = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def place(
    model: nn.Module, policy: str | list[str], example: Any, sparse: Iterable[str] = (), bits: int = 8
) -> Placement:
    """Decide where quantizers go and insert them, in place.

    The placement is first tried on a copy: what it computes with quantizers that are off must be what the network
    computes. Where that fails, or the network can't be traced, quantizers go to the weighted layers' inputs and weights
    alone, and a warning says so.

    Args:
        model: without quantizers.
        policy: see `plan`.
        example: a small batch, as forward() takes it.
        sparse: paths of the layers that can be 2:4, for `tensorrt-sparse`.
        bits: of every quantizer. Defaults to 8.

    Returns:
        The placement, from which `insert` does the same again.

    Raises:
        UserError: it has quantizers already, no layer that can have one, or a pattern matches no quantizer.
    """
    _refuse_quantized(model)
    placement = _planned(model, policy, example, sparse)
    insert(model, placement, bits)
    if placement.missed:
        console.warn(f"Not quantized, though the placement would have: {'; '.join(placement.missed)}.")
    return placement


def _planned(model: nn.Module, policy: str | list[str], example: Any, sparse: Iterable[str]) -> Placement:
    if isinstance(policy, str) and policy in UNTRACED:
        return by_module(model, policy)
    try:
        placement = plan(model, policy, example, sparse)
        trial = insert(copy.deepcopy(model), placement)
        trouble = complain(model, trial, enabled(trial), example)
    except UserError:
        raise
    except Exception as error:  # whatever a network does that can't be traced
        trouble = f"{type(error).__name__}: {str(error).strip()[:200]}"
    if not trouble:
        return placement
    console.warn(
        f"The network can't be traced for the placement ({trouble}). Only inputs and weights of its weighted layers "
        "are quantized: sums, concatenations, pooling and attention products stay float."
    )
    return by_module(model, "weights-and-inputs")


def insert(model: nn.Module, placement: Placement | None = None, bits: int = 8) -> nn.Module:
    """Insert fake quantizers, INT8 ones if nothing else is said, in place.

    Weights of Conv and Linear: symmetric per output channel (axis 0), codes -127 to 127; ConvTranspose: per tensor.
    Activations: symmetric per tensor, codes -128 to 127. With 4 bits the codes of both are -7 to 7.

    Args:
        model: without quantizers.
        placement: where they go. Defaults to inputs and weights of all weighted layers and both summands of `Add`.
        bits: of every quantizer, 8 or 4. Defaults to 8.

    Returns:
        `model` itself; its quantizers have no range yet.

    Raises:
        UserError: it has quantizers already, no layer that can have one, or the placement is another network's.
    """
    _refuse_quantized(model)
    placement = placement or by_module(model)
    try:
        for site in placement.sites:
            model.get_submodule(site.module).add_module(site.name, Operation(site.kind, site.index))
        layers = {name.rpartition(".")[0] for names in placement.quantizers for name in names}
        for path in sorted(layers):
            _prepare(model.get_submodule(path))
        for names in placement.quantizers:
            _share(model, names, bits)
    except AttributeError as error:
        raise UserError(f"The placement doesn't fit the network: {error}.", where="placement.json") from error
    if not enabled(model):
        raise UserError("This network has no Conv, Linear or ConvTranspose layer to quantize.", where="model")
    if placement.sites:
        listen(model)
    return model


def _refuse_quantized(model: nn.Module) -> None:
    if enabled(model):
        raise UserError("This network has quantizers already.", where="model", fix="Give a network without them.")


def _prepare(module: nn.Module) -> None:
    if type(module) in WEIGHTED:
        converted = QuantModuleRegistry.convert(module)
        for quantizer in (converted.input_quantizer, converted.weight_quantizer, converted.output_quantizer):
            quantizer.disable()


def _share(model: nn.Module, names: list[str], bits: int) -> None:
    """One quantizer under all of these names."""
    shared: nn.Module | None = None
    for name in names:
        path, _, own = name.rpartition(".")
        module = model.get_submodule(path)
        if own == "weight_quantizer":
            axis = None if isinstance(module, _PER_TENSOR) else 0
            weight = QuantizerAttributeConfig(num_bits=bits, axis=axis, narrow_range=True)
            module.weight_quantizer.set_from_attribute_config(weight)  # type: ignore[union-attr,operator]
            module.weight_quantizer.enable()  # type: ignore[union-attr,operator]
            continue
        activation = QuantizerAttributeConfig(num_bits=bits, axis=None, narrow_range=bits == _FOUR)
        shared = shared or TensorQuantizer(activation)
        native = isinstance(module, (*WEIGHTED, Operation)) or (isinstance(module, Add) and own != OUTPUT)
        module.add_module(own, shared)
        if not native:
            attach(module, own)


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


__all__ = ["enabled", "insert", "place", "set_ranges"]
