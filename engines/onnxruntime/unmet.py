"""Store quantized weights that meet no codes as the FP32 numbers that they stand for.

ONNX Runtime has no kernel for float inputs and 8-bit weights that is fast and leaves the inputs as they are: it turns
the whole weight into float anew in every inference, which took 50 times as long as one row's product with it.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...export.graph.strip_qdq import dequantized
from ...export.graph.values import add_initializer, constant, replace_node
from .meetings import meetings


def store_unmet(model: ir.Model) -> int:
    """`codes -> DQ` becomes the constant that it computes where every layer that it feeds has float inputs; exact.

    Returns:
        The number of weights that were changed.
    """
    met, unmet = set[ir.Node](), dict[ir.Node, None]()
    for _, (first, second) in meetings(model):
        for weight, other in ((first, second), (second, first)):
            if weight is not None and other is not None:
                met.add(weight)
            elif weight is not None:
                unmet[weight] = None
    return sum(_store(node, model.graph) for node in unmet if node not in met)


def _store(node: ir.Node, graph: ir.Graph) -> bool:
    codes = constant(node.inputs[0])
    if codes is None or codes.dtype not in (np.int8, np.uint8) or node.outputs[0].is_graph_output():
        return False
    values = dequantized(node, codes)
    if values is None:
        return False
    replace_node(node, add_initializer(graph, f"{node.outputs[0].name}/float", values))
    return True


__all__ = ["store_unmet"]
