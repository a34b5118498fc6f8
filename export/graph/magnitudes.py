"""Tensors and constants that a 16-bit float type can't hold, each with the reason."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx_ir as ir

from .floats import MOST_LOST, Float, lost, overflows, vanishes
from .signatures import is_float
from .values import constant, input_at, is_op, produced_by

_ANGLES = ("Cos", "Sin", "Tan")
_COORDINATES = ("GridSample", "RoiAlign")
_INTEGERS = {
    ir.DataType.INT8, ir.DataType.INT16, ir.DataType.INT32, ir.DataType.INT64, ir.DataType.UINT8, ir.DataType.UINT16,
    ir.DataType.UINT32, ir.DataType.UINT64,
}


def unfit_tensor(value: ir.Value, largest: Mapping[str, float], to: Float) -> str | None:
    """Why a tensor that is computed must stay FP32; None where it needn't.

    Args:
        value: an FP32 tensor that isn't constant.
        largest: largest magnitude of tensors by name, measured on real inputs.
        to: the type that it would become.
    """
    magnitude = largest.get(str(value.name))
    return _range(value, magnitude, to) or _exactness(value, magnitude, to)


def _range(value: ir.Value, magnitude: float | None, to: Float) -> str | None:
    if to.wide or magnitude is None:
        return None
    if not magnitude <= to.limit:
        return (f"the tensor {value.name!r} reaches {magnitude:.3g} on the recorded inputs; {to.title} ends at "
                f"{to.largest:.5g}, and a factor of 4 is kept free for other inputs")
    if 0 < magnitude < to.smallest:
        return (f"the tensor {value.name!r} stays below {magnitude:.2g}; {to.title} loses bits below "
                f"{to.smallest:.2g}")
    return None


def _exactness(value: ir.Value, magnitude: float | None, to: Float) -> str | None:
    reach = math.inf if magnitude is None else magnitude
    known = "was not measured" if magnitude is None else f"reaches {magnitude:.3g}"
    readers = [use for use in value.uses() if use.idx < 2]
    if reach > 2.0 ** (to.bits - 8) and any(is_op(use.node, *_ANGLES) for use in readers):
        return f"the angle {value.name!r} {known}, too far for the {to.bits} bits of {to.title}"
    if reach > 2.0**to.bits and _is_integral(value):
        return f"the integers in {value.name!r} ({known}) are exact up to {2**to.bits} in {to.title}"
    if any(is_op(use.node, *_COORDINATES) and use.idx == 1 for use in readers):
        return f"the coordinates {value.name!r} need more than the {to.bits} bits of {to.title}"
    return None


def _is_integral(value: ir.Value) -> bool:
    cast = produced_by(value, "Cast")
    if cast is not None and cast.inputs[0] is not None and cast.inputs[0].dtype in _INTEGERS:
        return True
    casts = [use.node for use in value.uses() if is_op(use.node, "Cast")]
    return any(ir.DataType(node.attributes["to"].as_int()) in _INTEGERS for node in casts)


def unfit_constant(node: ir.Node, index: int, to: Float) -> str | None:
    """Why the constant input `index` of a node must stay FP32; None where it needn't, or isn't constant.

    Bounds of a Clip beyond the range bound nothing there, and the weight of a Q is stored anew: neither counts.
    """
    value = input_at(node, index)
    if not is_float(value) or (is_op(node, "Clip") and index) or is_op(node, "QuantizeLinear", "DequantizeLinear"):
        return None
    array = constant(value)
    if array is None:
        return None
    name = f"its constant {value.name!r}" if value is not None else ""
    if overflows(array, to):
        return f"{name} holds numbers beyond {to.largest:.5g}, where {to.title} ends"
    if is_op(node, "Div") and index == 1 and vanishes(array, to):
        return f"{name}, a divisor, would become zero in {to.title}"
    share = lost(array, to)
    return f"{name} would lose {share:.0%} of its size in {to.title}" if share > MOST_LOST else None


def unfit_scale(node: ir.Node, to: Float) -> str | None:
    """Why the scale of a Q or DQ must stay FP32; None where it needn't, or for any other node."""
    scale = constant(node.inputs[1]) if is_op(node, "QuantizeLinear", "DequantizeLinear") else None
    if scale is None or not scale.size or not is_float(node.inputs[1]):
        return None
    low, high = float(scale.min()), float(scale.max())
    if low < to.smallest:
        return f"its scale of {low:.2g} is below {to.smallest:.2g}, {to.title}'s smallest normal number"
    return f"its scale of {high:.3g} is beyond {to.largest:.5g}, where {to.title} ends" if high > to.largest else None


__all__ = ["unfit_constant", "unfit_scale", "unfit_tensor"]
