"""Merge Q/DQ pairs that quantize the same tensor alike.

A residual block's input is quantized once for its convolution and once for its add. ONNX Runtime runs the layer that
makes the tensor on integers only if a single Q reads it.
"""

from __future__ import annotations

import onnx_ir as ir

from .pairs import activation_pairs


def merge_shared(model: ir.Model) -> int:
    """Let every tensor be quantized once by each scale and zero point; exact.

    Returns:
        The number of Q nodes that were merged into another.
    """
    first: dict[tuple[object, ...], ir.Node] = {}
    merged = 0
    for pair in activation_pairs(model.graph):
        key = (pair.source, pair.scale, pair.zero_point, pair.zero_point.dtype)
        kept = first.setdefault(key, pair.quantize)
        if kept is not pair.quantize:
            ir.convenience.replace_all_uses_with(pair.codes, kept.outputs[0])
            model.graph.remove(pair.quantize, safe=True)
            merged += 1
    return merged


__all__ = ["merge_shared"]
