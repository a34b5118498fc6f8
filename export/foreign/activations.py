"""Activations with uint8 codes become int8 with zero point 0, where that changes nothing."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..graph.passes import graph_pass
from ..graph.values import add_initializer, constant, is_op
from .bounds import bounds
from .nodes import DEQUANTIZE, QUANTIZE, Parameters, parameters

_MIDDLE, _LIMIT = 128, 127


@graph_pass()
def store_signed_activations(model: ir.Model) -> int:
    """Move the codes of a Q and of the DQ nodes behind it.

    Zero point 128 covers the codes -128 to 127 with the same scale. Zero point 0 does so where the tensor can't exceed
    127 steps; what is below 0 becomes 0 by a Relu in front, as the unsigned codes made it. Requires that the parameters
    are written out and that nothing but DQ nodes reads the codes. Ensures the same values bit for bit.
    """
    return sum(_store(node, model.graph) for node in list(model.graph) if is_op(node, QUANTIZE))


def _store(quantize: ir.Node, graph: ir.Graph) -> bool:
    given, codes = parameters(quantize), quantize.outputs[0]
    readers = list(codes.consumers())
    if given is None or given.axis is not None or given.zero_point.dtype != np.uint8 or codes.is_graph_output():
        return False
    if not readers or not all(_alike(node, given) for node in readers) or not _fits(quantize, given):
        return False
    if int(given.zero_point) == 0 and bounds(quantize.inputs[0])[0] < 0:
        _cut_off(quantize, graph)
    zero = add_initializer(graph, f"{codes.name}/zero_point", np.array(0, np.int8))
    for node in (quantize, *readers):
        node.replace_input_with(2, zero)
    quantize.attributes.pop("output_dtype", None)
    codes.dtype = ir.DataType.INT8
    return True


def _alike(node: ir.Node, given: Parameters) -> bool:
    other = parameters(node) if is_op(node, DEQUANTIZE) else None
    return other is not None and other.axis is None and _typed(other) == _typed(given)


def _typed(given: Parameters) -> tuple[str, int]:
    return str(given.zero_point.dtype), int(given.zero_point)


def _fits(quantize: ir.Node, given: Parameters) -> bool:
    zero = int(given.zero_point)
    if zero == _MIDDLE:
        return True
    high = bounds(quantize.inputs[0])[1]
    return zero == 0 and constant(quantize.inputs[0]) is None and steps(high, given) <= _LIMIT


def steps(high: float, given: Parameters) -> float:
    """The code that Q makes of `high` where it doesn't saturate, as ONNX Runtime computes it: in FP32, half to even."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return float(np.rint(np.float32(high) / np.float32(given.scale)))


def _cut_off(quantize: ir.Node, graph: ir.Graph) -> None:
    source = quantize.inputs[0]
    assert source is not None
    node = ir.node("Relu", [source], name=f"{quantize.name or quantize.outputs[0].name}/Relu")
    result = node.outputs[0]
    result.name, result.type, result.shape = f"{quantize.outputs[0].name}/positive", source.type, source.shape
    graph.insert_before(quantize, node)
    quantize.replace_input_with(0, result)


__all__ = ["steps", "store_signed_activations"]
