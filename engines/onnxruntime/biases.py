"""Take the bias out of quantized Gemm layers whose answer stays float.

ONNX Runtime has an integer Gemm with a float answer, but only for an int32 bias: with a float one it multiplies in
float, after dequantizing the whole weight anew in every inference.
"""

from __future__ import annotations

import onnx_ir as ir

from ...export.graph.values import constant, is_op, produced_by


def split_biases(model: ir.Model) -> int:
    """`Gemm(x, w, bias)` becomes `Gemm(x, w) + bias`, where x and w come from DQ and no Q follows.

    The same sum, whose last bit may round differently where the sum isn't exact.

    Returns:
        The number of layers that were changed.
    """
    found = [node for node in model.graph if is_op(node, "Gemm") and _splits(node)]
    for node in found:
        _split(model.graph, node)
    return len(found)


def _splits(node: ir.Node) -> bool:
    if len(node.inputs) < 3 or constant(node.inputs[2]) is None or node.attributes.get_float("beta", 1.0) != 1.0:
        return False
    quantized = all(produced_by(value, "DequantizeLinear") for value in node.inputs[:2])
    return quantized and not any(is_op(user, "QuantizeLinear") for user in node.outputs[0].consumers())


def _split(graph: ir.Graph, node: ir.Node) -> None:
    answer = node.outputs[0]
    product = ir.node("Gemm", node.inputs[:2], node.attributes, name=node.name)
    bias = ir.node("Add", [product.outputs[0], node.inputs[2]], name=f"{node.name}/bias")
    product.outputs[0].name, bias.outputs[0].name = f"{answer.name}/product", answer.name
    product.outputs[0].type, product.outputs[0].shape = answer.type, answer.shape
    bias.outputs[0].type, bias.outputs[0].shape = answer.type, answer.shape
    graph.insert_after(node, [product, bias])
    answer.replace_all_uses_with(bias.outputs[0], replace_graph_outputs=True)
    graph.remove(node, safe=True)


__all__ = ["split_biases"]
