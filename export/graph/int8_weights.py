"""Store quantized weights as INT8 initializers with DequantizeLinear alone: a file a quarter of the size."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .passes import graph_pass
from .pieces import pieces
from .quantizers import along
from .values import (
    FAULTS,
    Array,
    add_initializer,
    constant,
    drop_unused,
    input_at,
    integer,
    is_op,
    replace_node,
)

_INTEGERS = {"int8": (-128, 127), "uint8": (0, 255)}


@graph_pass(quantizers="dequantize only")
def store_int8_weights(model: ir.Model) -> int:
    """`W -> Q -> DQ` becomes `codes of W -> DQ`.

    Requires a constant weight, scale and zero point, per tensor or per channel. Ensures the same codes as ONNX's Q
    computes (round half to even, saturate), and so the same answers bit for bit.
    """
    return sum(_store(node, model.graph) for node in list(model.graph) if is_op(node, "QuantizeLinear"))


def _store(node: ir.Node, graph: ir.Graph) -> bool:
    codes = weight_codes(node)
    if codes is None or node.outputs[0].is_graph_output():
        return False
    inputs, name = list(node.inputs), str(node.outputs[0].name)
    replace_node(node, add_initializer(graph, name, codes))
    drop_unused(graph, inputs)
    return True


def weight_codes(quantize: ir.Node) -> Array | None:
    """The codes that a Q of a constant computes, int8 or uint8; None where it quantizes anything else."""
    array, scale, zero = (constant(input_at(quantize, index)) for index in range(3))
    kind = "uint8" if zero is None else str(zero.dtype)
    if array is None or scale is None or kind not in _INTEGERS or integer(quantize, "block_size", 0):
        return None
    try:
        axis = integer(quantize, "axis", 1)
        steps = np.broadcast_to(along(scale, axis, array.ndim), array.shape)
        zeros = np.broadcast_to(np.int8(0) if zero is None else along(zero, axis, array.ndim), array.shape)
    except FAULTS:  # whoever runs the graph will say so
        return None
    codes = np.empty(array.shape, kind)
    for piece in pieces(array.shape):
        codes[piece] = _codes(array[piece], steps[piece], zeros[piece], *_INTEGERS[kind])
    return codes


def _codes(values: Array, steps: Array, zeros: Array, low: int, high: int) -> Array:
    with np.errstate(all="ignore"):  # a scale may be zero, a weight NaN
        codes = np.asarray(np.rint(values / steps))  # of a lone number numpy makes no array
        codes = codes + zeros.astype(codes.dtype) if zeros.any() else codes
        return np.asarray(np.clip(codes, low, high)).astype(np.int16)


__all__ = ["store_int8_weights", "weight_codes"]
