"""What each weighted layer became in the graph that ONNX Runtime really runs."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import onnx
import onnx_ir as ir

from ...export.graph.two_four import Sparsity, check
from ...export.graph.values import constant, is_op
from ..records import LayerEvidence, Precision
from .session import open_session

_DENSE = "ONNX Runtime's CPU kernels are dense: they multiply the zeros too"
_INTEGER = {
    "ConvInteger", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat", "QGemm", "QLinearConv",
    "QLinearMatMul",
}
_PASSED_THROUGH = {"Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Reshape", "Squeeze", "Transpose"}


def inspect_layers(model: ir.Model, path: Path, threads: int | None) -> list[LayerEvidence]:
    """What is known of every layer with a constant weight: its zeros, read off the codes, and what runs it.

    Args:
        model: the engine's graph.
        path: the engine's file, which holds that graph.
        threads: as the engine will use.

    Raises:
        UserError: ONNX Runtime refuses the engine.
    """
    nodes = {str(node.name): node for node in model.graph}
    found = [layer for layer in check(model) if layer.name in nodes]
    ran = kernels(path, {layer.name: _root(nodes[layer.name]) for layer in found}, threads)
    return [_evidence(layer, ran[layer.name]) for layer in found]


def _evidence(layer: Sparsity, kernel: str | None) -> LayerEvidence:
    return LayerEvidence(
        name=layer.name, op=layer.op, shape=list(layer.shape), two_four=layer.two_four, zeros=layer.zeros,
        precision=_precision(layer, kernel), kernel=kernel, ran_sparse="no", eligible="no",
        reason=f"{layer.reason}; {_DENSE}",
    )


def _precision(layer: Sparsity, kernel: str | None) -> Precision:
    if not layer.quantized:
        return "float"
    if kernel is None:
        return "unknown"
    return "int8" if kernel in _INTEGER else "float"


def _root(node: ir.Node) -> str:
    """The name of the constant that a layer's weight is computed from."""
    for value in (node.inputs[1], node.inputs[0]):
        while value is not None and constant(value) is None:
            producer = value.producer()
            value = producer.inputs[0] if is_op(producer, *_PASSED_THROUGH) and producer is not None else None
        if value is not None:
            return str(value.name)
    return ""


def kernels(path: Path, roots: Mapping[str, str], threads: int | None) -> dict[str, str | None]:
    """Load the engine at `path` and read from ONNX Runtime's optimized graph what runs each layer.

    Args:
        path: the engine's file.
        roots: name of the layer to name of the constant that holds its weight.
        threads: as the engine will use.

    Returns:
        The operator by the layer's name; None if it wasn't found: float weights are stored anew under another name.

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
    return {layer: _user(root, users) or by_name.get(layer) for layer, root in roots.items()}


def _user(root: str, users: Mapping[str, list[onnx.NodeProto]]) -> str | None:
    pending = list(users.get(root, []))
    while pending:
        node = pending.pop(0)
        if node.op_type not in _PASSED_THROUGH:
            return node.op_type
        pending.extend(user for output in node.output for user in users.get(output, []))
    return None


__all__ = ["inspect_layers", "kernels"]
