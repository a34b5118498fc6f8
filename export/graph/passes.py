"""What every pass is: a change of a graph that says what it does to the quantizers, and is held to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from ...common.errors import TwofourError
from .values import is_op

Quantizers = Literal["kept", "added", "dequantize only", "removed"]


@dataclass(frozen=True)
class Pass:
    """A pass; call it with a model, which it changes in place.

    Attributes:
        name: what it is called in errors.
        change: does the work and returns the number of places that it changed.
        quantizers: what becomes of Q and DQ: both kept, more than before, only the DQ kept, or none left.
    """

    name: str
    change: Callable[[ir.Model], int]
    quantizers: Quantizers = "kept"

    def __call__(self, model: ir.Model) -> int:
        """Run the pass.

        Returns:
            The number of places that changed.

        Raises:
            TwofourError: quantizers that the pass promised to keep are gone.
        """
        before = count(model)
        changed = self.change(model)
        _check(self, before, count(model))
        return changed


@dataclass(frozen=True)
class Counts:
    """The Q and DQ nodes that the graph's outputs depend on."""

    quantize: int
    dequantize: int


def graph_pass(*, quantizers: Quantizers = "kept") -> Callable[[Callable[[ir.Model], int]], Pass]:
    """Turn `f(model) -> places changed` into a `Pass` that watches over the quantizers."""

    def decorate(change: Callable[[ir.Model], int]) -> Pass:
        return Pass(change.__name__, change, quantizers)

    return decorate


def count(model: ir.Model) -> Counts:
    """Count the Q and DQ nodes that are alive; dead ones may be removed by any pass."""
    names = [node.op_type for node in _alive(model) if is_op(node, "QuantizeLinear", "DequantizeLinear")]
    return Counts(names.count("QuantizeLinear"), names.count("DequantizeLinear"))


def _alive(model: ir.Model) -> set[ir.Node]:
    waiting = [value.producer() for value in model.graph.outputs]
    seen: set[ir.Node] = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        waiting.extend(value.producer() for value in node.inputs if value is not None)
        waiting.extend(inner.producer() for graph in _subgraphs(node) for inner in _read(graph))
    return seen


def _subgraphs(node: ir.Node) -> list[ir.Graph]:
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found.extend(attribute.as_graphs())
    return found


def _read(graph: ir.Graph) -> list[ir.Value]:
    read = [value for node in ir.traversal.RecursiveGraphIterator(graph) for value in node.inputs if value is not None]
    return read + list(graph.outputs)


def _check(done: Pass, before: Counts, after: Counts) -> None:
    demands = {
        "kept": (before.quantize == after.quantize and before.dequantize == after.dequantize),
        "added": (after.quantize >= before.quantize and after.dequantize >= before.dequantize),
        "dequantize only": (after.quantize <= before.quantize and after.dequantize == before.dequantize),
        "removed": (after.quantize == 0 and after.dequantize == 0),
    }
    if not demands[done.quantizers]:
        raise TwofourError(
            f"The graph pass {done.name!r} must leave quantizers {done.quantizers}, but QuantizeLinear went from "
            f"{before.quantize} to {after.quantize}, DequantizeLinear from {before.dequantize} to {after.dequantize}."
        )


__all__ = ["Counts", "Pass", "Quantizers", "count", "graph_pass"]
