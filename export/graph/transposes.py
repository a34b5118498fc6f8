"""Turn a weight around before it is quantized instead of after, so that DQ feeds the operator directly."""

from __future__ import annotations

import onnx_ir as ir

from .passes import graph_pass
from .values import constant, integer, is_op, produced_by, replace_node, set_initializer


@graph_pass()
def fold_weight_transposes(model: ir.Model) -> int:
    """`W -> Q -> DQ -> Transpose` becomes `transposed W -> Q -> DQ`, with the channel axis turned too.

    Requires that the weight, Q and DQ have no other reader. Codes stay the same, in another order.
    """
    folded = 0
    for node in [node for node in model.graph if is_op(node, "Transpose")]:
        pair = _weight_pair(node)
        if pair is not None:
            _turn(node, *pair)
            folded += 1
    return folded


def _weight_pair(node: ir.Node) -> tuple[ir.Node, ir.Node] | None:
    dequantize = produced_by(node.inputs[0], "DequantizeLinear")
    quantize = None if dequantize is None else produced_by(dequantize.inputs[0], "QuantizeLinear")
    if dequantize is None or quantize is None:
        return None
    weight = quantize.inputs[0]
    chain = (weight, quantize.outputs[0], dequantize.outputs[0])
    alone = all(value is not None and len(value.uses()) == 1 and not value.is_graph_output() for value in chain)
    if not alone or weight is None or not weight.is_initializer() or node.outputs[0].is_graph_output():
        return None
    return None if any(integer(part, "block_size", 0) for part in (quantize, dequantize)) else (quantize, dequantize)


def _per_tensor(part: ir.Node) -> bool:
    scale = constant(part.inputs[1])
    return scale is not None and scale.size == 1


def _turn(node: ir.Node, quantize: ir.Node, dequantize: ir.Node) -> None:
    weight = quantize.inputs[0]
    array = constant(weight)
    assert weight is not None
    assert array is not None
    perm = list(node.attributes["perm"].as_ints()) if "perm" in node.attributes else list(range(array.ndim))[::-1]
    set_initializer(weight, array.transpose(perm))
    for part in (quantize, dequantize):
        if part.outputs[0].type is not None:
            part.outputs[0].shape = weight.shape
        if "axis" in part.attributes or not _per_tensor(part):
            part.attributes["axis"] = ir.AttrInt64("axis", perm.index(integer(part, "axis", 1) % array.ndim))
    replace_node(node, dequantize.outputs[0])


__all__ = ["fold_weight_transposes"]
