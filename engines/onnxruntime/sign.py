"""Which tensors can't hold a negative number, by the operators that make them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...export.graph.values import constant, input_at, is_op

_ALWAYS = {"Abs", "Exp", "HardSigmoid", "Relu", "Sigmoid", "Softmax", "Softplus", "Sqrt"}
_AS_FIRST_INPUT = {
    "AveragePool", "Cast", "Dropout", "Expand", "Flatten", "Gather", "GlobalAveragePool", "GlobalMaxPool", "Identity",
    "MaxPool", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Reshape", "Slice", "Split", "Squeeze", "Tile",
    "Transpose", "Unsqueeze",
}
_AS_ALL_INPUTS = {"Add", "Concat", "Min", "Mul", "Sum"}


def non_negative(graph: ir.Graph) -> set[ir.Value]:
    """The values of `graph` (not of its subgraphs) that are provably at least 0; unknown operators prove nothing."""
    proven: set[ir.Value] = set()
    for node in graph:
        if is_op(node, node.op_type) and _proven(node, proven):
            proven.update(node.outputs)
    return proven


def _proven(node: ir.Node, proven: set[ir.Value]) -> bool:
    def holds(value: ir.Value | None) -> bool:
        return value in proven or _positive_constant(value)

    inputs = [value for value in node.inputs if value is not None]
    if node.op_type in _ALWAYS:
        return True
    if node.op_type in _AS_FIRST_INPUT:
        return holds(node.inputs[0])
    if node.op_type in _AS_ALL_INPUTS:
        return all(holds(value) for value in inputs)
    if node.op_type == "Max":
        return any(holds(value) for value in inputs)
    if node.op_type == "Clip":
        low, high = input_at(node, 1), input_at(node, 2)
        return _positive_constant(low) or (holds(node.inputs[0]) and (high is None or _positive_constant(high)))
    return node.op_type == "DequantizeLinear" and _codes_at_least_zero_point(node, proven)


def _positive_constant(value: ir.Value | None) -> bool:
    array = constant(value)
    return array is not None and bool(np.all(array >= 0))


def _codes_at_least_zero_point(node: ir.Node, proven: set[ir.Value]) -> bool:
    quantize = node.inputs[0].producer() if node.inputs[0] is not None else None
    zero_point = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if zero_point is not None and zero_point.dtype == np.uint8 and not zero_point.any():
        return True
    return quantize is not None and quantize.op_type == "QuantizeLinear" and quantize.inputs[0] in proven


__all__ = ["non_negative"]
