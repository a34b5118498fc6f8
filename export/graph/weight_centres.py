"""Give a quantized weight a 16-bit scale without changing one of its codes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...common.errors import TwofourError
from .floats import Float, rounded
from .int8_weights import weight_codes
from .quantizers import along
from .values import Array, add_initializer, constant, input_at, integer, set_initializer


def move_to_centres(quantize: ir.Node, to: Float) -> None:
    """Put the weight of a Q on the centres of its codes, code times rounded scale, in the type `to`.

    The rounding of a centre is at most 127 * 2 ** -bits of a step, less than the half step that would change the code.
    The scale itself is left to the caller.

    Args:
        quantize: a Q of a constant, with its FP32 scale.
        to: FP16 or BF16.

    Raises:
        TwofourError: a code would change.
    """
    source, scale, zero = quantize.inputs[0], constant(input_at(quantize, 1)), constant(input_at(quantize, 2))
    codes = weight_codes(quantize)
    assert source is not None
    if codes is None or scale is None:
        _store(quantize, source, rounded(_required(constant(source)), to))
        return
    axis = integer(quantize, "axis", 1)
    offset = 0 if zero is None else along(zero, axis, codes.ndim).astype(np.float32)
    step = along(rounded(scale, to).astype(np.float32), axis, codes.ndim)
    centres = rounded((codes.astype(np.float32) - offset) * step, to)
    if not np.array_equal(np.rint(centres.astype(np.float32) / step) + offset, codes):
        raise TwofourError(f"Integer codes of the weight would change in {to.title}.", where=str(source.name))
    _store(quantize, source, centres)


def _store(quantize: ir.Node, source: ir.Value, array: Array) -> None:
    if len(source.uses()) == 1 and source.is_initializer() and not source.is_graph_output():
        set_initializer(source, array)
        return
    graph = quantize.graph
    assert isinstance(graph, ir.Graph)
    quantize.replace_input_with(0, add_initializer(graph, str(source.name), array))


def _required(array: Array | None) -> Array:
    assert array is not None
    return array


__all__ = ["move_to_centres"]
