"""Element types in a graph that nobody ran type inference on."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from ..values import input_at, integer, is_op

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)
_NUMBERS = {int(kind) for kind in ir.DataType}


def node_type(node: ir.Node, known: Mapping[ir.Value, ir.DataType]) -> ir.DataType | None:
    """The type of a node's outputs; None where it takes more than a look at its inputs."""
    if is_op(node, "QuantizeLinear"):
        return code_type(node, known)
    if is_op(node, "DequantizeLinear"):
        return _named(node, "output_dtype") or _type(input_at(node, 1), known)
    if is_op(node, "Constant"):
        stored = node.attributes.get("value")
        return None if stored is None else stored.as_tensor().dtype
    if is_op(node, "Cast"):
        return _named(node, "to")
    if is_op(node, "Shape", "Size", "ArgMax", "ArgMin", "NonZero"):
        return ir.DataType.INT64
    given = _type(input_at(node, 0), known)
    return given if given in FLOATS and (node.domain in ("", "ai.onnx")) else None


def code_type(node: ir.Node, known: Mapping[ir.Value, ir.DataType]) -> ir.DataType | None:
    """The type of the codes that a Q writes or a DQ reads; ONNX's own default is uint8."""
    if (kind := _type(input_at(node, 2), known)) is not None:
        return kind
    if is_op(node, "DequantizeLinear"):
        return _type(input_at(node, 0), known)
    if input_at(node, 2) is not None:
        return None
    return _named(node, "output_dtype") or ir.DataType.UINT8


def _named(node: ir.Node, name: str) -> ir.DataType | None:
    number = integer(node, name, 0)
    return ir.DataType(number) if number in _NUMBERS and number else None


def _type(value: ir.Value | None, known: Mapping[ir.Value, ir.DataType]) -> ir.DataType | None:
    if value is None:
        return None
    if value.const_value is not None:
        return value.const_value.dtype
    return value.dtype or known.get(value)


__all__ = ["FLOATS", "code_type", "node_type"]
