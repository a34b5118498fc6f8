"""Which codes of a constant are not zero, followed through Q, DQ, Cast, Transpose and Reshape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from .quantizers import along
from .values import Array, constant, input_at, integer, is_op

_PIECE = 1 << 18  # values that stay in the cache
_RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535)}


@dataclass(frozen=True)
class Nonzero:
    """`mask`: bool, True where the code is not the code of zero. `quantized`: the codes are integers."""

    mask: Array
    quantized: bool


def nonzero(value: ir.Value | None) -> Nonzero | None:
    """Follow `value` back to its constant; None where it depends on an input or on another operator."""
    array = constant(value)
    if array is not None:
        return Nonzero(array != 0, array.dtype.kind in "iu")
    node = None if value is None else value.producer()
    if node is None or not is_op(node, *_STEPS):
        return None
    return _STEPS[node.op_type](node)


def _through(node: ir.Node) -> Nonzero | None:
    return nonzero(node.inputs[0])


def _shaped(node: ir.Node) -> Nonzero | None:
    found = nonzero(node.inputs[0])
    if found is None:
        return None
    if node.op_type == "Transpose":
        perm = node.attributes.get_ints("perm")
        return Nonzero(found.mask.transpose(None if perm is None else list(perm)), found.quantized)
    shape = _target(node, found.mask.shape)
    return None if shape is None else Nonzero(found.mask.reshape(shape), found.quantized)


def _target(node: ir.Node, shape: tuple[int, ...]) -> list[int] | None:
    if node.op_type == "Reshape":
        wanted = constant(node.inputs[1])
        if wanted is None:
            return None
        copies = not integer(node, "allowzero", 0)
        return [shape[index] if size == 0 and copies else int(size) for index, size in enumerate(wanted.reshape(-1))]
    known = node.outputs[0].shape
    return [int(size) for size in known] if known is not None and known.is_static() else None  # type: ignore[arg-type]


def _quantized(node: ir.Node) -> Nonzero | None:
    array, scale, zero = _cast_source(node.inputs[0]), constant(input_at(node, 1)), constant(input_at(node, 2))
    if array is None or scale is None or array.ndim == 0:
        return None
    limits = _RANGES.get("uint8" if zero is None else str(zero.dtype), (-np.inf, np.inf))
    steps = np.broadcast_to(_spread(node, scale, array), array.shape)
    zeros = np.broadcast_to(0 if zero is None else _spread(node, zero, array), array.shape)
    mask = np.empty(array.shape, bool)
    rows = max(1, _PIECE * len(array) // max(array.size, 1))
    for start in range(0, len(array), rows):
        piece = slice(start, start + rows)
        mask[piece] = _codes_differ(array[piece], steps[piece], zeros[piece], limits)
    return Nonzero(mask, True)


def _codes_differ(array: Array, steps: Array, zeros: Array, limits: tuple[float, float]) -> Array:
    """Where the code of a value, saturated, is not the code of zero."""
    codes = array / steps
    np.rint(codes, out=codes)
    codes += zeros
    np.clip(codes, *limits, out=codes)
    return np.asarray(codes != zeros)


def _cast_source(value: ir.Value | None) -> Array | None:
    """The constant behind changes of shape and type."""
    node = None if value is None else value.producer()
    if node is None or not is_op(node, "Identity", "Cast", "Transpose"):
        return constant(value)
    array = _cast_source(node.inputs[0])
    if array is None or node.op_type == "Identity":
        return array
    if node.op_type == "Cast":
        return array.astype(ir.DataType(node.attributes["to"].as_int()).numpy())
    perm = node.attributes.get_ints("perm")
    turned: Array = array.transpose(None if perm is None else list(perm))
    return turned


def _dequantized(node: ir.Node) -> Nonzero | None:
    zero = constant(input_at(node, 2))
    array = _cast_source(node.inputs[0])
    if array is None or zero is None or not np.any(zero):
        found = nonzero(node.inputs[0])
        return None if found is None else Nonzero(found.mask, True)
    return Nonzero(array.astype(np.int32) != _spread(node, zero, array).astype(np.int32), True)


def _spread(node: ir.Node, values: Array, array: Array) -> Array:
    """Scales or zero points, shaped to broadcast over `array`: per tensor, per channel or per block."""
    axis = integer(node, "axis", 1)
    if values.ndim == array.ndim and (block := integer(node, "block_size", 0)):
        return np.repeat(values, block, axis=axis).take(range(array.shape[axis]), axis=axis)
    return along(values, axis, array.ndim)


_STEPS: dict[str, Callable[[ir.Node], Nonzero | None]] = {
    "Identity": _through, "Cast": _through, "Transpose": _shaped, "Reshape": _shaped, "Squeeze": _shaped,
    "Unsqueeze": _shaped, "Flatten": _shaped, "QuantizeLinear": _quantized, "DequantizeLinear": _dequantized,
}

__all__ = ["Nonzero", "nonzero"]
