"""What the parser does not import of operators that it does: attributes, inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx_ir as ir

from ..values import input_at, integer
from .context import Context
from .finding import Finding, Rule

_REDUCTIONS = ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
               "ReduceProd", "ReduceSum", "ReduceSumSquare")
_POOLS = ("AveragePool", "LpPool", "MaxPool")
RESTRICTED = Rule(
    "OPS011", "error", "a use of an operator that the parser doesn't import, though it does the operator",
    "The parser imports the operator only within limits; beyond them it ends the build.",
    "Export it without this, or compute this part outside of the network.",
)
RULES = (RESTRICTED,)


def restrictions(node: ir.Node, context: Context) -> Iterator[Finding]:
    """Whether a node keeps within what the parser imports of its operator."""
    if node.domain not in ("", "ai.onnx"):
        return
    for operator, check in _CHECKS:
        if node.op_type in operator and (text := check(node)) is not None:
            yield RESTRICTED.at(node, f"{node.op_type}: {text}")
    axes = input_at(node, 1) if node.op_type in _REDUCTIONS else None
    if axes is not None and context.is_derived(axes):
        yield RESTRICTED.at(node, f"{node.op_type}: its axes are computed at run time")


def _dilated(node: ir.Node) -> str | None:
    dilations = node.attributes.get_ints("dilations") or []
    return "dilations other than 1 are not imported" if any(step != 1 for step in dilations) else None


def _indices(node: ir.Node) -> str | None:
    return _second_output(node, "the output `Indices` is not imported")


def _statistics(node: ir.Node) -> str | None:
    return _second_output(node, "only its first output is imported")


def _second_output(node: ir.Node, text: str) -> str | None:
    more = node.outputs[1:]
    return text if any(value.uses() or value.is_graph_output() for value in more) else None


def _resized(node: ir.Node) -> str | None:
    mode = node.attributes.get_string("mode", "nearest")
    if mode not in ("nearest", "linear"):
        return f"the mode {mode!r} is not imported"
    if integer(node, "antialias", 0):
        return "antialiasing is not imported"
    policy = node.attributes.get_string("keep_aspect_ratio_policy", "stretch")
    return None if policy == "stretch" else f"the policy {policy!r} is not imported"


def _unsorted(node: ir.Node) -> str | None:
    return None if integer(node, "sorted", 1) else "`sorted=0` is not imported"


def _training(node: ir.Node) -> str | None:
    return "it is in training mode" if integer(node, "training_mode", 0) else None


def _reduced(node: ir.Node) -> str | None:
    reduction = node.attributes.get_string("reduction", "none")
    return None if reduction == "none" else f"`reduction={reduction}` is not imported"


_CHECKS: tuple[tuple[tuple[str, ...], Callable[[ir.Node], str | None]], ...] = (
    (_POOLS, _dilated), (("MaxPool",), _indices), (("LayerNormalization",), _statistics),
    (("Resize",), _resized), (("TopK",), _unsorted), (("BatchNormalization",), _training), (("ScatterND",), _reduced),
)

__all__ = ["RULES", "restrictions"]
