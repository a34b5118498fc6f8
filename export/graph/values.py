"""Small verbs on onnx_ir values that the passes share: read a constant, add one, put one node in another's place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

Array = np.ndarray[Any, Any]
LONGEST = 20  # nodes between a constant and its reader; more is no weight, but an attempt to waste time
FAULTS = (ValueError, IndexError, TypeError, KeyError, OverflowError)  # raised on a graph that contradicts itself


class Use(Protocol):
    """One input of one node, as `ir.Value.uses()` gives it."""

    @property
    def node(self) -> ir.Node:
        """The reader."""

    @property
    def idx(self) -> int:
        """Which of its inputs."""


def constant(value: ir.Value | None) -> Array | None:
    """The array that `value` always holds: an initializer, or the output of a `Constant` node; None for any other."""
    if value is None:
        return None
    if value.const_value is not None:
        return value.const_value.numpy()
    producer = value.producer()
    if producer is None or producer.op_type != "Constant" or producer.domain not in ("", "ai.onnx"):
        return None
    attribute = producer.attributes.get("value")
    return _listed(producer) if attribute is None else attribute.as_tensor().numpy()


def _listed(node: ir.Node) -> Array | None:
    """The numbers of a `Constant` that is no tensor but a number or a list of them."""
    for name, dtype in (("value_int", np.int64), ("value_ints", np.int64), ("value_float", np.float32),
                        ("value_floats", np.float32)):
        if name in node.attributes:
            return np.array(node.attributes[name].value, dtype)
    return None


def release(value: ir.Value | None) -> None:
    """Let go of the pages of the constant behind `value` that lies in a file of its own; it is read again on demand."""
    for _ in range(LONGEST + 1):
        if value is None or value.const_value is not None:
            break
        node = value.producer()
        value = node.inputs[0] if node is not None and node.inputs else None
    tensor = None if value is None else value.const_value
    if isinstance(tensor, ir.ExternalTensor):
        with suppress(BufferError):  # somebody holds a view of it
            tensor.release()


def forget_constants(model: ir.Model) -> None:
    """Let go of the weights of a graph that nobody will use any more.

    Its nodes and values hold each other, so the graph itself stays in memory until the garbage collector comes.
    """
    for value in model.graph.initializers.values():
        value.const_value = None


def is_op(node: ir.Node | None, *op_types: str) -> bool:
    """`node` is one of ONNX's own operators of these names."""
    return node is not None and node.op_type in op_types and node.domain in ("", "ai.onnx")


def produced_by(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The node that makes `value`, if it is one of these operators."""
    node = None if value is None else value.producer()
    return node if is_op(node, *op_types) else None


def input_at(node: ir.Node, index: int) -> ir.Value | None:
    """The input at `index`, or None where it is left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def integer(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute."""
    return int(node.attributes.get_int(name, default) or 0)


def all_nodes(model: ir.Model) -> Iterator[ir.Node]:
    """Every node of the graph and of the graphs inside it."""
    yield from ir.traversal.RecursiveGraphIterator(model.graph)


def add_initializer(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    """Add a constant; a name that is taken by another value gets a number."""
    tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=(name := free_name(graph, name)))
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)  # type: ignore[arg-type]
    graph.register_initializer(value)
    return value


def free_name(graph: ir.Graph, name: str) -> str:
    """`name`, or `name.1`, `name.2`, ... where an initializer has it already."""
    candidate, number = name, 0
    while candidate in graph.initializers:
        number += 1
        candidate = f"{name}.{number}"
    return candidate


def set_initializer(value: ir.Value, array: Array) -> None:
    """Give an initializer another content; its name stays."""
    tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=value.name)
    value.const_value, value.shape, value.dtype = tensor, tensor.shape, tensor.dtype  # type: ignore[assignment]


def drop_unused(graph: ir.Graph, values: Sequence[ir.Value | None]) -> None:
    """Remove those of the initializers that nothing reads any more."""
    for value in values:
        if value is not None and value.is_initializer() and not value.uses() and not value.is_graph_output():
            graph.initializers.pop(str(value.name), None)


def replace_node(node: ir.Node, value: ir.Value) -> None:
    """Let all readers of the node's first output read `value`, and remove the node."""
    node.outputs[0].replace_all_uses_with(value, replace_graph_outputs=True)
    graph = node.graph
    assert graph is not None
    graph.remove(node, safe=True)


__all__ = [
    "FAULTS", "Array", "Use", "add_initializer", "all_nodes", "constant", "drop_unused", "forget_constants",
    "free_name", "input_at", "integer", "is_op", "produced_by", "release", "replace_node", "set_initializer",
]
