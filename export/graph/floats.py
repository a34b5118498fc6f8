"""What the 16-bit float types hold, and what a constant loses in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from .values import Array

Rest = Literal["fp16", "bf16", "fp32"]
MOST_LOST = 0.01  # share of a constant's norm; rounding to 8 bits loses a third of this
_PIECE = 1 << 20


@dataclass(frozen=True)
class Float:
    """A 16-bit float type.

    Attributes:
        name: as in a recipe.
        title: as people read it.
        dtype: its type in ONNX.
        largest: its largest finite number.
        smallest: its smallest normal number; below, bits get lost.
        bits: of the mantissa, with the hidden one.
    """

    name: str
    title: str
    dtype: ir.DataType
    largest: float
    smallest: float
    bits: int

    @property
    def wide(self) -> bool:
        """Whether its range is that of FP32."""
        return self.largest > 1e38

    @property
    def limit(self) -> float:
        """The largest magnitude that may have been recorded: a quarter of the range, as other inputs reach further."""
        return self.largest / 4


FLOATS = {
    "fp16": Float("fp16", "FP16", ir.DataType.FLOAT16, 65504.0, 2.0**-14, 11),
    "bf16": Float("bf16", "BF16", ir.DataType.BFLOAT16, 3.3895313892515355e38, 2.0**-126, 8),
}


def rounded(array: Array, to: Float) -> Array:
    """`array` in that type, rounded to the nearest; a finite number beyond the range becomes infinite."""
    with np.errstate(over="ignore"):
        return array.astype(to.dtype.numpy())


def saturated(array: Array, to: Float) -> Array:
    """`rounded`, but a finite number beyond the range becomes the largest."""
    inside = np.clip(array, -to.largest, to.largest)
    return rounded(np.where(np.isfinite(array), inside, array), to)


def overflows(array: Array, to: Float) -> bool:
    """Whether a finite number of `array` lies beyond the range."""
    return any(bool(np.any(np.isfinite(piece) & ~np.isfinite(rounded(piece, to)))) for piece in _pieces(array))


def vanishes(array: Array, to: Float) -> bool:
    """Whether a number of `array` that is not zero becomes zero."""
    return any(bool(np.any((piece != 0) & (rounded(piece, to) == 0))) for piece in _pieces(array))


def lost(array: Array, to: Float) -> float:
    """|array - rounded| / |array| in the Euclidean norm, over the finite numbers; 0 to 1."""
    noise = signal = 0.0
    for piece in _pieces(array):
        finite = piece[np.isfinite(piece)].astype(np.float64)
        noise += float(np.sum(np.square(finite - rounded(finite, to).astype(np.float64))))
        signal += float(np.sum(np.square(finite)))
    return float(np.sqrt(noise / signal)) if signal else 0.0


def _pieces(array: Array) -> Iterator[Array]:
    """Parts of a large constant, so that no second copy of it is ever whole."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, _PIECE):
        yield flat[start : start + _PIECE]


__all__ = ["FLOATS", "MOST_LOST", "Float", "Rest", "lost", "overflows", "rounded", "saturated", "vanishes"]
