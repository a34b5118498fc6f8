"""Name the weighted nodes as their modules are named in PyTorch."""

from __future__ import annotations

import onnx_ir as ir

from .passes import graph_pass
from .values import is_op, produced_by

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_ENDINGS = (".weight_quantizer", "._weight_quantizer", ".weight")


@graph_pass()
def name_weighted_nodes(model: ir.Model) -> int:
    """A node whose weight is `body.0.conv1.weight` becomes `body.0.conv1`; a name that is taken gets a number.

    The module is read off the weight's quantizer, or off the weight itself where it is not quantized. Requires that
    quantizers and parameters carry PyTorch's names. Ensures that node names are unique.
    """
    nodes = list(model.graph)
    modules = {node: module for node in nodes if is_op(node, *WEIGHTED) and (module := _module(node))}
    taken: set[str] = set()
    for node, module in modules.items():
        node.name = _unique(module, taken)
    for number, node in enumerate(nodes):
        if node not in modules:
            node.name = _unique(node.name or f"{node.op_type}_{number}", taken)
    return len(modules)


def _module(node: ir.Node) -> str | None:
    for value in list(node.inputs[:2])[::-1]:
        name = _weight_name(value)
        for ending in _ENDINGS:
            if name is not None and name.endswith(ending):
                return name.removesuffix(ending)
    return None


def _weight_name(value: ir.Value | None) -> str | None:
    while node := produced_by(value, "Transpose", "Reshape", "Identity", "Cast"):
        value = node.inputs[0]
    if value is None or not (value.is_initializer() or produced_by(value, "DequantizeLinear")):
        return None
    return value.name.split("#")[0] if value.name else None


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}#{number}"
    taken.add(candidate)
    return candidate


__all__ = ["WEIGHTED", "name_weighted_nodes"]
