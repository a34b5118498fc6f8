"""Compute once what depends on constants alone, and leave the quantizers as they are."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from .passes import graph_pass
from .values import Array, add_initializer, constant, drop_unused, replace_node

LIMIT_BYTES = 1 << 20
_KEEP = {
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Constant", "RandomNormal", "RandomUniform",
    "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial", "Dropout", "If", "Loop", "Scan",
}
_SHRINK = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Flatten"}


@graph_pass()
def fold_constants(model: ir.Model) -> int:
    """Replace every node whose inputs are all constant by its value.

    Leaves alone Q/DQ, random and control-flow nodes, operators of other domains, and whatever would make the file
    more than 1 MiB larger. Ensures that the graph computes the same values.
    """
    folded = 0
    for node in list(model.graph):
        value = _value(node, model)
        if value is None:
            continue
        _replace(node, value, model.graph)
        folded += 1
    return folded


def _replace(node: ir.Node, value: Array, graph: ir.Graph) -> None:
    inputs, source = list(node.inputs), node.inputs[0]
    result = add_initializer(graph, str(node.outputs[0].name), value)
    replace_node(node, result)
    drop_unused(graph, inputs)
    if node.op_type in _SHRINK and source is not None and source.name not in graph.initializers:
        result.name = source.name  # a weight that was only turned or reshaped is still that weight


def _value(node: ir.Node, model: ir.Model) -> Array | None:
    if node.domain not in ("", "ai.onnx") or node.op_type in _KEEP or len(node.outputs) != 1 or not node.inputs:
        return None
    if node.outputs[0].is_graph_output():
        return None
    arrays = {str(value.name): constant(value) for value in node.inputs if value is not None}
    inputs = {name: array for name, array in arrays.items() if array is not None}
    if len(inputs) != len(arrays):
        return None
    value = _evaluate(node, inputs, model)
    limit = LIMIT_BYTES if node.op_type not in _SHRINK else np.inf
    return value if value is not None and value.nbytes <= limit else None


def _evaluate(node: ir.Node, inputs: dict[str, Array], model: ir.Model) -> Array | None:
    opset = model.opset_imports.get("", 1)
    graph = onnx.helper.make_graph(
        [ir.to_proto(node)],
        "constant",
        [onnx.helper.make_empty_tensor_value_info(name) for name in inputs],
        [onnx.helper.make_empty_tensor_value_info(str(node.outputs[0].name))],
    )
    small = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    try:
        result = next(iter(ReferenceEvaluator(small).run(None, inputs)))
    except Exception:  # an operator that the evaluator can't compute simply stays in the graph
        return None
    return result if isinstance(result, np.ndarray) else np.asarray(result)


__all__ = ["LIMIT_BYTES", "fold_constants"]
