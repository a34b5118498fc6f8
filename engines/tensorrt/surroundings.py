"""What the graph says of a weighted node beyond its weights: groups, and whether it reads and writes integers."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from ...export.graph.naming import WEIGHTED
from ...export.graph.two_four import Sparsity
from ...export.graph.values import all_nodes, constant, input_at, integer, is_op, produced_by

_RESHAPED = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_EPILOGUE = (
    "Add", "BatchNormalization", "Clip", "Concat", "HardSigmoid", "HardSwish", "LeakyRelu", "MaxPool", "Mul", "PRelu",
    "Relu", "Sigmoid", "Sub",
)


@dataclass(frozen=True)
class Surroundings:
    """A weighted node in its graph.

    Attributes:
        group: parts that a convolution's channels are divided into.
        int8_in: its data comes from a DequantizeLinear.
        float_reader: operator that reads its output as float, with no QuantizeLinear between, or adds it to a float;
            None where every path from it leads to a QuantizeLinear, through what a kernel can do on its way out.
        constant: its weight is constant.
    """

    group: int = 1
    int8_in: bool = False
    float_reader: str | None = None
    constant: bool = True


def surroundings(model: ir.Model) -> dict[str, Surroundings]:
    """`Surroundings` of every Conv, ConvTranspose, Gemm and MatMul, by the node's name."""
    return {str(node.name): _of(node) for node in all_nodes(model) if is_op(node, *WEIGHTED)}


def computed_weights(model: ir.Model) -> list[Sparsity]:
    """Convolutions and Gemms whose weight is computed at run time; a MatMul of two activations is no layer."""
    nodes = [node for node in all_nodes(model) if is_op(node, "Conv", "ConvTranspose", "Gemm")]
    return [_computed(node) for node in nodes if not _constant(node)]


def _computed(node: ir.Node) -> Sparsity:
    return Sparsity(name=str(node.name), op=node.op_type, shape=(), axis=0, groups=0, violations=0, two_four=False,
                    zeros=0.0, quantized=False, reason="its weights are computed while the network runs")


def _of(node: ir.Node) -> Surroundings:
    steady = _constant(node)
    data = 1 if steady and _settled(input_at(node, 0)) else 0
    return Surroundings(
        group=integer(node, "group", 1), int8_in=_dequantized(input_at(node, data)),
        float_reader=_float_reader(node.outputs[0]), constant=steady,
    )


def _constant(node: ir.Node) -> bool:
    return _settled(input_at(node, 1)) or (node.op_type in ("Gemm", "MatMul") and _settled(input_at(node, 0)))


def _settled(value: ir.Value | None) -> bool:
    while node := produced_by(value, "QuantizeLinear", "DequantizeLinear", *_RESHAPED):
        value = node.inputs[0]
    return constant(value) is not None


def _dequantized(value: ir.Value | None) -> bool:
    while node := produced_by(value, *_RESHAPED):
        value = node.inputs[0]
    return produced_by(value, "DequantizeLinear") is not None


def _float_reader(value: ir.Value) -> str | None:
    """Follow every path to the first Q, or to what reads the value as it is."""
    pending, seen = [value], {value}
    while pending:
        value = pending.pop()
        if value.is_graph_output():
            return "the network's output"
        for reader in value.consumers():
            if is_op(reader, "QuantizeLinear"):
                continue
            if not is_op(reader, *_EPILOGUE, *_RESHAPED) or _meets_float(reader, value):
                return reader.op_type
            pending += [output for output in reader.outputs[:1] if output not in seen]
            seen.update(reader.outputs[:1])
    return None


def _meets_float(reader: ir.Node, value: ir.Value) -> bool:
    """A residual addition takes the dtype of the other branch: with a float one, float comes out of the kernel."""
    others = [other for other in reader.inputs if other is not value] if is_op(reader, "Add") else []
    return any(not _settled(other) and not _dequantized(other) for other in others)


__all__ = ["Surroundings", "computed_weights", "surroundings"]
