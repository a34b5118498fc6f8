"""Where integers turn into floats between quantized layers, and who is to blame."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from ..naming import WEIGHTED
from ..surroundings import EPILOGUE
from ..values import is_op
from .context import MOVES, RESHAPED, Context
from .finding import Finding, Rule

_POOLS = ("AveragePool", "GlobalAveragePool")
_PASSED = ("Cast", "Constant", "QuantizeLinear", "DequantizeLinear", "Shape", "Size", *WEIGHTED, *EPILOGUE, *MOVES,
           *RESHAPED)

FLOAT_HOP = Rule(
    "FUSE008", "note", "a float operator between two quantized layers",
    "The layer in front writes float, which is read, computed and quantized again: memory traffic, and no INT8 output, "
    "with which sparse INT8 kernels are met.",
    "Nothing, where it must be float (Softmax, LayerNormalization); else quantize the output of the layer in front of "
    "it, or use an operator that TensorRT computes in the layer's kernel (Relu).",
)
FLOAT_LAYER = Rule(
    "FUSE009", "note", "a layer that is not quantized in a network that is",
    "It runs in floating point, at half the speed of INT8 or less.",
    "Quantize its input and its weight, unless it is kept for accuracy (often the first and the last layer).",
)
FLOAT_POOL = Rule(
    "FUSE010", "warning", "average pooling with quantized input and float output",
    "Averages of codes are no codes: TensorRT pools integers only if a Q follows.",
    "Quantize its output too.",
)
FLOAT_SUM = Rule(
    "FUSE011", "note", "an addition of quantized inputs with float output",
    "TensorRT adds integers only if a Q follows; here it dequantizes both inputs and adds floats.",
    "Quantize its output too, or leave its inputs in float.",
)
RULES = (FLOAT_HOP, FLOAT_LAYER, FLOAT_POOL, FLOAT_SUM)


def float_hop(node: ir.Node, context: Context) -> Iterator[Finding]:
    """Operators that only compute in float, fed by a quantized layer and quantized behind."""
    if is_op(node, *_PASSED, *_POOLS) or not any(value in context.fed for value in node.inputs):
        return
    if any(value in context.bound for value in node.outputs):
        yield FLOAT_HOP.at(node, f"{node.op_type} computes in float between a quantized layer and the next Q")


def float_layer(node: ir.Node, context: Context) -> Iterator[Finding]:
    """Layers that have no Q/DQ at all."""
    if not is_op(node, *WEIGHTED) or not context.quantized:
        return
    sides = node.inputs[:2]
    if any(context.is_still(value) for value in sides) and not any(context.dequantizer(value) for value in sides):
        yield FLOAT_LAYER.at(node, f"{node.op_type} is not quantized")


def float_output(node: ir.Node, context: Context) -> Iterator[Finding]:
    """Poolings and additions that read codes and write floats."""
    if not is_op(node, "Add", *_POOLS):
        return
    moving = [value for value in node.inputs if not context.is_still(value)]
    if not moving or not all(context.dequantizer(value) is not None for value in moving):
        return
    reader = context.float_readers[node.outputs[0]]
    if reader is None or (is_op(node, "Add") and len(moving) < 2):
        return
    rule = FLOAT_SUM if is_op(node, "Add") else FLOAT_POOL
    yield rule.at(node, f"it reads codes, but {reader} reads its output as float")


__all__ = ["RULES", "float_hop", "float_layer", "float_output"]
