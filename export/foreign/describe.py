"""A converted network as a bundle's manifest lists it: weighted layers and the ranges of its quantizers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from ...common.bundle import Layer, Range, Tensor
from ...common.errors import UserError
from ..graph.two_four import Sparsity, check
from ..graph.values import is_op
from .nodes import DEQUANTIZE, is_weight, parameters

METHOD = "given"


def layers_of(model: ir.Model) -> list[Layer]:
    """The layers with a constant weight; `sparse` are those that came 2:4."""
    return [_layer(found) for found in check(model)]


def _layer(found: Sparsity) -> Layer:
    return Layer(
        name=found.name, kind=found.op, shape=list(found.shape), sparse=found.two_four,
        reason=f"its weights came so: {found.reason}",
    )


def ranges_of(model: ir.Model) -> list[Range]:
    """One range per quantizer: 127 steps of its scale."""
    found = {}
    for node in model.graph:
        given = parameters(node) if is_op(node, DEQUANTIZE) else None
        if given is None:
            continue
        name = str(node.name).removesuffix("/DequantizeLinear")
        amax = [float(scale) * 127 for scale in given.scale.reshape(-1)]
        found[name] = Range(
            tensor=name, method=METHOD, amax=amax if given.axis is not None else amax[0], axis=given.axis
        )
    return list(found.values())


def activations_of(model: ir.Model) -> list[str]:
    """The quantizers of activations, by the names of the values that they make."""
    found = [node for node in model.graph if is_op(node, DEQUANTIZE) and not is_weight(node)]
    return [name for node in found if node.name == f"{(name := str(node.outputs[0].name))}/DequantizeLinear"]


def inputs_of(model: ir.Model) -> list[ir.Value]:
    """The graph's inputs; old files list their initializers among them."""
    return [value for value in model.graph.inputs if value.name not in model.graph.initializers]


def fixed_batch(model: ir.Model) -> int | None:
    """The batch that the graph was exported for, or None where it takes any."""
    first = next((value.shape for value in inputs_of(model) if value.shape is not None and len(value.shape)), None)
    return first[0] if first is not None and isinstance(first[0], int) else None


def tensors_of(values: Iterable[ir.Value]) -> list[Tensor]:
    """Name, type and shape of inputs or outputs.

    Raises:
        UserError: one of them is no tensor of numbers.
    """
    described = []
    for value in values:
        if not isinstance(value.type, ir.TensorType) or value.dtype in (None, ir.DataType.STRING):
            raise UserError(f"The input or output {value.name!r} is no tensor of numbers.")
        shape = [dim if isinstance(dim, int) else str(dim.value) for dim in value.shape or ()]
        described.append(Tensor(name=str(value.name), dtype=str(np.dtype(value.type.dtype.numpy())), shape=shape))
    return described


__all__ = ["METHOD", "activations_of", "fixed_batch", "inputs_of", "layers_of", "ranges_of", "tensors_of"]
