"""Names for what a bundle looks up by name: weighted nodes and the quantizers in front of them."""

from __future__ import annotations

import onnx_ir as ir

from ..graph.naming import WEIGHTED
from ..graph.passes import graph_pass
from ..graph.values import add_initializer, constant, drop_unused, input_at, is_op
from .nodes import DEQUANTIZE, QUANTIZE, is_weight, parameters

_CARRIERS = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_ENDINGS = ("_quantized", "_DequantizeLinear_Output", ".weight", "/weight", "_weight", "/float", "/int8")


@graph_pass()
def name_all(model: ir.Model) -> int:
    """Name every node, once each; then name the quantizers by the layer that reads them.

    A weighted node keeps its name, or is named by its weight. The quantizers of `LAYER` are `LAYER.input_quantizer`
    and `LAYER.weight_quantizer`; one that no weighted node reads is `TENSOR.quantizer`. Quantizer `NAME` is the nodes
    `NAME/QuantizeLinear` and `NAME/DequantizeLinear` and the value `NAME`, as in every bundle.
    """
    _name_nodes(model)
    names = _Names(model)
    return sum(_name_pair(node, names, model.graph) for node in list(model.graph) if is_op(node, DEQUANTIZE))


def _name_nodes(model: ir.Model) -> None:
    taken: set[str] = set()
    nodes = list(model.graph)
    for node in sorted(nodes, key=lambda node: not node.name):  # names that were given come first
        node.name = _free(node.name or _own_name(node), taken)


def _own_name(node: ir.Node) -> str:
    if is_op(node, *WEIGHTED):
        for value in (input_at(node, 1), input_at(node, 0)):
            while value is not None and constant(value) is None:
                maker = value.producer()
                value = maker.inputs[0] if is_op(maker, QUANTIZE, DEQUANTIZE, *_CARRIERS) and maker else None
            if value is not None and value.name:
                return _stem(value.name)
    return str(node.outputs[0].name or node.op_type)


def _stem(name: str) -> str:
    shorter = next((name.removesuffix(ending) for ending in _ENDINGS if name.endswith(ending)), name)
    return name if not shorter else shorter if shorter == name else _stem(shorter)


def _free(name: str, taken: set[str]) -> str:
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}#{number}"
    taken.add(candidate)
    return candidate


class _Names:
    """The names that are given to pairs, none of them twice and none that another value has."""

    def __init__(self, model: ir.Model) -> None:
        graph = model.graph
        made = (value for node in graph for value in node.outputs if not is_op(node, QUANTIZE, DEQUANTIZE))
        self.taken = {str(value.name) for value in (*graph.inputs, *graph.initializers.values(), *made)}
        self.taken |= {str(value.name) for value in graph.outputs}

    def of(self, node: ir.Node) -> str:
        """For the pair that ends with this DQ."""
        kind = "weight" if is_weight(node) else "input"
        layer = _reader(node.outputs[0])
        if layer is not None:
            return _free(f"{layer.name}.{kind}_quantizer", self.taken)
        source = node.inputs[0]
        maker = source.producer() if source is not None else None
        source = maker.inputs[0] if is_op(maker, QUANTIZE) and maker is not None else source
        return _free(f"{source.name if source is not None else node.name}.quantizer", self.taken)


def _reader(value: ir.Value) -> ir.Node | None:
    """The first weighted node that reads a value."""
    for use in value.uses():
        if is_op(use.node, *WEIGHTED) and use.idx < 2:
            return use.node
        if is_op(use.node, *_CARRIERS) and (found := _reader(use.node.outputs[0])) is not None:
            return found
    return None


def _name_pair(node: ir.Node, names: _Names, graph: ir.Graph) -> bool:
    given = parameters(node)
    assert given is not None
    name, result, codes = names.of(node), node.outputs[0], node.inputs[0]
    maker = codes.producer() if codes is not None else None
    node.name = f"{name}/DequantizeLinear"
    if not result.is_graph_output():
        result.name = name
    nodes = [node]
    if is_op(maker, QUANTIZE) and maker is not None and not str(maker.name).endswith("_quantizer/QuantizeLinear"):
        maker.name = f"{name}/QuantizeLinear"
        nodes.append(maker)
        if not maker.outputs[0].is_graph_output():
            maker.outputs[0].name = f"{name}/codes"
    _own_parameters(nodes, name, graph)
    return True


def _own_parameters(nodes: list[ir.Node], name: str, graph: ir.Graph) -> None:
    for index, ending in ((1, "scale"), (2, "zero_point")):
        arrays = [constant(node.inputs[index]) for node in nodes]
        old = [node.inputs[index] for node in nodes]
        for node, array in zip(nodes, arrays, strict=True):
            assert array is not None
            node.replace_input_with(index, add_initializer(graph, f"{name}/{ending}", array))
        drop_unused(graph, old)


__all__ = ["name_all"]
