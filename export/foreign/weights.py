"""Weights of any 8-bit kind become int8 codes with zero point 0."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..graph.passes import graph_pass
from ..graph.quantizers import along
from ..graph.values import Array, add_initializer, constant, drop_unused, is_op
from .nodes import DEQUANTIZE, Parameters, parameters


@graph_pass()
def store_signed_weights(model: ir.Model) -> int:
    """Codes less their zero point are the new codes, where all of them fit int8; a scale of 0 gets codes of 0.

    Requires weights that are stored as codes, and Q and DQ with their parameters written out. Ensures the same weights
    bit for bit. Leaves alone what doesn't fit.
    """
    return sum(_store(node, model.graph) for node in list(model.graph) if is_op(node, DEQUANTIZE))


def _store(node: ir.Node, graph: ir.Graph) -> bool:
    codes, given = constant(node.inputs[0]), parameters(node)
    if codes is None or given is None or codes.dtype not in (np.int8, np.uint8):
        return False
    dead = given.scale == 0
    if given.symmetric and not dead.any():
        return False
    new = centred(codes, given)
    if new is None:
        return False
    old, name = list(node.inputs), node.outputs[0].name
    zeros = np.zeros(given.scale.shape, np.int8)
    node.replace_input_with(0, add_initializer(graph, f"{name}/int8", new))
    node.replace_input_with(2, add_initializer(graph, f"{name}/zero_point", zeros))
    if dead.any():
        scale = np.where(dead, _usable(given.scale), given.scale)
        node.replace_input_with(1, add_initializer(graph, f"{name}/scale", scale))
    drop_unused(graph, old)
    return True


def centred(codes: Array, given: Parameters) -> Array | None:
    """The codes less their zero point, int8, 0 where the scale is; None where one of them is beyond -128 to 127."""
    moved = codes.astype(np.int16) - along(given.zero_point, given.axis, codes.ndim).astype(np.int16)
    moved = np.where(along(given.scale == 0, given.axis, codes.ndim), np.int16(0), moved)
    return moved.astype(np.int8) if moved.size == 0 or (moved.min() >= -128 and moved.max() <= 127) else None


def _usable(scale: Array) -> Array:
    alive = scale[scale > 0]
    return np.asarray(np.median(alive) if alive.size else 1, scale.dtype)


__all__ = ["centred", "store_signed_weights"]
