"""Fold BatchNormalization into the Conv, ConvTranspose or Gemm before it, without changing one integer code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from .passes import graph_pass
from .quantizers import along, settle
from .values import (
    Array,
    add_initializer,
    constant,
    drop_unused,
    input_at,
    integer,
    is_op,
    produced_by,
    replace_node,
    set_initializer,
)


@dataclass(frozen=True)
class _Weight:
    """A constant weight and, if it is quantized, its pair. `axis` is the output channels' axis."""

    value: ir.Value
    array: Array
    axis: int
    quantize: ir.Node | None
    dequantize: ir.Node | None


@graph_pass()
def fold_batchnorm(model: ir.Model) -> int:
    """Multiply weight and scale by gamma / sigma, and move the rest into the bias.

    Requires an operator whose only reader is the BatchNormalization, in inference mode, with a constant weight of its
    own. A channel with a negative factor flips the sign of its codes; one with factor 0 gets codes 0 and the middle
    scale of the others; all other codes stay. Left in place: a ConvTranspose whose output channels can't have a scale
    each (one scale per tensor, groups, or scales along the input channels), and an operator with a code of -128 in a
    channel that flips, because their codes would change; a Gemm whose C differs between rows.
    """
    return sum(_fold(node, model.graph) for node in list(model.graph) if is_op(node, "BatchNormalization"))


def _fold(norm: ir.Node, graph: ir.Graph) -> bool:
    node = produced_by(norm.inputs[0], "Conv", "ConvTranspose", "Gemm")
    if node is None or integer(norm, "training_mode", 0) or not _only_reader(node.outputs[0]):
        return False
    weight = _weight(node)
    parameters = [constant(value) for value in norm.inputs[1:5]]
    bias = _bias(node)
    if weight is None or bias is None or any(value is None for value in parameters) or not _foldable(node, weight):
        return False
    factor, shift = _affine(norm, *[value.astype(np.float64) for value in parameters if value is not None])
    groups = integer(node, "group", 1) if node.op_type == "ConvTranspose" else 1
    if _overflows(weight, _spread(factor, weight, groups)):
        return False
    _scale_weight(weight, factor, groups)
    _set_bias(node, graph, (bias * factor + shift).astype(np.float32))
    old = list(norm.inputs[1:5])
    name = str(norm.outputs[0].name)
    replace_node(norm, node.outputs[0])
    node.outputs[0].name = name
    drop_unused(graph, old)
    return True


def _only_reader(value: ir.Value) -> bool:
    return len(value.uses()) == 1 and not value.is_graph_output()


def _affine(norm: ir.Node, gamma: Array, beta: Array, mean: Array, variance: Array) -> tuple[Array, Array]:
    epsilon = float(np.float32(norm.attributes.get_float("epsilon", 1e-5) or 0.0))  # as a file holds it
    factor = gamma / np.sqrt(variance + epsilon)
    return factor, beta - mean * factor


def _weight(node: ir.Node) -> _Weight | None:
    value = node.inputs[1]
    dequantize = produced_by(value, "DequantizeLinear")
    quantize = None if dequantize is None else produced_by(dequantize.inputs[0], "QuantizeLinear")
    if dequantize is not None:
        if quantize is None or not _only_reader(dequantize.outputs[0]) or not _only_reader(quantize.outputs[0]):
            return None
        value = quantize.inputs[0]
    array = constant(value)
    if value is None or array is None or not value.is_initializer() or not _only_reader(value):
        return None
    return _Weight(value, array, _channel_axis(node), quantize, dequantize)


def _channel_axis(node: ir.Node) -> int:
    if node.op_type == "ConvTranspose":
        return 1
    return 0 if node.op_type == "Conv" or integer(node, "transB", 0) else 1


def _foldable(node: ir.Node, weight: _Weight) -> bool:
    if node.op_type == "Gemm" and (node.attributes.get_float("alpha", 1.0) != 1.0 or integer(node, "transA", 0)):
        return False
    if weight.quantize is None:
        return True
    scale = constant(weight.quantize.inputs[1])
    zeros = constant(input_at(weight.quantize, 2))
    if scale is None or (zeros is not None and np.any(zeros)) or integer(weight.quantize, "block_size", 0):
        return False
    if scale.size == 1:
        return node.op_type != "ConvTranspose"
    same_axis = integer(weight.quantize, "axis", 1) % weight.array.ndim == weight.axis
    return same_axis and integer(node, "group", 1) == 1 if node.op_type == "ConvTranspose" else same_axis


