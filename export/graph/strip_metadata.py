"""Remove what exporters note about the source: larger than small weights, and nothing to ship.

In every node the dynamo exporter writes a stack trace, with the paths of the machine that it ran on.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import ClearMetadataAndDocStringPass

from .passes import graph_pass
from .values import all_nodes


@graph_pass()
def strip_metadata(model: ir.Model) -> int:
    """Clear the metadata and documentation of the model, its nodes, values and tensors; returns 1 if there was any.

    Requires nothing. Ensures that the graph computes what it did.
    """
    changed = bool(ClearMetadataAndDocStringPass()(model).modified)
    values = [value for node in all_nodes(model) for value in node.outputs]
    values += [*model.graph.inputs, *model.graph.initializers.values()]
    for value in values:
        for owner in (value, value.const_value):
            if owner is not None and owner.metadata_props:
                owner.metadata_props.clear()
                changed = True
    return int(changed)


__all__ = ["strip_metadata"]
