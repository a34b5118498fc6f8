"""How an ONNX graph is quantized, in numbers; `export.graph.lint` says what is wrong with it."""

from __future__ import annotations

import onnx_ir as ir

from ..common.schema import Document
from ..export.graph.values import all_nodes, constant, is_op, produced_by

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


def count(model: ir.Model) -> QdqCounts:
    """Count the Q and DQ nodes of a graph and of the graphs inside it."""
    nodes = list(all_nodes(model))
    dequantize = [node for node in nodes if is_op(node, "DequantizeLinear")]
    weights = sum(_is_weight(node) for node in dequantize)
    return QdqCounts(
        quantize=sum(is_op(node, "QuantizeLinear") for node in nodes), dequantize=len(dequantize), weights=weights,
        activations=len(dequantize) - weights,
    )


def _is_weight(node: ir.Node) -> bool:
    value: ir.Value | None = node.inputs[0]
    while maker := produced_by(value, "QuantizeLinear", "Cast", *_CARRIERS):
        value = maker.inputs[0]
    return constant(value) is not None


__all__ = ["QdqCounts", "count"]
