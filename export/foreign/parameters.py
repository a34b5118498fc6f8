"""Write out what Q and DQ leave unsaid: scales as initializers, zero points that are missing, axes from the front."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..graph.passes import graph_pass
from ..graph.values import Array, add_initializer, constant, input_at, integer, produced_by
from .nodes import QUANTIZE, pairs_of

_UNSIGNED = np.dtype(np.uint8)


@graph_pass()
def write_out(model: ir.Model) -> int:
    """Give every Q and DQ of the graph a constant scale, a zero point and an axis that is not negative, where known.

    A Q without a zero point makes uint8 codes with zero point 0, or codes of its `output_dtype`; a DQ without one takes
    the type of its codes. A scale per tensor becomes a scalar. Leaves alone what is per block or computed at run time.
    """
    return sum(_write(node) for node in pairs_of(model) if not integer(node, "block_size", 0))


def _write(node: ir.Node) -> bool:
    graph, scale = node.graph, _value(input_at(node, 1))
    if scale is None or not isinstance(graph, ir.Graph):
        return False
    zero_point = _value(input_at(node, 2))
    if zero_point is None:
        kind = _codes_dtype(node) if input_at(node, 2) is None else None
        if kind is None:
            return False
        zero_point = np.zeros(scale.shape, kind)
    if zero_point.shape != scale.shape:
        zero_point = np.broadcast_to(zero_point.reshape(-1), scale.reshape(-1).shape)
    shape = () if scale.size == 1 else (-1,)
    changed = _set(node, graph, 1, scale.reshape(shape)) | _set(node, graph, 2, zero_point.reshape(shape))
    return _axis(node, scale.size) or changed


def _set(node: ir.Node, graph: ir.Graph, index: int, array: Array) -> bool:
    old = input_at(node, index)
    if old is not None and old.is_initializer() and old.const_value is not None and _same(constant(old), array):
        return False
    while len(node.inputs) <= index:
        node.resize_inputs(index + 1)
    ending = ("scale", "zero_point")[index - 1]
    node.replace_input_with(index, add_initializer(graph, f"{node.outputs[0].name}/{ending}", array))
    return True


def _same(old: Array | None, new: Array) -> bool:
    return old is not None and old.shape == new.shape and old.dtype == new.dtype


def _axis(node: ir.Node, channels: int) -> bool:
    axis = integer(node, "axis", 1)
    if channels == 1:
        return node.attributes.pop("axis", None) is not None
    rank = _rank(node)
    if axis >= 0 or rank is None:
        return False
    node.attributes["axis"] = ir.AttrInt64("axis", axis + rank)
    return True


def _rank(node: ir.Node) -> int | None:
    for value in (node.inputs[0], node.outputs[0]):
        array = constant(value)
        if array is not None:
            return array.ndim
        if value is not None and value.shape is not None:
            return len(value.shape)
    maker = produced_by(node.inputs[0], QUANTIZE)
    return _rank(maker) if maker is not None else None


def _codes_dtype(node: ir.Node) -> np.dtype[np.generic] | None:
    """The type of the codes where no zero point says it."""
    if node.op_type == QUANTIZE:
        kind = integer(node, "output_dtype", 0)
        return np.dtype(ir.DataType(kind).numpy()) if kind else _UNSIGNED
    codes = node.inputs[0]
    array, maker = constant(codes), produced_by(codes, QUANTIZE)
    if array is not None:
        return np.dtype(array.dtype)
    if maker is not None:
        zero_point = _value(input_at(maker, 2))
        return _codes_dtype(maker) if zero_point is None else zero_point.dtype
    return None if codes is None or codes.dtype is None else np.dtype(codes.dtype.numpy())


def _value(value: ir.Value | None) -> Array | None:
    """A constant, also behind operators that only change its shape or type."""
    array = constant(value)
    node = None if value is None else value.producer()
    if array is not None or node is None or node.domain not in ("", "ai.onnx"):
        return array
    if node.op_type in ("Identity", "Squeeze", "Flatten", "Reshape", "Unsqueeze"):
        found = _value(node.inputs[0])
        return None if found is None or (found.ndim > 1 and found.size > 1) else found.reshape(-1)
    if node.op_type == "Cast":
        found = _value(node.inputs[0])
        return None if found is None else found.astype(ir.DataType(node.attributes["to"].as_int()).numpy())
    return None


__all__ = ["write_out"]
