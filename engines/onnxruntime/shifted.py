"""Store the remaining signed activations as uint8 codes with zero point 128, and the weights that meet them likewise.

On x86 ONNX Runtime itself moves signed activations to uint8 but leaves the weights int8, and on processors with AVX2
and no VNNI that pair of types sums two products in 16 saturating bits: 64 inputs of 127 times 64 weights of 127 gave
0.8 % of the right sum. Both unsigned take a kernel that widens first and is exact; on other processors it is as exact.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...export.graph.values import Array, constant, is_op
from .meetings import meetings
from .pairs import Pair, activation_pairs, named_constant, required, retype

_SHIFT = 128


def store_shifted(model: ir.Model) -> int:
    """Turn the int8 codes of activations, and the int8 weights of the layers that read them, into uint8; exact.

    Returns:
        The number of activation Q/DQ pairs that were changed.
    """
    found = [pair for pair in activation_pairs(model.graph) if pair.zero_point.dtype == np.int8]
    shifted = {node for pair in found for node in pair.dequantize}
    for pair in found:
        _shift_activation(model.graph, pair)
    for _, (first, second) in meetings(model):
        if first in shifted:
            _shift_weight(model.graph, second)
        if second in shifted:
            _shift_weight(model.graph, first)
    return len(found)


def _shift_activation(graph: ir.Graph, pair: Pair) -> None:
    code = int(pair.zero_point) + _SHIFT
    retype(pair, named_constant(graph, f"uint8_zero_point_{code}", np.array(code, np.uint8)))


def _shift_weight(graph: ir.Graph, node: ir.Node | None) -> None:
    if node is None or not is_op(node, "DequantizeLinear"):
        return
    codes, scale = constant(node.inputs[0]), constant(node.inputs[1])
    if codes is None or scale is None or codes.dtype != np.int8:
        return
    zero_point = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    old = np.zeros(scale.shape, np.int8) if zero_point is None else zero_point
    name = required(node.inputs[0]).name
    new_codes = named_constant(graph, f"{name}_uint8", _shifted(codes))
    new_zero_point = named_constant(graph, f"{name}_uint8_zero_point", _shifted(old))
    replacement = ir.node(
        "DequantizeLinear", [new_codes, node.inputs[1], new_zero_point], node.attributes, name=node.name
    )
    replacement.outputs[0].name = node.outputs[0].name
    assert node.graph is not None
    ir.convenience.replace_nodes_and_values(
        node.graph, node, [node], [replacement], node.outputs, replacement.outputs
    )


def _shifted(codes: Array) -> Array:
    return (codes.astype(np.int16) + _SHIFT).astype(np.uint8)


__all__ = ["store_shifted"]
