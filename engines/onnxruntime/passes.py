"""The passes that turn the master graph into one that ONNX Runtime runs on integers, in their order."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from ...export.graph.int8_weights import store_int8_weights
from .biases import split_biases
from .shared import merge_shared
from .shifted import store_shifted
from .unmet import store_unmet
from .unsigned import store_unsigned


def prepare(model: ir.Model) -> list[str]:
    """Apply every pass to `model`, a graph with Q/DQ.

    With ONNX Runtime's optimizations off it answers as before, bit for bit, but for the rounding of the biases in
    `split_biases`.

    Returns:
        What was done, for people to read.
    """
    weights = store_int8_weights(model)
    merged, unsigned, shifted = merge_shared(model), store_unsigned(model), store_shifted(model)
    biases, unmet = split_biases(model), store_unmet(model)
    RemoveUnusedNodesPass()(model)
    return [
        f"{weights} weights stored as 8-bit integers",
        f"{merged} quantizers merged with another that quantizes the same tensor alike",
        f"{unsigned} activations that are never negative stored as uint8 with zero point 0, limited to code 127",
        f"{shifted} signed activations stored as uint8 with zero point 128, with uint8 weights where they meet",
        f"biases added behind an integer Gemm: {biases}",
        *([f"{unmet} weights stored in FP32, because the inputs of their layers are float"] if unmet else []),
    ]


__all__ = ["prepare"]
