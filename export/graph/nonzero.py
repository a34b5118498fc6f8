"""Follow a weight back to its constant: through Q, DQ, Cast, and whatever turns or reshapes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from .codes import Codes, Step
from .pieces import pieces
from .quantizers import along
from .values import FAULTS, LONGEST, Array, constant, input_at, integer, is_op


@dataclass(frozen=True)
class Nonzero:
    """`mask`: bool, True where the code is not the code of zero. `quantized`: the codes are integers."""

    mask: Array
    quantized: bool


def nonzero(value: ir.Value | None) -> Nonzero | None:
    """The whole mask of `value`; None where it depends on an input or another operator, or contradicts itself."""
    try:
        codes = follow(value)
        if codes is None:
            return None
        mask = np.empty(codes.source.shape, bool)
        for piece in pieces(mask.shape):
            mask[piece] = codes.nonzero(piece)
    except FAULTS:
        return None
    return Nonzero(mask, codes.quantized)


def follow(value: ir.Value | None) -> Codes | None:
    """What `value` always holds; None where it depends on an input or on another operator.

    Raises:
        One of `FAULTS`: what is done to the constant contradicts itself.
    """
    trail: list[ir.Node] = []
    while (array := constant(value)) is None:
        node = None if value is None else value.producer()
        if node is None or not is_op(node, *_STEPS) or len(trail) == LONGEST:
            return None
        trail.append(node)
        value = node.inputs[0]
    codes: Codes | None = None if array.dtype.kind in "OSUc" else Codes(array)
    for node in reversed(trail):
        codes = None if codes is None else _STEPS[node.op_type](node, codes)
    return codes


def _same(_node: ir.Node, codes: Codes) -> Codes:
    return codes


def _cast(node: ir.Node, codes: Codes) -> Codes | None:
    target = ir.DataType(node.attributes["to"].as_int())
    return None if target == ir.DataType.STRING else codes.then(Step("Cast", np.dtype(target.numpy())))


def _transpose(node: ir.Node, codes: Codes) -> Codes:
    perm = node.attributes.get_ints("perm")
    return codes.moved(lambda array: array.transpose(None if perm is None else list(perm)))


def _reshape(node: ir.Node, codes: Codes) -> Codes | None:
    wanted = constant(input_at(node, 1))
    if wanted is None:
        return None
    old, copies = codes.source.shape, not integer(node, "allowzero", 0)
    sizes = [int(size) for size in wanted.reshape(-1)]
    shape = [old[index] if size == 0 and copies else size for index, size in enumerate(sizes)]
    return codes.moved(lambda array: array.reshape(shape))


def _flatten(node: ir.Node, codes: Codes) -> Codes:
    shape, axis = codes.source.shape, integer(node, "axis", 1)
    split = axis + len(shape) if axis < 0 else axis
    flat = (math.prod(shape[:split]), math.prod(shape[split:]))
    return codes.moved(lambda array: array.reshape(flat))


def _squeeze(node: ir.Node, codes: Codes) -> Codes | None:
    known, axes = _axes(node)
    return codes.moved(lambda array: np.squeeze(array, axes)) if known else None


def _unsqueeze(node: ir.Node, codes: Codes) -> Codes | None:
    known, axes = _axes(node)
    return codes.moved(lambda array: np.expand_dims(array, axes or ())) if known else None


def _axes(node: ir.Node) -> tuple[bool, tuple[int, ...] | None]:
    """Whether the axes are known, and them: an attribute before opset 13, an input since; None where left out."""
    value = input_at(node, 1)
    if "axes" in node.attributes:
        return True, tuple(node.attributes.get_ints("axes") or ())
    if value is None:
        return True, None
    array = constant(value)
    return array is not None, None if array is None else tuple(int(axis) for axis in array.reshape(-1))


def _quantize(node: ir.Node, codes: Codes) -> Codes | None:
    scale, zero = constant(input_at(node, 1)), constant(input_at(node, 2))
    if scale is None or (zero is None and input_at(node, 2) is not None):
        return None
    asked = integer(node, "output_dtype", 0)
    dtype = zero.dtype if zero is not None else np.dtype(ir.DataType(asked or ir.DataType.UINT8).numpy())
    return codes.then(Step("QuantizeLinear", dtype, _spread(node, scale, codes, np.float32), _zero(node, zero, codes)))


def _dequantize(node: ir.Node, codes: Codes) -> Codes | None:
    scale, zero = constant(input_at(node, 1)), constant(input_at(node, 2))
    if scale is None or (zero is None and input_at(node, 2) is not None):
        return None
    offset, last = _zero(node, zero, codes), codes.steps[-1] if codes.steps else None
    undoes = last is not None and last.kind == "QuantizeLinear" and _equal(last.zero, offset)
    spread = _spread(node, scale, codes, np.float32)
    return codes.then(Step("DequantizeLinear", scale.dtype, spread, offset, undoes))


def _equal(first: Array | None, second: Array | None) -> bool:
    if first is None or second is None:
        return first is second
    return first.ndim == second.ndim == 0 and bool(first == second)


def _zero(node: ir.Node, zero: Array | None, codes: Codes) -> Array | None:
    return None if zero is None or not np.any(zero.astype(np.float32)) else _spread(node, zero, codes, None)


def _spread(node: ir.Node, values: Array, codes: Codes, dtype: type[np.float32] | None) -> Array:
    """Scales or zero points as one number, or as a view of the weight's shape: per channel or per block."""
    shape, axis = codes.source.shape, integer(node, "axis", 1)
    values = values if dtype is None else values.astype(dtype)
    block = integer(node, "block_size", 0)
    if block and values.ndim == len(shape):
        return _blocks(values, shape, axis, block)
    spread = along(values, axis, len(shape))
    return spread if spread.ndim == 0 else np.broadcast_to(spread, shape)


def _blocks(values: Array, shape: tuple[int, ...], axis: int, block: int) -> Array:
    length = shape[axis]
    if values.shape[axis] != -(-length // block):
        raise ValueError(f"{values.shape[axis]} blocks of {block} don't make an axis of {length}")
    index = np.arange(length) // block
    return np.broadcast_to(values.take(index, axis=axis), shape)


_STEPS: dict[str, Callable[[ir.Node, Codes], Codes | None]] = {
    "Identity": _same, "Cast": _cast, "Transpose": _transpose, "Reshape": _reshape, "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze, "Flatten": _flatten, "QuantizeLinear": _quantize, "DequantizeLinear": _dequantize,
}

__all__ = ["Nonzero", "follow", "nonzero"]
