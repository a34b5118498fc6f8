"""What an operator multiplies with, computed piece by piece from the constant behind it.

A weight may be stored as floats or integers, turned, reshaped, cast, quantized and dequantized, in any order. The
constant stays where it is, a view of it takes the operator's shape, and the arithmetic is done on one small piece at
a time: no second copy of a weight is ever whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from .values import Array

Piece = tuple[slice, ...]
_LIMITS = {
    "int2": (-2, 1), "uint2": (0, 3), "int4": (-8, 7), "uint4": (0, 15), "int8": (-128, 127), "uint8": (0, 255),
    "int16": (-32768, 32767), "uint16": (0, 65535),
}
_EXPONENTS = {"float16": np.uint16(0x7C00), "bfloat16": np.uint16(0x7F80)}  # numpy looks at these one by one


@dataclass(frozen=True)
class Step:
    """One conversion of every element.

    Attributes:
        kind: the operator.
        dtype: of what comes out.
        scale: float32, one number (no axes) or a view of the tensor's shape; None for a Cast.
        zero: the zero point likewise, or None where it is 0 everywhere.
        undoes: a DQ with the zero point of the Q right before it.
    """

    kind: str
    dtype: np.dtype[np.generic]
    scale: Array | None = None
    zero: Array | None = None
    undoes: bool = False


@dataclass(frozen=True)
class Codes:
    """A constant and what is done to it; `source` has the shape of the result."""

    source: Array
    steps: tuple[Step, ...] = ()

    @property
    def quantized(self) -> bool:
        """Whether what the operator multiplies with stands for integer codes."""
        return is_integer(self.source.dtype) or any(step.kind != "Cast" for step in self.steps)

    def then(self, step: Step) -> Codes:
        """With one step more."""
        return replace(self, steps=(*self.steps, step))

    def moved(self, move: Callable[[Array], Array]) -> Codes:
        """With the elements in another order or shape."""
        steps = [replace(step, scale=_moved(step.scale, move), zero=_moved(step.zero, move)) for step in self.steps]
        return Codes(move(self.source), tuple(steps))

    def nonzero(self, piece: Piece) -> Array:
        """Bool, True where the code of a piece is not the code of zero."""
        last = max((index for index, step in enumerate(self.steps) if step.kind != "Cast"), default=None)
        with np.errstate(all="ignore"):
            if last is None:
                return _differs(self._values(piece, len(self.steps)), None)
            if self.steps[last].undoes:
                last -= 1
            step, before = self.steps[last], self._values(piece, last)
            if step.kind == "DequantizeLinear":
                return _differs(before, _cut(step.zero, piece))
            return _quantized_nonzero(before, step, piece)

    def strange(self, piece: Piece) -> int:
        """How many stored numbers of a piece are NaN or infinite."""
        part = self.source[piece]
        if is_integer(part.dtype) or part.dtype.kind == "b":
            return 0
        full = _EXPONENTS.get(part.dtype.name)
        if full is not None:
            return int(np.count_nonzero((part.view(np.uint16) & full) == full))
        return int(part.size - np.count_nonzero(np.isfinite(part)))

    def _values(self, piece: Piece, count: int) -> Array:
        values = self.source[piece]
        for step in self.steps[:count]:
            values = _apply(step, values, piece)
        return values


@cache  # numpy puts a name together each time that it is asked for it
def is_integer(dtype: np.dtype[np.generic]) -> bool:
    """Of 2 bits or more."""
    return str(dtype.name).startswith(("int", "uint"))


def _moved(values: Array | None, move: Callable[[Array], Array]) -> Array | None:
    return values if values is None or values.ndim == 0 else move(values)


def _cut(values: Array | None, piece: Piece) -> Array | None:
    return values if values is None or values.ndim == 0 else values[piece]


def _apply(step: Step, values: Array, piece: Piece) -> Array:
    if step.scale is None:
        return values.astype(step.dtype)
    scale, zero = _cut(step.scale, piece), _cut(step.zero, piece)
    assert scale is not None
    if step.kind == "DequantizeLinear":
        wide = values.astype(np.float32)
        return ((wide if zero is None else wide - zero.astype(np.float32)) * scale).astype(step.dtype)
    quotient = _quotient(values, scale)
    if not is_integer(step.dtype):
        return quotient.astype(step.dtype)
    codes = np.rint(quotient)
    return np.clip(codes if zero is None else codes + zero.astype(np.float32), *_LIMITS[step.dtype.name])


def _quotient(values: Array, scale: Array) -> Array:
    """In float32, as ONNX Runtime divides 16-bit floats too."""
    quotient: Array = values.astype(np.float32, copy=False) / scale
    return quotient


def _quantized_nonzero(values: Array, step: Step, piece: Piece) -> Array:
    """As `_apply` and a comparison with the zero point, but a code that isn't saturated needs no zero point for it."""
    scale, zero = _cut(step.scale, piece), _cut(step.zero, piece)
    assert scale is not None
    quotient = _quotient(values, scale)
    if not is_integer(step.dtype):
        return _differs(quotient.astype(step.dtype), None)
    steps = np.rint(quotient, out=quotient)
    low, high = _LIMITS[step.dtype.name]
    mask = np.asarray(steps != 0)
    for end, beyond in ((low, np.less), (high, np.greater)):
        at_end = np.asarray(0 if zero is None else zero) == end
        if at_end.any():
            mask &= ~(at_end & beyond(steps, 0))
    return mask


def _differs(values: Array, zero: Array | None) -> Array:
    if zero is not None:
        return np.asarray(values != zero)
    if values.dtype.name in _EXPONENTS:
        return np.asarray((values.view(np.uint16) & np.uint16(0x7FFF)) != 0)
    return np.asarray(values != values.dtype.type(0))


__all__ = ["Codes", "Piece", "Step", "is_integer"]
