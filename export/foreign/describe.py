"""A converted network as a bundle's manifest lists it: weighted layers and the ranges of its quantizers."""

from __future__ import annotations

import onnx_ir as ir

from ...common.bundle import Layer, Range
from ..graph.two_four import Sparsity, check
from ..graph.values import is_op
from .nodes import DEQUANTIZE, parameters

METHOD = "given"


def layers_of(model: ir.Model) -> list[Layer]:
    """The layers with a constant weight; `sparse` are those that came 2:4."""
    return [_layer(found) for found in check(model)]


def _layer(found: Sparsity) -> Layer:
    return Layer(
        name=found.name, kind=found.op, shape=list(found.shape), sparse=found.two_four,
        reason=f"its weights came so: {found.reason}",
    )


def ranges_of(model: ir.Model) -> list[Range]:
    """One range per quantizer: 127 steps of its scale."""
    found = {}
    for node in model.graph:
        given = parameters(node) if is_op(node, DEQUANTIZE) else None
        if given is None:
            continue
        name = str(node.name).removesuffix("/DequantizeLinear")
        amax = [float(scale) * 127 for scale in given.scale.reshape(-1)]
        found[name] = Range(
            tensor=name, method=METHOD, amax=amax if given.axis is not None else amax[0], axis=given.axis
        )
    return list(found.values())


__all__ = ["METHOD", "layers_of", "ranges_of"]
