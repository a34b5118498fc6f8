"""Operators whose intermediate sums leave a float type's range although their inputs and outputs don't.

Assumed of TensorRT: Conv, Gemm, MatMul, Softmax and the normalizations that ONNX has as one operator (from
LayerNormalization to InstanceNormalization) sum up in FP32 whatever their inputs are. Not assumed of the reductions,
nor of normalizations that are spelled out with them: TensorRT's own log warns of these in FP16.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from .floats import Float
from .values import constant, input_at, integer, is_op

_PLAIN = {"CumSum", "ReduceL1", "ReduceLogSum", "ReduceMean", "ReduceSum"}
_SQUARES = {"LpNormalization", "ReduceL2", "ReduceSumSquare"}
_POOLS = {"AveragePool", "GlobalAveragePool"}
_EXPONENTIALS = {"Mish", "ReduceLogSumExp", "Softplus"}


def overflowing_sum(node: ir.Node, magnitude: float | None, to: Float) -> str | None:
    """Why the intermediate results of a node may leave the range of `to`; None where they don't.

    Args:
        node: any node.
        magnitude: largest magnitude recorded of its first input, or None if it wasn't.
        to: the float type that it would compute in.
    """
    if to.wide or not is_op(node, *_PLAIN, *_SQUARES, *_POOLS, *_EXPONENTIALS):
        return None
    if magnitude is None:
        return f"the sums inside {node.op_type} may overflow {to.title}, and its input was not measured"
    if node.op_type in _EXPONENTIALS:
        return _exponential(node, magnitude, to)
    terms = _terms(node)
    if terms is None:
        return f"{node.op_type} sums up an unknown number of terms, which may overflow {to.title}"
    total = terms * (magnitude**2 if node.op_type in _SQUARES else magnitude)
    if total <= to.limit:
        return None
    return f"its sum of {terms} terms may reach {total:.3g}; {to.title} ends at {to.largest:.5g}"


def _exponential(node: ir.Node, magnitude: float, to: Float) -> str | None:
    if magnitude <= math.log(to.limit):
        return None
    return f"{node.op_type} takes the exponential of up to {magnitude:.3g}; {to.title} ends at {to.largest:.5g}"


def _terms(node: ir.Node) -> int | None:
    """How many numbers one number of the output is summed up from."""
    source = node.inputs[0]
    if node.op_type == "AveragePool":
        return math.prod(node.attributes["kernel_shape"].as_ints())
    if source is None or source.shape is None:
        return None
    sizes = list(source.shape)
    axes = _axes(node, len(sizes))
    if axes is None:
        return None
    summed = [sizes[axis] for axis in axes]
    known = [size for size in summed if isinstance(size, int)]
    return math.prod(known) if len(known) == len(summed) else None


def _axes(node: ir.Node, rank: int) -> list[int] | None:
    if node.op_type == "GlobalAveragePool":
        return list(range(2, rank))
    if node.op_type == "LpNormalization":
        return [integer(node, "axis", -1)]
    if node.op_type == "CumSum":
        axis = constant(input_at(node, 1))
        return None if axis is None else [int(axis.reshape(-1)[0])]
    if "axes" in node.attributes:
        return list(node.attributes["axes"].as_ints())
    value = input_at(node, 1)
    if value is None:
        return [] if integer(node, "noop_with_empty_axes", 0) else list(range(rank))
    array = constant(value)
    return None if array is None else [int(axis) for axis in array.reshape(-1)]


__all__ = ["overflowing_sum"]
