"""Q and DQ of ONNX Runtime's own domain become ONNX's."""

from __future__ import annotations

import onnx_ir as ir

from ..graph.passes import graph_pass
from ..graph.values import all_nodes
from .nodes import DEQUANTIZE, QUANTIZE

MICROSOFT = "com.microsoft"


@graph_pass(quantizers="added")
def use_onnx_domain(model: ir.Model) -> int:
    """`com.microsoft::QuantizeLinear` becomes `QuantizeLinear`, and so does DQ: the same definition for 8 bits.

    Ensures that the domain is no longer imported where nothing else is of it.
    """
    found = [node for node in all_nodes(model) if node.domain == MICROSOFT and node.op_type in (QUANTIZE, DEQUANTIZE)]
    for node in found:
        node.domain = ""
    if not any(node.domain == MICROSOFT for node in all_nodes(model)):
        model.graph.opset_imports.pop(MICROSOFT, None)
    return len(found)


__all__ = ["MICROSOFT", "use_onnx_domain"]
