"""The Q/DQ pairs of a graph that quantize an activation, with one scale for the whole tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from ...export.graph.values import Array, add_initializer, constant, is_op


@dataclass(frozen=True)
class Pair:
    """A `QuantizeLinear` and the `DequantizeLinear` nodes that read its codes, and nothing else does.

    Attributes:
        quantize: the Q node.
        dequantize: its DQ nodes, at least one, with the same scale and zero point as the Q.
        scale: value of one code step, above 0.
        zero_point: the code of 0; its dtype is the codes' dtype.
    """

    quantize: ir.Node
    dequantize: tuple[ir.Node, ...]
    scale: np.float32
    zero_point: np.integer[Any]

    @property
    def source(self) -> ir.Value:
        """The float tensor that is quantized."""
        return required(self.quantize.inputs[0])

    @property
    def codes(self) -> ir.Value:
        """The integer tensor."""
        return self.quantize.outputs[0]


def activation_pairs(graph: ir.Graph) -> Iterator[Pair]:
    """Every per-tensor pair on a tensor that is no constant, in the graph's order; safe against changes meanwhile."""
    for node in list(graph):
        if is_op(node, "QuantizeLinear") and (pair := _pair(node)):
            yield pair


def _pair(node: ir.Node) -> Pair | None:
    parameters = _parameters(node)
    users = tuple(node.outputs[0].consumers())
    if parameters is None or not users or node.outputs[0].is_graph_output() or constant(node.inputs[0]) is not None:
        return None
    if any(not is_op(user, "DequantizeLinear") or _parameters(user) != parameters for user in users):
        return None
    return Pair(node, users, *parameters)


def _parameters(node: ir.Node) -> tuple[np.float32, np.integer[Any]] | None:
    if len(node.inputs) < 3:
        return None
    scale, zero_point = constant(node.inputs[1]), constant(node.inputs[2])
    if scale is None or zero_point is None or scale.size != 1 or zero_point.size != 1 or scale.dtype != np.float32:
        return None
    return np.float32(scale.item()), zero_point.reshape(-1)[0]


def retype(pair: Pair, zero_point: ir.Value) -> None:
    """Let a pair's codes be of the type of `zero_point`, an initializer, and mean 0 where it says."""
    for node in (pair.quantize, *pair.dequantize):
        node.replace_input_with(2, zero_point)
    pair.quantize.attributes.pop("output_dtype", None)  # the zero point says it
    pair.codes.type = zero_point.type


def required(value: ir.Value | None) -> ir.Value:
    """An input that the operator can't be without."""
    assert value is not None
    return value


def named_constant(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    """The initializer `name`, made on the first call."""
    return graph.initializers.get(name) or add_initializer(graph, name, array)


__all__ = ["Pair", "activation_pairs", "named_constant", "required", "retype"]
