"""What the conversions share: the Q and DQ nodes of a graph, and the parameters of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ..graph.values import Array, all_nodes, constant, input_at, integer, is_op

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_PASSED_THROUGH = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


@dataclass(frozen=True)
class Parameters:
    """Of one Q or DQ.

    Attributes:
        scale: a scalar, or one value per channel.
        zero_point: of the same shape; its dtype is that of the codes.
        axis: the channels' axis, or None for one scale per tensor.
    """

    scale: Array
    zero_point: Array
    axis: int | None

    @property
    def symmetric(self) -> bool:
        """Int8 codes with zero point 0."""
        return self.zero_point.dtype == np.int8 and not self.zero_point.any()


def pairs_of(model: ir.Model) -> list[ir.Node]:
    """Every Q and DQ of the graph and of the graphs inside it."""
    return [node for node in all_nodes(model) if is_op(node, QUANTIZE, DEQUANTIZE)]


def parameters(node: ir.Node) -> Parameters | None:
    """The constant scale and zero point of a Q or DQ whose zero point is written out; None for any other."""
    scale, zero_point = constant(input_at(node, 1)), constant(input_at(node, 2))
    if scale is None or zero_point is None:
        return None
    axis = None if scale.size == 1 else integer(node, "axis", 1)
    return Parameters(scale, zero_point, axis)


def is_weight(node: ir.Node) -> bool:
    """Whether the codes of a DQ, or the input of a Q, come from a constant."""
    value: ir.Value | None = node.inputs[0]
    while value is not None and constant(value) is None:
        maker = value.producer()
        if not is_op(maker, QUANTIZE, DEQUANTIZE, *_PASSED_THROUGH) or maker is None:
            return False
        value = maker.inputs[0]
    return value is not None


def label(node: ir.Node) -> str:
    """What a node is called in messages: its name, or its output's."""
    return node.name or str(node.outputs[0].name)


def listed(names: list[str], shown: int = 5) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")


__all__ = ["DEQUANTIZE", "QUANTIZE", "Parameters", "is_weight", "label", "listed", "pairs_of", "parameters"]
