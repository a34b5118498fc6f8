"""Weights to INT8, Q/DQ removal and the 2:4 check, until export/graph has them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...export.graph.values import Array, add_initializer, constant, is_op, replace_node


def int8_weights(model: ir.Model) -> int:
    """Fold Q of constants."""
    folded = 0
    for node in list(model.graph):
        weight, scale = (constant(node.inputs[0]), constant(node.inputs[1])) if is_op(node, "QuantizeLinear") else (None, None)
        if weight is None or scale is None:
            continue
        shape = [1] * weight.ndim
        if scale.ndim:
            shape[node.attributes.get_int("axis", 1) or 0] = -1
        codes: Array = np.clip(np.rint(weight / scale.reshape(shape)), -128, 127).astype(np.int8)
        name = str(node.outputs[0].name)
        node.outputs[0].name = f"{name}_old"
        replace_node(node, add_initializer(model.graph, name, codes))
        folded += 1
    return folded


def strip_qdq(model: ir.Model) -> int:
    """Remove every Q/DQ pair."""
    pairs = [node for node in model.graph if is_op(node, "QuantizeLinear")]
    for quantize in pairs:
        source = quantize.inputs[0]
        assert source is not None
        for node in list(quantize.outputs[0].consumers()):
            replace_node(node, source)
        model.graph.remove(quantize, safe=True)
    return len(pairs)


def two_four(node: ir.Node) -> tuple[bool, float, str]:
    """Whether a layer's codes are 2:4, the share of zeros, and why."""
    value = node.inputs[1]
    while value is not None and constant(value) is None:
        producer = value.producer()
        value = None if producer is None else producer.inputs[0]
    codes = constant(value)
    assert codes is not None
    axis = 1 if node.op_type == "Conv" or (node.op_type == "Gemm" and node.attributes.get_int("transB", 0)) else codes.ndim - 2
    axis = 0 if node.op_type == "ConvTranspose" else axis
    zeros = float(np.mean(codes == 0))
    if codes.shape[axis] % 4:
        return False, zeros, "the reduction axis does not divide by 4"
    groups = np.moveaxis(codes, axis, -1).reshape(-1, 4)
    good = bool(((groups == 0).sum(1) >= 2).all())
    return good, zeros, "every group of 4 codes has 2 zeros" if good else "not pruned to 2:4"


__all__ = ["int8_weights", "strip_qdq", "two_four"]
