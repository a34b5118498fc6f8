"""What is left after every exact conversion and is still not symmetric INT8: refused, with its name and the way out."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx_ir as ir

from ...common.errors import UserError
from ..graph.values import constant, input_at, integer, is_op
from .nodes import DEQUANTIZE, QUANTIZE, Parameters, is_weight, label, listed, pairs_of, parameters

_SYMMETRIC = (
    "Quantize it again with ActivationSymmetric=True (and WeightSymmetric=True) and QuantType.QInt8 for both in ONNX "
    "Runtime's quantize_static, or with ModelOpt's INT8."
)
_INT8 = "Quantize it again to INT8."
_ASYMMETRIC = "asymmetric activations, whose codes don't fit int8 with zero point 0"
_FIXES = {
    _ASYMMETRIC: _SYMMETRIC,
    "asymmetric weights, whose codes don't fit int8 with zero point 0": _SYMMETRIC,
    "scales that are computed at run time": "Quantize it again with calibration (static quantization).",
    "scales that are zero, negative or not finite": "Calibrate it again, on data that reaches these tensors.",
    "activations with a scale per channel": "Quantize it again with one scale per activation.",
    "scales per block": "Quantize it again with one scale per tensor or per output channel.",
}


def refuse_remaining(model: ir.Model, where: str) -> None:
    """Hold every Q and DQ of the graph to symmetric INT8 with constant scales.

    Raises:
        UserError: some are otherwise; all of the first kind are counted, and the first are named.
    """
    kinds: dict[str, list[str]] = defaultdict(list)
    for node in pairs_of(model):
        if (kind := _kind(node)) is not None and _tensor(node) not in kinds[kind]:
            kinds[kind].append(_tensor(node))
    found = {kind: names for kind, names in kinds.items() if names}
    if not found:
        return
    kind, names = next(iter(found.items()))
    more = f" It also has {', and '.join(list(found)[1:])}." if len(found) > 1 else ""
    raise UserError(
        f"This network has {kind}: {listed(names)} ({len(names)} in all).{more}", where=where,
        fix=_FIXES.get(kind, _INT8),
    )


def _tensor(node: ir.Node) -> str:
    """The float tensor that is quantized, as the file calls it."""
    maker = node.inputs[0].producer() if node.inputs[0] is not None else None
    if is_op(node, DEQUANTIZE) and is_op(maker, QUANTIZE) and maker is not None:
        node = maker
    source = node.inputs[0]
    return label(node) if source is None or source.name is None else source.name


def _kind(node: ir.Node) -> str | None:
    if integer(node, "block_size", 0):
        return "scales per block"
    if constant(input_at(node, 1)) is None:
        return "scales that are computed at run time"
    given = parameters(node)
    if given is None:
        return "zero points that are not known"
    return _of_values(node, given)


def _of_values(node: ir.Node, given: Parameters) -> str | None:
    if not np.all(np.isfinite(given.scale)) or np.any(given.scale <= 0):
        return "scales that are zero, negative or not finite"
    if given.zero_point.dtype not in (np.int8, np.uint8):
        return f"codes of type {given.zero_point.dtype}"
    weight = is_weight(node)
    if not weight and given.axis is not None:
        return "activations with a scale per channel"
    if given.symmetric:
        return None
    return "asymmetric weights, whose codes don't fit int8 with zero point 0" if weight else _ASYMMETRIC


__all__ = ["refuse_remaining"]
