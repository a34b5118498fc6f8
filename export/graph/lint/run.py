"""Ask every rule about every node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import onnx_ir as ir

from .axes import axes
from .catalogue import ALL, UNREADABLE
from .codes import codes
from .context import MALFORMED, Context, describe
from .finding import Finding, by_severity
from .hops import float_hop, float_layer, float_output
from .operators import element_types, operators, opsets
from .pairs import pairs
from .placement import concat, half_quantized, parted, residual
from .releases import find_release
from .restrictions import restrictions
from .scales import mixed_types, scales
from .sparsity import pattern, shared_weights

_MODEL_RULES: tuple[Callable[[Context], Iterator[Finding]], ...] = (opsets, element_types, shared_weights)
_NODE_RULES: tuple[Callable[[ir.Node, Context], Iterator[Finding]], ...] = (
    operators, restrictions, codes, scales, mixed_types, axes, pairs, parted, half_quantized, residual, concat,
    float_hop, float_layer, float_output, pattern,
)


def lint(model: ir.Model, release: str | None = None) -> list[Finding]:
    """What TensorRT will refuse, not fuse, or not run sparse: the worst first, then in the graph's order.

    Args:
        model: any ONNX graph that `load` reads, quantized or not.
        release: of TensorRT, such as `10.13`. Defaults to any.

    Raises:
        UserError: nothing is known of the release.
    """
    return examine(Context(model, find_release(release) if release else None))


def anywhere(findings: Iterable[Finding]) -> list[Finding]:
    """Only what is wrong in every runtime, for graphs that were made for another one than TensorRT."""
    wrong = {rule.id for rule in ALL if rule.anywhere}
    return [finding for finding in findings if finding.id in wrong]


def examine(context: Context) -> list[Finding]:
    """`lint` on what is known of the model."""
    found = [finding for rule in _MODEL_RULES for finding in rule(context)]
    for node in context.nodes:
        found += _of_node(node, context)
    return by_severity(found)


def _of_node(node: ir.Node, context: Context) -> list[Finding]:
    found: list[Finding] = []
    try:
        for rule in _NODE_RULES:
            found += rule(node, context)
    except MALFORMED as error:
        found.append(UNREADABLE.at(node, f"this {node.op_type} can't be read ({describe(error)})"))
    if node in context.unreadable:
        found.append(UNREADABLE.at(node, f"it can't be read ({context.unreadable[node]})"))
    return found


__all__ = ["anywhere", "examine", "lint"]
