"""A network in half precision becomes FP32, as every bundle is: the engine chooses its own types again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from ..graph.passes import graph_pass
from ..graph.values import all_nodes

_HALF = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
_NAMED = ("to", "dtype", "output_dtype", "precision", "stash_type")


@graph_pass()
def widen(model: ir.Model) -> int:
    """Weights, scales, inputs and outputs in FP16 or BF16 become FP32 of the same value.

    Ensures that no tensor is in half precision. The answers change by the roundings to 16 bits that are gone: of all
    conversions this is the one that is not exact, and its caller measures it.
    """
    changed = sum(_widen_node(node) for node in all_nodes(model))
    return changed + sum(_widen_graph(graph) for graph in _graphs(model))


def is_half(model: ir.Model) -> bool:
    """Whether some tensor of the network is in half precision."""
    return uses(model, *_HALF)


def uses(model: ir.Model, *kinds: ir.DataType) -> bool:
    """Whether some tensor of the network is of one of these types."""
    constants = (value for graph in _graphs(model) for value in graph.initializers.values())
    values = (*model.graph.inputs, *constants, *(value for node in all_nodes(model) for value in node.outputs))
    casts = any(_named(node, name) in kinds for node in all_nodes(model) for name in _NAMED)
    return casts or any(value.dtype in kinds for value in values)


def _graphs(model: ir.Model) -> Iterator[ir.Graph]:
    yield model.graph
    for node in all_nodes(model):
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                yield attribute.as_graph()


def _widen_graph(graph: ir.Graph) -> int:
    values = [*graph.inputs, *graph.initializers.values()]
    return sum(_widen_value(value) for value in values)


def _widen_node(node: ir.Node) -> int:
    changed = sum(_widen_value(value) for value in node.outputs)
    for name in _NAMED:
        if _named(node, name) in _HALF:
            node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.FLOAT))
            changed += 1
    held = node.attributes.get("value")
    if held is not None and held.type == ir.AttributeType.TENSOR and held.as_tensor().dtype in _HALF:
        node.attributes["value"] = ir.AttrTensor("value", _single(held.as_tensor()))
        changed += 1
    return changed


def _named(node: ir.Node, name: str) -> ir.DataType | None:
    attribute = node.attributes.get(name)
    if attribute is None or attribute.type != ir.AttributeType.INT:
        return None
    return ir.DataType(attribute.as_int()) if attribute.as_int() in {int(kind) for kind in ir.DataType} else None


def _widen_value(value: ir.Value) -> int:
    if value.const_value is not None and value.const_value.dtype in _HALF:
        value.const_value = _single(value.const_value)
        value.dtype = ir.DataType.FLOAT
        return 1
    if value.dtype in _HALF:
        value.dtype = ir.DataType.FLOAT
        return 1
    return 0


def _single(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(np.asarray(tensor.numpy(), np.float32).reshape(tuple(tensor.shape)), name=tensor.name)


__all__ = ["is_half", "uses", "widen"]
