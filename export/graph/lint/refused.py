"""How a layer is quantized can rule a sparse kernel out, whatever its weights are: TensorRT refuses it, or no INT8."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from ..sparse_rules import Reason
from .axes import axes
from .codes import FP8, INT4, codes
from .context import MALFORMED, Context
from .finding import Finding
from .scales import mixed_types, scales


def refused(node: ir.Node, context: Context) -> Iterator[Reason]:
    """The first error in how a weighted node is quantized, or codes of 4 bits: no kernel multiplies with such."""
    for finding in _findings(node, context):
        if finding.severity == "error":
            yield Reason(f"TensorRT refuses how it is quantized ({_where(finding)})", finding.fix)
            return
        if finding.id == INT4.id:
            yield Reason(f"it computes in floating point ({_where(finding)})", finding.fix)
            return


def unknown(node: ir.Node, context: Context) -> Iterator[Reason]:
    """Codes of FP8 or FP4, of which nobody has said whether sparse kernels take them."""
    for finding in _findings(node, context):
        if finding.id == FP8.id:
            yield Reason(f"whether such kernels use 2:4 weights is not known ({_where(finding)})", finding.fix)
            return


def _where(finding: Finding) -> str:
    return f"{finding.id} at {finding.node}: {finding.text}"


def _findings(node: ir.Node, context: Context) -> list[Finding]:
    """At the layer and at the DQs of its inputs; none where they can't be read, which lint says by itself."""
    try:
        found = [*axes(node, context), *mixed_types(node, context)]
        for value in node.inputs[:3]:
            if (pair := context.dequantizer(value)) is not None:
                found += [*codes(pair, context), *scales(pair, context), *axes(pair, context)]
    except MALFORMED:
        return []
    return found


__all__ = ["refused", "unknown"]
