"""Remove what does nothing: identities, casts to the same type, padding by nothing, dead nodes, unread constants."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common

from .passes import graph_pass
from .values import all_nodes, constant, input_at, is_op, replace_node


@graph_pass()
def tidy(model: ir.Model) -> int:
    """Lift `Constant` nodes to initializers, drop what computes nothing and everything that nothing depends on.

    Requires nothing. Ensures that every node feeds an output, and that no node only hands its input on.
    """
    steps = (
        common.LiftConstantsToInitializersPass(lift_all_constants=False, size_limit=0),
        common.IdentityEliminationPass(),
    )
    changed = sum(bool(step(model).modified) for step in steps)
    changed += _drop_idle(model)
    return changed + bool(common.RemoveUnusedNodesPass()(model).modified)


def _drop_idle(model: ir.Model) -> int:
    idle = [node for node in all_nodes(model) if _is_idle(node) and not node.outputs[0].is_graph_output()]
    for node in idle:
        source = node.inputs[0]
        assert source is not None
        replace_node(node, source)
    return len(idle)


def _is_idle(node: ir.Node) -> bool:
    source = node.inputs[0] if node.inputs else None
    if source is None:
        return False
    if is_op(node, "Cast"):
        return source.dtype is not None and source.dtype == ir.DataType(node.attributes["to"].as_int())
    if is_op(node, "Dropout"):
        return len(node.inputs) < 3 and (len(node.outputs) == 1 or not node.outputs[1].uses())
    if is_op(node, "Transpose") and "perm" in node.attributes:
        perm = list(node.attributes["perm"].as_ints())
        return perm == sorted(perm)
    if is_op(node, "Pad"):
        pads = constant(input_at(node, 1))
        return pads is not None and not pads.any()
    return False


__all__ = ["tidy"]
