"""What each weighted layer became in the graph that ONNX Runtime really runs."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
import onnx_ir as ir

from ..records import Precision
from .session import open_session

WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_INTEGER = {
    "ConvInteger", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat", "QGemm", "QLinearConv",
    "QLinearMatMul",
}
_PASSED_THROUGH = {"Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Reshape", "Squeeze", "Transpose"}


def weight_root(node: ir.Node) -> ir.Value | None:
    """The constant that the weight of a layer is computed from, or None if it is computed from an input."""
    value = node.inputs[1] if len(node.inputs) > 1 else None
    while value is not None and value.const_value is None:
        producer = value.producer()
        if producer is None or producer.op_type not in _PASSED_THROUGH:
            return None
        value = producer.inputs[0]
    return value


def layers(model: ir.Model) -> Iterator[tuple[ir.Node, ir.Value]]:
    """Every layer with a constant weight of at least two axes, and that constant."""
    for node in model.graph:
        if node.op_type in WEIGHTED and node.domain == "" and (root := weight_root(node)) is not None:
            if root.shape is None or len(root.shape) >= 2:
                yield node, root


def kernels(path: Path, roots: Mapping[str, str], threads: int | None) -> dict[str, tuple[str | None, Precision]]:
    """Load the engine at `path` and read from ONNX Runtime's optimized graph what runs each layer.

    Args:
        path: the engine's file.
        roots: name of the layer to name of the constant that holds its weight.
        threads: as the engine will use.

    Returns:
        Kernel (None if the layer wasn't found) and precision, by the layer's name.

    Raises:
        UserError: ONNX Runtime refuses the engine.
    """
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        open_session(path, threads, optimized)
        graph = onnx.load(optimized, load_external_data=False).graph
    users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    by_name = {node.name: node.op_type for node in graph.node}
    found = {layer: _user(root, users) or by_name.get(layer) for layer, root in roots.items()}
    return {layer: (kernel, _precision(kernel)) for layer, kernel in found.items()}


def _user(root: str, users: Mapping[str, list[onnx.NodeProto]]) -> str | None:
    pending = list(users.get(root, []))
    while pending:
        node = pending.pop(0)
        if node.op_type not in _PASSED_THROUGH:
            return node.op_type
        pending.extend(user for output in node.output for user in users.get(output, []))
    return None


def _precision(kernel: str | None) -> Precision:
    if kernel is None:
        return "unknown"
    return "int8" if kernel in _INTEGER else "float"


__all__ = ["WEIGHTED", "kernels", "layers", "weight_root"]
