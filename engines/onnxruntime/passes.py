"""The passes that turn the master graph into one that ONNX Runtime runs on integers, in their order."""

from __future__ import annotations

import onnx_ir as ir

from .shared import merge_shared
from .shifted import store_shifted
from .unsigned import store_unsigned


def prepare(model: ir.Model) -> list[str]:
    """Apply every pass to `model` (weights stored as int8); with optimizations off it answers as before, bit for bit.

    Returns:
        What was done, for people to read.
    """
    merged, unsigned, shifted = merge_shared(model), store_unsigned(model), store_shifted(model)
    return [
        f"{merged} quantizers merged with one that quantizes the same tensor alike",
        f"{unsigned} activations that are never negative stored as uint8 with zero point 0, limited to code 127",
        f"{shifted} signed activations stored as uint8 with zero point 128, with uint8 weights where they meet",
    ]


__all__ = ["prepare"]
