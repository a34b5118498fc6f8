"""Scales per channel: on weights only, and along the channels of the output."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from ..naming import WEIGHTED
from ..values import constant, input_at, integer, is_op
from .context import RESHAPED, Context
from .finding import Finding, Rule

ACTIVATION = Rule(
    "QDQ018", "error", "an activation quantized per channel",
    "Integer kernels multiply with one scale per activation; TensorRT takes scales per channel for weights only.",
    "Quantize activations per tensor.",
)
WRONG_AXIS = Rule(
    "QDQ019", "error", "a weight quantized along an axis that is not its output channels",
    "An integer sum can be rescaled after it is done, once for each output channel; scales along the axis that is "
    "summed over would be needed inside of the sum.",
    "Quantize per output channel: axis 0 of a Conv and of a Gemm with transB, the last axis of a MatMul.",
)
TRANSPOSED = Rule(
    "QDQ020", "warning", "a ConvTranspose's weight quantized per channel",
    "Its output channels are axis 1 in ONNX, which releases of TensorRT have taken differently, and groups not at all.",
    "Quantize it per tensor.",
)
_FAR = 64  # changes of shape that this follows
RULES = (ACTIVATION, WRONG_AXIS, TRANSPOSED)


def axes(node: ir.Node, context: Context) -> Iterator[Finding]:
    """Scales per channel, of activations at their Q or DQ, of weights at the layer that reads them."""
    if is_op(node, "QuantizeLinear", "DequantizeLinear"):
        if _per_channel(node) and not context.is_still(node.inputs[0]):
            yield ACTIVATION.at(node, f"it has scales per channel (axis {integer(node, 'axis', 1)}) on an activation")
    elif is_op(node, *WEIGHTED):
        for index in (0, 1):
            yield from _weight(node, index, context)


def _weight(node: ir.Node, index: int, context: Context) -> Iterator[Finding]:
    value = input_at(node, index)
    if not context.is_still(value):
        return
    axis = _seen_axis(value)
    if axis is None:
        return
    if is_op(node, "ConvTranspose"):
        yield TRANSPOSED.at(node, f"its weight has scales per channel along axis {axis}")
        return
    right = _output_axis(node, index, value)
    if right is not None and axis != right:
        yield WRONG_AXIS.at(node, f"its weight has scales along axis {axis}; its output channels are axis {right}")


def _output_axis(node: ir.Node, index: int, value: ir.Value | None) -> int | None:
    if is_op(node, "Conv"):
        return 0
    if is_op(node, "Gemm"):
        return 1 - integer(node, "transB", 0) if index == 1 else integer(node, "transA", 0)
    rank = _rank(value)
    if rank is None or rank < 2:
        return None
    return rank - 1 if index == 1 else rank - 2


def _seen_axis(value: ir.Value | None) -> int | None:
    """The axis of the scales as the layer sees it, behind Transposes; None: per tensor, or not known."""
    turns: list[list[int]] = []
    while value is not None and is_op(node := value.producer(), *RESHAPED) and len(turns) < _FAR:
        assert node is not None
        if is_op(node, "Transpose"):
            rank = _rank(node.inputs[0])
            perm = node.attributes.get_ints("perm") or (None if rank is None else range(rank)[::-1])
            if perm is None:
                return None
            turns.append(list(perm))
        elif is_op(node, "Identity", "Cast"):
            turns.append([])
        else:
            return None
        value = node.inputs[0]
    maker = None if value is None else value.producer()
    if maker is None or not is_op(maker, "DequantizeLinear") or not _per_channel(maker):
        return None
    return _turned(maker, turns)


def _turned(maker: ir.Node, turns: list[list[int]]) -> int | None:
    axis, rank = integer(maker, "axis", 1), _rank(maker.inputs[0])
    if axis < 0:
        if rank is None:
            return None
        axis += rank
    for perm in filter(None, reversed(turns)):
        if axis not in perm:
            return None
        axis = perm.index(axis)
    return axis


def _rank(value: ir.Value | None) -> int | None:
    shape = None if value is None else value.shape
    if shape is not None:
        return len(shape)
    node = None if value is None else value.producer()
    if is_op(node, "QuantizeLinear", "DequantizeLinear", "Cast", "Identity", "Transpose"):
        assert node is not None
        return _rank(node.inputs[0])
    array = constant(value)
    return None if array is None else array.ndim


def _per_channel(node: ir.Node) -> bool:
    scale = constant(input_at(node, 1))
    return scale is not None and scale.ndim == 1 and scale.size > 1 and not integer(node, "block_size", 0)


__all__ = ["RULES", "axes"]
