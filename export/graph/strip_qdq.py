"""Take the quantizers out: the FP32 graph of the same network, which a quantized engine is compared with."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common

from .passes import graph_pass
from .quantizers import along
from .values import (
    Array,
    add_initializer,
    all_nodes,
    constant,
    drop_unused,
    input_at,
    integer,
    is_op,
    produced_by,
    replace_node,
)


@graph_pass(quantizers="removed")
def strip_qdq(model: ir.Model) -> int:
    """Remove every Q/DQ pair, and the Clip of a narrow quantizer in front of it.

    A weight keeps the float values that stood before its Q; a weight that is stored as integers becomes what its DQ
    makes of it. Ensures that no Q and no DQ is left.
    """
    removed = 0
    for node in [node for node in all_nodes(model) if is_op(node, "DequantizeLinear")]:
        quantize = produced_by(node.inputs[0], "QuantizeLinear")
        value = _stored(node) if quantize is None else _source(quantize)
        if value is None:
            continue
        inputs = list(node.inputs)
        replace_node(node, value)
        drop_unused(model.graph, inputs)
        removed += 1
    common.RemoveUnusedNodesPass()(model)
    return removed


def _source(quantize: ir.Node) -> ir.Value | None:
    source = quantize.inputs[0]
    clip = produced_by(source, "Clip")
    if clip is not None and str(clip.name) == str(quantize.name).replace("/QuantizeLinear", "/Clip"):
        return clip.inputs[0]
    return source


def _stored(node: ir.Node) -> ir.Value | None:
    array = constant(node.inputs[0])
    values = None if array is None else dequantized(node, array)
    if values is None or node.graph is None or not isinstance(node.graph, ir.Graph):
        return None
    return add_initializer(node.graph, f"{node.outputs[0].name}/float", values)


def dequantized(node: ir.Node, codes: Array) -> Array | None:
    """(codes - zero point) * scale, per tensor or per channel; None where they are not constant, or per block."""
    scale, zero = constant(input_at(node, 1)), constant(input_at(node, 2))
    if scale is None or integer(node, "block_size", 0):
        return None
    axis = integer(node, "axis", 1)
    offset = 0 if zero is None else along(zero, axis, codes.ndim).astype(np.int32)
    product: Array = (codes.astype(np.int32) - offset).astype(scale.dtype) * along(scale, axis, codes.ndim)
    return product.astype(scale.dtype)


__all__ = ["dequantized", "strip_qdq"]
