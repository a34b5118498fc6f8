"""The scales of Q and DQ: constant, positive, of the right type, one per tensor or one per output channel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from ..naming import WEIGHTED
from ..values import constant, input_at, integer, is_op
from .context import Context
from .finding import Finding, Rule

_REFUSED = "The parser refuses scales that are not all positive numbers."
_AGAIN = "Calibrate again; give a dead channel any positive scale: its codes are zeros whatever it is."

COMPUTED_SCALE = Rule(
    "QDQ010", "error", "a scale that is computed at run time",
    "Engines quantize with the scales of the build: TensorRT can't fuse a Q or DQ with any other.",
    "Quantize statically, with calibrated ranges.",
)
ZERO_SCALE = Rule("QDQ011", "error", "a scale of zero", _REFUSED, _AGAIN, anywhere=True)
NEGATIVE_SCALE = Rule("QDQ012", "error", "a negative scale", _REFUSED, _AGAIN, anywhere=True)
INFINITE_SCALE = Rule("QDQ013", "error", "a scale that is no number, or infinite", _REFUSED, _AGAIN, anywhere=True)
SCALE_COUNT = Rule(
    "QDQ014", "error", "scales that don't fit the tensor",
    "There must be one scale, or one for each channel of the axis.",
    "Write as many scales as the axis is long, and name the right axis.", anywhere=True,
)
SCALE_TYPE = Rule(
    "QDQ015", "error", "a 16-bit scale on a tensor of another type",
    "In a strongly typed network a Q with an FP16 or BF16 scale takes input of that type only.",
    "Give scale and input one type, or put a Cast in front of the Q.",
)
MIXED_TYPES = Rule(
    "QDQ016", "error", "a layer whose dequantized inputs are of two float types",
    "A DQ's output has the type of its scale; a strongly typed network doesn't mix them in one layer.",
    "Give the scales of all inputs of a layer one type.",
)
BLOCKS = Rule(
    "QDQ017", "error", "INT8 scales per block",
    "TensorRT takes scales per block for INT4, FP4 and MXFP8 only.",
    "Use one scale per output channel.",
)
RULES = (COMPUTED_SCALE, ZERO_SCALE, NEGATIVE_SCALE, INFINITE_SCALE, SCALE_COUNT, SCALE_TYPE, MIXED_TYPES, BLOCKS)

_HALF = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def scales(node: ir.Node, context: Context) -> Iterator[Finding]:
    """The scales of one Q or DQ."""
    if not is_op(node, "QuantizeLinear", "DequantizeLinear"):
        return
    value = input_at(node, 1)
    scale = constant(value)
    if scale is not None:
        yield from _values(node, scale)
        yield from _count(node, scale)
    elif value is not None and context.is_derived(value):
        yield COMPUTED_SCALE.at(node, "its scale is computed at run time")
    yield from _type(node, context)


def _values(node: ir.Node, scale: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Iterator[Finding]:
    values = scale.astype(np.float64)
    for rule, wrong, text in (
        (INFINITE_SCALE, ~np.isfinite(values), "not finite"), (NEGATIVE_SCALE, values < 0, "negative"),
        (ZERO_SCALE, values == 0, "zero"),
    ):
        if wrong.any():
            count = int(wrong.sum())
            yield rule.at(node, f"{count} of its {values.size} scales {'is' if count == 1 else 'are'} {text}")


def _count(node: ir.Node, scale: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Iterator[Finding]:
    source = node.inputs[0]
    shape = source.shape if source is not None else None
    if integer(node, "block_size", 0) or scale.ndim > 1:
        if scale.size > 1 and _is_int8(node):
            yield BLOCKS.at(node, f"its {scale.size} INT8 scales are per block")
        return
    if scale.size == 1 or shape is None:
        return
    axis = integer(node, "axis", 1)
    if not -len(shape) <= axis < len(shape):
        yield SCALE_COUNT.at(node, f"its axis is {axis}, but its tensor has {len(shape)} axes")
    elif isinstance(size := shape[axis], int) and size != scale.size:
        yield SCALE_COUNT.at(node, f"it has {scale.size} scales for {size} channels of axis {axis}")


def _is_int8(node: ir.Node) -> bool:
    zero = input_at(node, 2)
    kind = None if zero is None else zero.dtype or (zero.const_value.dtype if zero.const_value is not None else None)
    return kind in (None, ir.DataType.INT8, ir.DataType.UINT8)


def _type(node: ir.Node, context: Context) -> Iterator[Finding]:
    kind, given = context.type_of(input_at(node, 1)), context.type_of(node.inputs[0])
    if is_op(node, "QuantizeLinear") and context.opset >= 19 and kind in _HALF and given not in (None, kind):
        assert kind is not None
        assert given is not None
        yield SCALE_TYPE.at(node, f"its scale is {kind.name}, its input {given.name}")


def mixed_types(node: ir.Node, context: Context) -> Iterator[Finding]:
    """Whether the DQs in front of a weighted node agree on a float type."""
    if not is_op(node, *WEIGHTED):
        return
    kinds = {context.type_of(input_at(dequantize, 1)) for value in node.inputs[:2]
             if (dequantize := context.dequantizer(value)) is not None}
    kinds.discard(None)
    if len(kinds) > 1:
        yield MIXED_TYPES.at(node, f"its inputs are dequantized to {' and '.join(sorted(k.name for k in kinds if k))}")


__all__ = ["RULES", "mixed_types", "scales"]
