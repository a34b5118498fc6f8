"""Store activations that are never negative as uint8 codes with zero point 0 and the same scale.

The CPU's 8-bit dot product takes unsigned by signed, and a ReLU in front of such a code costs nothing: the code's range
does its work. Codes stay at most 127, where training saturated, so that AVX2's 16-bit sums of two products can't
overflow (2 * 127 * 128 < 2**15). The limit is put on the codes, not on the tensor in front of the Q: a float operator
there would keep ONNX Runtime from fusing layer and Q.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .pairs import Pair, activation_pairs, named_constant, retype
from .sign import non_negative

_LIMIT = 127


def store_unsigned(model: ir.Model) -> int:
    """Turn the int8 codes of non-negative activations into uint8, limited to 127; exact.

    Returns:
        The number of Q/DQ pairs that were changed.
    """
    proven = non_negative(model.graph)
    found = [pair for pair in activation_pairs(model.graph) if _signed(pair) and pair.source in proven]
    for pair in found:
        _store(model.graph, pair)
    return len(found)


def _signed(pair: Pair) -> bool:
    return pair.zero_point.dtype == np.int8 and pair.zero_point == 0


def _store(graph: ir.Graph, pair: Pair) -> None:
    zero = named_constant(graph, "uint8_zero", np.array(0, np.uint8))
    limit = named_constant(graph, "uint8_limit", np.array(_LIMIT, np.uint8))
    retype(pair, zero)
    name = pair.codes.name or ""
    limited = ir.Node("", "Clip", [pair.codes, None, limit], name=f"{name}/Clip")
    limited.outputs[0].name, pair.codes.name = name, f"{name}_unlimited"
    limited.outputs[0].dtype = ir.DataType.UINT8
    graph.insert_after(pair.quantize, limited)
    for node in pair.dequantize:
        node.replace_input_with(0, limited.outputs[0])


__all__ = ["store_unsigned"]