def _bias(node: ir.Node) -> Array | float | None:
    value = input_at(node, 2)
    if value is None:
        return 0.0
    array = constant(value)
    if array is None or (node.op_type == "Gemm" and node.attributes.get_float("beta", 1.0) != 1.0):
        return None
    if array.size > 1 and array.size != array.shape[-1]:
        return None  # a Gemm's C of several rows
    return array.astype(np.float64).reshape(-1)


def _overflows(weight: _Weight, spread: Array) -> bool:
    """Whether a code of -128 would become 128."""
    return weight.quantize is not None and bool(np.any((_codes(weight) == -128) & (spread < 0)))


def _codes(weight: _Weight) -> Array:
    assert weight.quantize is not None
    scale = constant(weight.quantize.inputs[1])
    assert scale is not None
    codes: Array = np.clip(np.rint(weight.array / along(scale, weight.axis, weight.array.ndim)), -128, 127)
    return codes


def _scale_weight(weight: _Weight, factor: Array, groups: int) -> None:
    spread = _spread(factor, weight, groups)
    if weight.quantize is None or weight.dequantize is None:
        set_initializer(weight.value, (weight.array * spread).astype(np.float32))
        return
    old = constant(weight.quantize.inputs[1])
    assert old is not None
    axis, ndim = weight.axis, weight.array.ndim
    codes = _codes(weight) * np.sign(spread)
    scale = _new_scale(np.broadcast_to(old.astype(np.float64), factor.shape), factor)
    scaled = settle((weight.array * spread).astype(np.float32), codes, along(scale, axis, ndim))
    set_initializer(weight.value, scaled)
    _set_scale(weight, scale)


def _spread(factor: Array, weight: _Weight, groups: int) -> Array:
    if groups == 1:
        return along(factor, weight.axis, weight.array.ndim)
    per_group = factor.reshape(groups, 1, -1)
    rows = np.broadcast_to(per_group, (groups, weight.array.shape[0] // groups, per_group.shape[-1]))
    spread: Array = rows.reshape(weight.array.shape[:2] + (1,) * (weight.array.ndim - 2))
    return spread


def _new_scale(old: Array, factor: Array) -> Array:
    scale = (old * np.abs(factor)).astype(np.float32)
    alive = scale >= np.finfo(np.float32).tiny
    middle = np.median(scale[alive]) if alive.any() else np.float32(1 / 127)
    return np.where(alive, scale, middle).astype(np.float32)


def _set_scale(weight: _Weight, scale: Array) -> None:
    pair = [node for node in (weight.quantize, weight.dequantize) if node is not None]
    graph, old = pair[0].graph, list(pair[0].inputs[1:3])
    assert isinstance(graph, ir.Graph)
    scales = add_initializer(graph, "scale", scale)
    zeros = add_initializer(graph, "zero_point", np.zeros(scale.shape, np.int8))
    for node in pair:
        node.resize_inputs(3)
        node.replace_input_with(1, scales)
        node.replace_input_with(2, zeros)
        node.attributes["axis"] = ir.AttrInt64("axis", weight.axis)
    names = [None if value is None else value.name for value in old]
    drop_unused(graph, old)
    for value, name in zip((scales, zeros), names, strict=False):
        if name is not None and name not in graph.initializers:
            value.name = name


def _set_bias(node: ir.Node, graph: ir.Graph, bias: Array) -> None:
    old = input_at(node, 2)
    name = str(old.name) if old is not None else _bias_name(node)
    if old is not None and old.is_initializer() and _only_reader(old):
        set_initializer(old, bias)
        return
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, add_initializer(graph, name, bias))


def _bias_name(node: ir.Node) -> str:
    weight = node.inputs[1]
    name = str(weight.name) if weight is not None else str(node.name)
    for ending in (".weight_quantizer", "._weight_quantizer", ".weight"):
        name = name.removesuffix(ending)
    return f"{name}.bias"


__all__ = ["fold_batchnorm"]
