"""What the graph says of a weighted node beyond its weights: groups, and whether it reads and writes integers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from .naming import WEIGHTED
from .two_four import Sparsity
from .values import all_nodes, input_at, integer, is_op

_RESHAPED = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
EPILOGUE = (
    "Add", "BatchNormalization", "Clip", "Concat", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "MaxPool", "Mul",
    "PRelu", "Relu", "Sigmoid", "Sub",
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


class Origins:
    """Where the values of a graph come from, through changes of shape or type; found in one walk.

    Attributes:
        roots: the stored constant of each value that a node makes of one, also through Q and DQ.
    """

    def __init__(self, nodes: Iterable[ir.Node]) -> None:
        self.roots: dict[ir.Value, ir.Value] = {}
        self._dequantized: set[ir.Value] = set()
        for node in nodes:
            self._add(node)

    def _add(self, node: ir.Node) -> None:
        if is_op(node, "Constant"):
            self.roots.update((value, value) for value in node.outputs)
        elif is_op(node, "QuantizeLinear", "DequantizeLinear", *_RESHAPED) and node.inputs:
            root = self.root(node.inputs[0])
            if root is not None:
                self.roots.update((value, root) for value in node.outputs)
            if is_op(node, "DequantizeLinear") or (node.inputs[0] in self._dequantized and not is_op(
                node, "QuantizeLinear"
            )):
                self._dequantized.update(node.outputs)

    def root(self, value: ir.Value | None) -> ir.Value | None:
        """The stored constant behind `value`; None where there is none."""
        if value is None:
            return None
        return value if value.const_value is not None else self.roots.get(value)

    def settled(self, value: ir.Value | None) -> bool:
        """Whether it is constant."""
        return self.root(value) is not None

    def dequantized(self, value: ir.Value | None) -> bool:
        """Whether a DQ makes it."""
        return value in self._dequantized


def surroundings(model: ir.Model) -> dict[str, Surroundings]:
    """`Surroundings` of every Conv, ConvTranspose, Gemm and MatMul, by the node's name."""
    nodes = list(all_nodes(model))
    return {str(node.name): found for node, found in node_surroundings(nodes, Origins(nodes)).items()}


def node_surroundings(nodes: Sequence[ir.Node], origins: Origins) -> dict[ir.Node, Surroundings]:
    """The same by node, for graphs whose nodes have no names; `nodes` in the graph's order."""
    readers = float_readers(nodes, origins)
    return {node: surround(node, readers[node.outputs[0]], origins) for node in nodes if is_op(node, *WEIGHTED)}


def computed_weights(model: ir.Model) -> list[Sparsity]:
    """Convolutions and Gemms whose weight is computed at run time; a MatMul of two activations is no layer."""
    nodes = list(all_nodes(model))
    origins = Origins(nodes)
    return [_computed(node) for node in nodes
            if is_op(node, "Conv", "ConvTranspose", "Gemm") and not _constant(node, origins)]


def _computed(node: ir.Node) -> Sparsity:
    return Sparsity(name=str(node.name), op=node.op_type, shape=(), axis=0, groups=0, violations=0, two_four=False,
                    zeros=0.0, quantized=False, reason="its weights are computed while the network runs")


def surround(node: ir.Node, float_reader: str | None, origins: Origins) -> Surroundings:
    """`Surroundings` of one weighted node."""
    steady = _constant(node, origins)
    data = 1 if steady and origins.settled(input_at(node, 0)) else 0
    return Surroundings(
        group=integer(node, "group", 1), int8_in=origins.dequantized(input_at(node, data)), float_reader=float_reader,
        constant=steady,
    )


def _constant(node: ir.Node, origins: Origins) -> bool:
    return origins.settled(input_at(node, 1)) or (
        node.op_type in ("Gemm", "MatMul") and origins.settled(input_at(node, 0))
    )


def float_readers(nodes: Sequence[ir.Node], origins: Origins) -> dict[ir.Value, str | None]:
    """`Surroundings.float_reader` of every output of `nodes`, which must stand in the graph's order."""
    known: dict[ir.Value, str | None] = {}
    for node in reversed(nodes):
        for value in node.outputs:
            known[value] = _float_reader(value, known, origins)
    return known


def _float_reader(value: ir.Value, known: Mapping[ir.Value, str | None], origins: Origins) -> str | None:
    if value.is_graph_output():
        return "the network's output"
    for reader in value.consumers():
        if is_op(reader, "QuantizeLinear", "Shape", "Size"):  # the last two read no numbers
            continue
        if not is_op(reader, *EPILOGUE, *_RESHAPED) or _meets_float(reader, value, origins):
            return reader.op_type
        further = [found for output in reader.outputs[:1] if (found := known.get(output)) is not None]
        if further:
            return further[0]
    return None


def _meets_float(reader: ir.Node, value: ir.Value, origins: Origins) -> bool:
    """A residual addition takes the dtype of the other branch: with a float one, float comes out of the kernel."""
    others = [other for other in reader.inputs if other is not value] if is_op(reader, "Add") else []
    return any(not origins.settled(other) and not origins.dequantized(other) for other in others)


__all__ = [
    "EPILOGUE", "Origins", "Surroundings", "computed_weights", "float_readers", "node_surroundings", "surround",
    "surroundings",
]
