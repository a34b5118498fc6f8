"""What the rules share: one walk over the graph for each question, whatever its size."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property

import onnx_ir as ir

from ..fusion import MOVEMENT
from ..naming import WEIGHTED
from ..surroundings import EPILOGUE, Origins, Surroundings, float_readers, surround
from ..two_four import Sparsity, judge
from ..values import all_nodes, constant, input_at, is_op
from .releases import Release
from .types import node_type

MOVES = tuple(sorted((MOVEMENT - {"Concat"}) | {"Cast", "MaxPool"}))
RESHAPED = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
MALFORMED = (ValueError, TypeError, IndexError, KeyError, AttributeError, ArithmeticError, RecursionError)


class Context:
    """A model and what follows from it.

    Attributes:
        model: the graph.
        release: of TensorRT; None for any.
        nodes: all, in the graph's order, those of inner graphs behind the node that holds them.
        unreadable: the weighted nodes that can't be read, and why, as far as anybody has asked for them.
    """

    def __init__(self, model: ir.Model, release: Release | None = None) -> None:
        self.model, self.release = model, release
        self.nodes = list(all_nodes(model))
        self.unreadable: dict[ir.Node, str] = {}
        self._origins: dict[ir.Value, ir.Node | None] = {}

    @property
    def opset(self) -> int:
        """Of ONNX's own operators; 0 where the model doesn't say."""
        return self.model.opset_imports.get("", self.model.opset_imports.get("ai.onnx", 0))

    @cached_property
    def weighted(self) -> list[ir.Node]:
        """Conv, ConvTranspose, Gemm and MatMul."""
        return [node for node in self.nodes if is_op(node, *WEIGHTED)]

    @cached_property
    def sparsity(self) -> dict[ir.Node, Sparsity]:
        """Of the weighted nodes with a constant weight."""
        found = {}
        for node in self.weighted:
            try:
                sparsity = judge(node)
            except MALFORMED as error:
                self.unreadable[node] = describe(error)
                continue
            if sparsity is not None:
                found[node] = sparsity
        return found

    @cached_property
    def pruned(self) -> bool:
        """Whether any weight is 2:4."""
        return any(found.two_four for found in self.sparsity.values())

    @cached_property
    def quantized(self) -> bool:
        """Whether there is any DQ."""
        return any(is_op(node, "DequantizeLinear") for node in self.nodes)

    @cached_property
    def surroundings(self) -> dict[ir.Node, Surroundings]:
        """Of the weighted nodes."""
        found = {}
        for node in self.weighted:
            try:
                found[node] = surround(node, self.float_readers[node.outputs[0]], self.origins)
            except MALFORMED as error:
                self.unreadable[node] = describe(error)
                found[node] = Surroundings()
        return found

    @cached_property
    def float_readers(self) -> dict[ir.Value, str | None]:
        """See `surroundings.float_readers`."""
        return float_readers(self.nodes, self.origins)

    @cached_property
    def origins(self) -> Origins:
        """Constants, also through Q, DQ and changes of shape or type."""
        return Origins(self.nodes)

    def is_still(self, value: ir.Value | None) -> bool:
        """Whether `value` is constant, also through Q, DQ and changes of shape or type."""
        return self.origins.settled(value)

    @cached_property
    def derived(self) -> set[ir.Value]:
        """The values that depend on an input of the network (or on chance)."""
        found: set[ir.Value] = set()
        for node in self.nodes:
            inputs = [value for value in node.inputs if value is not None]
            random = node.op_type.startswith("Random") or any(
                attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
                for attribute in node.attributes.values()
            )
            if random or any(value in found or is_input(value) for value in inputs):
                found.update(node.outputs)
        return found

    def is_derived(self, value: ir.Value) -> bool:
        """Whether `value` is known only when the network runs."""
        return value in self.derived or is_input(value)

    @cached_property
    def types(self) -> dict[ir.Value, ir.DataType]:
        """Element types, as far as a simple walk can tell."""
        found: dict[ir.Value, ir.DataType] = {}
        for node in self.nodes:
            for value in node.outputs:
                if (kind := value.dtype or node_type(node, found)) is not None:
                    found[value] = kind
        return found

    def type_of(self, value: ir.Value | None) -> ir.DataType | None:
        """The element type of `value`, or None."""
        if value is None:
            return None
        if value.const_value is not None:
            return value.const_value.dtype
        return value.dtype or self.types.get(value)

    def origin(self, value: ir.Value | None) -> ir.Node | None:
        """The node that computes `value`, behind what only moves data."""
        path: list[ir.Value] = []
        while value is not None and value not in self._origins and is_op(value.producer(), *MOVES):
            path.append(value)
            node = value.producer()
            value = node.inputs[0] if node is not None and node.inputs else None
        found = None if value is None else self._origins.get(value, value.producer())
        self._origins.update(dict.fromkeys(path, found))
        return found

    def dequantizer(self, value: ir.Value | None) -> ir.Node | None:
        """The DQ that `value` comes from, through what only moves data."""
        node = self.origin(value)
        return node if is_op(node, "DequantizeLinear") else None

    def scale_of(self, node: ir.Node) -> float | None:
        """The one scale of a Q or DQ; None where there are several, or it isn't constant."""
        scale = constant(input_at(node, 1))
        return float(scale.reshape(-1)[0]) if scale is not None and scale.size == 1 else None

    @cached_property
    def fed(self) -> set[ir.Value]:
        """What comes out of a quantized layer, through what its kernel can do on its way out."""
        found: set[ir.Value] = set()
        for node in self.nodes:
            layer = is_op(node, *WEIGHTED) and any(self.dequantizer(value) is not None for value in node.inputs[:2])
            passes = is_op(node, *EPILOGUE, *MOVES) and any(value in found for value in node.inputs)
            found.update(node.outputs if layer or passes else ())
        return found

    @cached_property
    def bound(self) -> set[ir.Value]:
        """What is quantized further on, whatever comes between but another layer."""
        found: set[ir.Value] = set()
        for node in reversed(self.nodes):
            if is_op(node, "QuantizeLinear"):
                found.update(value for value in node.inputs[:1] if value is not None)
            elif not is_op(node, "DequantizeLinear", *WEIGHTED) and any(value in found for value in node.outputs):
                found.update(value for value in node.inputs if value is not None)
        return found

    @cached_property
    def weight_readers(self) -> dict[ir.Value, list[ir.Node]]:
        """The weighted nodes that read each stored weight."""
        found: dict[ir.Value, list[ir.Node]] = defaultdict(list)
        for node in self.weighted:
            for value in node.inputs[:2]:
                root = self.origins.root(value)
                if root is not None:
                    found[root].append(node)
        return found


def describe(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def is_input(value: ir.Value) -> bool:
    """Whether it is an input of a graph, and not a stored constant."""
    return value.producer() is None and value.const_value is None


__all__ = ["MALFORMED", "MOVES", "RESHAPED", "Context", "describe", "is_input"]
