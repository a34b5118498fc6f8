"""What the graph says of a weighted node beyond its weights: groups, and whether it reads and writes integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from .naming import WEIGHTED
from .two_four import Sparsity
from .values import all_nodes, constant, input_at, integer, is_op, produced_by

_RESHAPED = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
EPILOGUE = (
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
    return {str(node.name): found for node, found in node_surroundings(model).items()}


def node_surroundings(model: ir.Model) -> dict[ir.Node, Surroundings]:
    """The same by node, for graphs whose nodes have no names."""
    nodes = list(all_nodes(model))
    readers = float_readers(nodes)
    return {node: _of(node, readers[node.outputs[0]]) for node in nodes if is_op(node, *WEIGHTED)}


def computed_weights(model: ir.Model) -> list[Sparsity]:
    """Convolutions and Gemms whose weight is computed at run time; a MatMul of two activations is no layer."""
    nodes = [node for node in all_nodes(model) if is_op(node, "Conv", "ConvTranspose", "Gemm")]
    return [_computed(node) for node in nodes if not _constant(node)]


def _computed(node: ir.Node) -> Sparsity:
    return Sparsity(name=str(node.name), op=node.op_type, shape=(), axis=0, groups=0, violations=0, two_four=False,
                    zeros=0.0, quantized=False, reason="its weights are computed while the network runs")


def _of(node: ir.Node, float_reader: str | None) -> Surroundings:
    steady = _constant(node)
    data = 1 if steady and settled(input_at(node, 0)) else 0
    return Surroundings(
        group=integer(node, "group", 1), int8_in=dequantized(input_at(node, data)), float_reader=float_reader,
        constant=steady,
    )


def _constant(node: ir.Node) -> bool:
    return settled(input_at(node, 1)) or (node.op_type in ("Gemm", "MatMul") and settled(input_at(node, 0)))


def settled(value: ir.Value | None) -> bool:
    """Whether a value is constant, through Q, DQ and changes of shape or type."""
    while node := produced_by(value, "QuantizeLinear", "DequantizeLinear", *_RESHAPED):
        value = node.inputs[0]
    return constant(value) is not None


def dequantized(value: ir.Value | None) -> bool:
    """Whether a DQ makes a value, through changes of shape or type."""
    while node := produced_by(value, *_RESHAPED):
        value = node.inputs[0]
    return produced_by(value, "DequantizeLinear") is not None


def float_readers(nodes: Sequence[ir.Node]) -> dict[ir.Value, str | None]:
    """`Surroundings.float_reader` of every output of `nodes`, which must stand in the graph's order."""
    known: dict[ir.Value, str | None] = {}
    for node in reversed(nodes):
        for value in node.outputs:
            known[value] = _float_reader(value, known)
    return known


def _float_reader(value: ir.Value, known: Mapping[ir.Value, str | None]) -> str | None:
    if value.is_graph_output():
        return "the network's output"
    for reader in value.consumers():
        if is_op(reader, "QuantizeLinear"):
            continue
        if not is_op(reader, *EPILOGUE, *_RESHAPED) or _meets_float(reader, value):
            return reader.op_type
        if (further := known.get(reader.outputs[0])) is not None:
            return further
    return None


def _meets_float(reader: ir.Node, value: ir.Value) -> bool:
    """A residual addition takes the dtype of the other branch: with a float one, float comes out of the kernel."""
    others = [other for other in reader.inputs if other is not value] if is_op(reader, "Add") else []
    return any(not settled(other) and not dequantized(other) for other in others)


__all__ = [
    "EPILOGUE", "Surroundings", "computed_weights", "dequantized", "float_readers", "node_surroundings", "settled",
    "surroundings",
]
