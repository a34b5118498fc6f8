"""Simple faults of the Q/DQ pairs of an ONNX graph, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from ..common.schema import Document
from ..export.graph.naming import WEIGHTED
from ..export.graph.values import Array, all_nodes, constant, input_at, is_op, produced_by

_CARRIERS = ("Clip", "Flatten", "Identity", "Max", "MaxPool", "Min", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


class QdqCounts(Document):
    """How a graph is quantized.

    Attributes:
        quantize: `QuantizeLinear` nodes.
        dequantize: `DequantizeLinear` nodes.
        weights: DQ nodes whose codes are constant, or are computed from a constant by a Q node.
        activations: the other DQ nodes.
    """

    quantize: int
    dequantize: int
    weights: int
    activations: int


class Fault(Document):
    """Something about one node that is wrong (`error`) or costs speed or portability (`warning`)."""

    level: str
    node: str
    text: str


def count(model: ir.Model) -> QdqCounts:
    """Count the Q and DQ nodes of a graph and of the graphs inside it."""
    nodes = list(all_nodes(model))
    dequantize = [node for node in nodes if is_op(node, "DequantizeLinear")]
    weights = sum(_is_weight(node) for node in dequantize)
    return QdqCounts(
        quantize=sum(is_op(node, "QuantizeLinear") for node in nodes), dequantize=len(dequantize), weights=weights,
        activations=len(dequantize) - weights,
    )


def faults(model: ir.Model) -> list[Fault]:
    """What is wrong with the Q/DQ pairs, in the graph's order."""
    return [fault for node in all_nodes(model) for fault in _of_node(node)]


def _of_node(node: ir.Node) -> Iterator[Fault]:
    if is_op(node, "QuantizeLinear", "DequantizeLinear"):
        yield from _scale(node)
        yield from _zero_point(node)
    if is_op(node, "QuantizeLinear"):
        yield from _unread(node)
    if is_op(node, *WEIGHTED):
        yield from _half_quantized(node)


def _scale(node: ir.Node) -> Iterator[Fault]:
    scale = constant(input_at(node, 1))
    if scale is None:
        yield _fault("warning", node, "its scale is computed at run time; engines need a constant")
        return
    values: Array = np.asarray(scale, np.float64)
    for wrong, text in ((~np.isfinite(values), "not finite"), (values < 0, "negative"), (values == 0, "zero")):
        if wrong.any():
            yield _fault("error", node, f"{int(wrong.sum())} of its {values.size} scales are {text}")


def _zero_point(node: ir.Node) -> Iterator[Fault]:
    zero_point = constant(input_at(node, 2))
    if zero_point is not None and zero_point.dtype == np.int8 and np.any(zero_point):
        yield _fault("warning", node, "its int8 zero point is not 0; TensorRT takes symmetric quantization only")


def _unread(node: ir.Node) -> Iterator[Fault]:
    readers = _readers(node.outputs[0])
    if not any(is_op(reader, "DequantizeLinear") for reader in readers):
        names = ", ".join(sorted({reader.op_type for reader in readers})) or "nothing"
        yield _fault("warning", node, f"no DequantizeLinear reads its codes, but {names}")


def _readers(codes: ir.Value) -> list[ir.Node]:
    found: list[ir.Node] = []
    for reader in codes.consumers():
        found += _readers(reader.outputs[0]) if is_op(reader, *_CARRIERS) else [reader]
    return found


def _half_quantized(node: ir.Node) -> Iterator[Fault]:
    first, second = (_quantized(input_at(node, index)) for index in (0, 1))
    if first != second:
        which = "input is quantized but not its weight" if first else "weight is quantized but not its input"
        yield _fault("warning", node, f"its {which}: it runs in floating point")


def _quantized(value: ir.Value | None) -> bool:
    while node := produced_by(value, *_CARRIERS):
        value = node.inputs[0]
    return produced_by(value, "DequantizeLinear") is not None


def _is_weight(node: ir.Node) -> bool:
    value: ir.Value | None = node.inputs[0]
    while maker := produced_by(value, "QuantizeLinear", "Cast", *_CARRIERS):
        value = maker.inputs[0]
    return constant(value) is not None


def _fault(level: str, node: ir.Node, text: str) -> Fault:
    return Fault(level=level, node=node.name or str(node.outputs[0].name), text=text)


__all__ = ["Fault", "QdqCounts", "count", "faults"]
