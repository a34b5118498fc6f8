"""Which quantized tensors a layer multiplies, also where they are turned or cut to shape on the way."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from ...export.graph.naming import WEIGHTED
from ...export.graph.values import all_nodes, is_op, produced_by

# ONNX Runtime quantizes anew behind these, with the same scale and zero point, so that a layer behind them still meets
# the codes (QDQPropagationTransformer, TransposeOptimizer).
_MOVES = (
    "Cast", "Dropout", "Flatten", "Identity", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze",
)


def meetings(model: ir.Model) -> Iterator[tuple[ir.Node, tuple[ir.Node | None, ir.Node | None]]]:
    """Every layer, of the graph and of those inside it, with the DequantizeLinear behind each of its two factors."""
    for node in list(all_nodes(model)):
        if is_op(node, *WEIGHTED) and len(node.inputs) > 1:
            yield node, (_origin(node.inputs[0]), _origin(node.inputs[1]))


def _origin(value: ir.Value | None) -> ir.Node | None:
    while (mover := produced_by(value, *_MOVES)) is not None:
        value = mover.inputs[0]
    return produced_by(value, "DequantizeLinear")


__all__ = ["meetings"]
