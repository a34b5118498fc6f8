"""Biases that are stored as 32-bit integers become the floats that they stand for."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..graph.quantizers import along
from ..graph.values import Array, add_initializer, constant, drop_unused, input_at, integer, is_op, replace_node
from .nodes import DEQUANTIZE


def store_float_biases(model: ir.Model) -> int:
    """A DQ of constant 32-bit codes becomes the constant that it computes: (codes - zero point) * scale, in FP32.

    Ensures the same values bit for bit: the integer is rounded to FP32 first and then multiplied, as ONNX Runtime does.

    Returns:
        The number of biases.
    """
    found = [node for node in list(model.graph) if is_op(node, DEQUANTIZE)]
    return sum(_store(node, model.graph) for node in found)


def _store(node: ir.Node, graph: ir.Graph) -> bool:
    codes, scale = constant(node.inputs[0]), constant(input_at(node, 1))
    if codes is None or scale is None or codes.dtype != np.int32 or scale.dtype != np.float32:
        return False
    values = dequantized(codes, scale, constant(input_at(node, 2)), integer(node, "axis", 1))
    inputs = list(node.inputs)
    replace_node(node, add_initializer(graph, f"{node.outputs[0].name}/float", values))
    drop_unused(graph, inputs)
    return True


def dequantized(codes: Array, scale: Array, zero_point: Array | None, axis: int) -> Array:
    """What DQ makes of 32-bit codes, float32."""
    axis = axis if axis < codes.ndim else 0  # per channel, a bias has one axis, whatever the attribute says
    offset = np.int32(0) if zero_point is None else along(zero_point, axis, codes.ndim)
    product: Array = (codes - offset).astype(np.float32) * along(scale, axis, codes.ndim)
    return product.astype(np.float32)


__all__ = ["store_float_biases"]
