"""Ways to be quantized that have no Q/DQ pairs of 8-bit integers with constant scales: each refused by its name."""

from __future__ import annotations

import onnx_ir as ir

from ...common.errors import UserError
from ..graph.values import all_nodes, is_op
from .nodes import DEQUANTIZE, QUANTIZE, label, listed

_DYNAMIC = {"DynamicQuantizeLSTM", "DynamicQuantizeLinear", "DynamicQuantizeMatMul"}
_OPERATORS = {"ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "QAttention", "QEmbedLayerNormalization", "QGemm"}
_NARROW = {"GatherBlockQuantized", "MatMulBnb4", "MatMulNBits"}
_FLOATS = {"TRT_FP4DynamicQuantize", "TRT_FP8DequantizeLinear", "TRT_FP8QuantizeLinear", "TRT_MXFP8DynamicQuantize"}
_STATIC = "onnxruntime.quantization.quantize_static with quant_format=QuantFormat.QDQ and symmetric int8"


def refuse_formats(model: ir.Model, where: str) -> None:
    """Raise for what can't be a start at all.

    Raises:
        UserError: dynamic quantization, integer operators (QOperator format), FP8 or weights of 4 bits as operators of
            their own, or no Q/DQ at all; the nodes are named.
    """
    nodes = list(all_nodes(model))
    _refuse(nodes, _DYNAMIC, "is quantized dynamically: its scales are computed at run time", where,
            f"Quantize it with calibration: {_STATIC}.")
    operators = {node.op_type for node in nodes if node.op_type.startswith("QLinear")} | _OPERATORS
    _refuse(nodes, operators, "is in QOperator format (integer operators, not Q/DQ pairs)", where,
            f"Quantize it again in Q/DQ format: {_STATIC}.")
    _refuse(nodes, _NARROW, "has weights of fewer than 8 bits", where, "Quantize it again to INT8.")
    _refuse(nodes, _FLOATS, "is quantized to FP8 or FP4", where, "Quantize it again to INT8.")
    if not any(is_op(node, QUANTIZE, DEQUANTIZE) for node in nodes):
        raise UserError(
            "This ONNX file is not quantized: it has no QuantizeLinear and no DequantizeLinear.", where=where,
            fix=f"Quantize it first ({_STATIC}), or start from the PyTorch model, which twofour prunes and calibrates.",
        )


def _refuse(nodes: list[ir.Node], op_types: set[str], what: str, where: str, fix: str) -> None:
    found = [f"{label(node)} ({node.op_type})" for node in nodes if node.op_type in op_types]
    if found:
        raise UserError(f"This network {what}: {listed(found)}.", where=where, fix=fix)


__all__ = ["refuse_formats"]
