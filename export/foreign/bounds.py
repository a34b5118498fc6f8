"""Between which numbers a tensor lies for certain, whatever the network is given."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..graph.values import constant, input_at, is_op
from .nodes import DEQUANTIZE, QUANTIZE, parameters

Bounds = tuple[float, float]
ANY: Bounds = (-np.inf, np.inf)
_FIXED: dict[str, Bounds] = {
    "Abs": (0, np.inf), "Exp": (0, np.inf), "Relu": (0, np.inf), "Sigmoid": (0, 1), "Softmax": (0, 1),
    "Softplus": (0, np.inf), "Sqrt": (0, np.inf), "Tanh": (-1, 1), "HardSigmoid": (0, 1),
}
_SAME = {
    "Dropout", "Expand", "Flatten", "Gather", "GlobalMaxPool", "Identity", "MaxPool", "ReduceMax", "ReduceMin", "Relu",
    "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
}
_STEPS = 200


def bounds(value: ir.Value | None, steps: int = _STEPS, known: dict[ir.Value, Bounds] | None = None) -> Bounds:
    """The least and the largest number that `value` can hold; infinite where nothing is known.

    Only what is exact in floating point is used: bounds that would have to be rounded are left out.

    Args:
        value: any float tensor.
        steps: how far back it is followed.
        known: what was found on the way; each tensor is looked at once, however many paths lead back to it.
    """
    known = {} if known is None else known
    if value is None or value in known:
        return ANY if value is None else known[value]
    known[value] = ANY  # as long as it is looked for: no graph can send this in circles
    known[value] = _found(value, steps, known)
    return known[value]


def _found(value: ir.Value, steps: int, known: dict[ir.Value, Bounds]) -> Bounds:
    array = constant(value)
    if array is not None:
        return (float(array.min()), float(array.max())) if array.size else ANY
    node = value.producer()
    if node is None or steps == 0 or node.domain not in ("", "ai.onnx"):
        return ANY
    return _meet(_FIXED.get(node.op_type, ANY), _of_inputs(node, steps - 1, known))


def _of_inputs(node: ir.Node, steps: int, known: dict[ir.Value, Bounds]) -> Bounds:
    if node.op_type in _SAME:
        return _padded(node, bounds(node.inputs[0], steps, known))
    if node.op_type == "Concat":
        parts = [bounds(value, steps, known) for value in node.inputs]
        return min(low for low, _ in parts), max(high for _, high in parts)
    if node.op_type == "Clip":
        low, high = (constant(input_at(node, index)) for index in (1, 2))
        return _clipped(bounds(node.inputs[0], steps, known), low, high)
    if node.op_type == DEQUANTIZE:
        return _dequantized(node)
    return ANY


def _padded(node: ir.Node, found: Bounds) -> Bounds:
    """Relu's lower end is 0; the others hand on what they are given."""
    return (max(found[0], 0.0), max(found[1], 0.0)) if node.op_type == "Relu" else found


def _clipped(found: Bounds, low: object, high: object) -> Bounds:
    least = -np.inf if low is None else float(np.max(np.asarray(low)))
    most = np.inf if high is None else float(np.min(np.asarray(high)))
    return (min(max(found[0], least), most), max(min(found[1], most), least))


def _dequantized(node: ir.Node) -> Bounds:
    given = parameters(node)
    if given is None or given.zero_point.dtype not in (np.int8, np.uint8) or given.axis is not None:
        return ANY
    ends = np.iinfo(given.zero_point.dtype)
    zero, scale = int(given.zero_point), float(given.scale)
    found = ((ends.min - zero) * scale, (ends.max - zero) * scale)
    maker = node.inputs[0].producer() if node.inputs[0] is not None else None
    return found if is_op(maker, QUANTIZE) and scale > 0 else ANY


def _meet(first: Bounds, second: Bounds) -> Bounds:
    return max(first[0], second[0]), min(first[1], second[1])


__all__ = ["ANY", "Bounds", "bounds"]
