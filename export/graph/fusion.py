"""Which nodes an engine computes in one kernel with a quantizer, so that no Cast may come between them."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from .naming import WEIGHTED
from .values import Use, constant, is_op

MOVEMENT = {
    "Concat", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Tile",
    "Transpose", "Unsqueeze", "DepthToSpace", "SpaceToDepth",
}
_POINTWISE = {
    "Abs", "Add", "BatchNormalization", "Celu", "Clip", "Div", "Elu", "Erf", "Gelu", "HardSigmoid", "HardSwish",
    "LeakyRelu", "Max", "MaxPool", "Min", "Mish", "Mul", "Neg", "PRelu", "Relu", "Selu", "Sigmoid", "Softplus", "Sub",
    "Swish", "Tanh", "Where",
}
_TRANSPARENT = MOVEMENT | _POINTWISE


class Units:
    """The nodes of a graph in groups that share a float type.

    A DQ goes with every operator that reads it, the Q of a weight with its DQ, and a layer with the elementwise
    operators behind it up to the Q of its output, as far as nothing else reads what is between them.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._group = {node: [node] for node in graph}
        self.bound = _bound(graph, self._join)
        for node in graph:
            if is_op(node, "DequantizeLinear"):
                self._join_dequantizer(node)

    def of(self, node: ir.Node) -> list[ir.Node]:
        """The nodes that go with `node`, itself among them."""
        return self._group[node]

    def _join_dequantizer(self, node: ir.Node) -> None:
        for reader in node.outputs[0].consumers():
            self._join(node, reader)
        quantize = node.inputs[0].producer() if node.inputs[0] is not None else None
        if quantize is not None and is_weight_quantizer(quantize):
            self._join(node, quantize)

    def _join(self, first: ir.Node, second: ir.Node) -> None:
        if second not in self._group or self._group[first] is self._group[second]:
            return
        small, large = sorted((self._group[first], self._group[second]), key=len)
        large.extend(small)
        self._group.update(dict.fromkeys(small, large))


def is_weight_quantizer(node: ir.Node) -> bool:
    """Whether a node is the Q of a constant."""
    return is_op(node, "QuantizeLinear") and constant(node.inputs[0]) is not None


def _bound(graph: ir.Graph, join: Callable[[ir.Node, ir.Node], None]) -> set[ir.Node]:
    """The nodes whose every reader is a Q, or an elementwise operator on the way to one."""
    bound: set[ir.Node] = set()
    for node in reversed(graph):
        if not _may_lead(node):
            continue
        readers = [use for value in node.outputs for use in value.uses()]
        outputs = any(value.is_graph_output() for value in node.outputs)
        if readers and not outputs and all(_leads(use, bound) for use in readers):
            bound.add(node)
            for use in readers:
                join(node, use.node)
    return bound


def _may_lead(node: ir.Node) -> bool:
    fed = any(value is not None and is_op(value.producer(), "DequantizeLinear") for value in node.inputs)
    return is_op(node, *_TRANSPARENT) or (fed and is_op(node, *WEIGHTED, "AveragePool", "GlobalAveragePool"))


def _leads(use: Use, bound: set[ir.Node]) -> bool:
    return (is_op(use.node, "QuantizeLinear") and use.idx == 0) or (
        use.node in bound and is_op(use.node, *_TRANSPARENT)
    )


__all__ = ["MOVEMENT", "Units", "is_weight_quantizer"]
