"""Which inputs and outputs of a node may change from FP32 to another float type, by ONNX's own type constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from .floats import Float
from .values import is_op

_WORDS = {ir.DataType.FLOAT16: "tensor(float16)", ir.DataType.BFLOAT16: "tensor(bfloat16)"}
_CASTS = {ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE}
_FROM_INPUT = {  # their output has the type of an input that they don't compute with, or an attribute's
    "Bernoulli", "CastLike", "EyeLike", "RandomNormalLike", "RandomUniformLike",
}


@dataclass(frozen=True)
class Signature:
    """What changes its type if the node computes in another one.

    Attributes:
        inputs: per input of the node, whether it changes.
        outputs: per output of the node.
        reason: why nothing may change, or None where it may.
    """

    inputs: tuple[bool, ...]
    outputs: tuple[bool, ...]
    reason: str | None = None

    @property
    def changes(self) -> bool:
        """Whether any input or output would change."""
        return any(self.inputs) or any(self.outputs)


def signature(node: ir.Node, opsets: Mapping[str, int], to: Float) -> Signature:
    """The signature of a node whose FP32 values are typed."""
    if not _touches_floats(node):
        return _fixed(node)
    schema = _schema(node, opsets)
    if schema is None:
        return _fixed(node, f"{node.domain or 'ai.onnx'}::{node.op_type} is not one of ONNX's own operators, so what "
                            f"types it takes is not known")
    if reason := _whole(node):
        return _fixed(node, reason)
    if is_op(node, "Cast"):
        return _cast(node)
    return _by_schema(node, schema, to)


def is_float(value: ir.Value | None) -> bool:
    """Whether a value is a tensor of FP32."""
    return value is not None and isinstance(value.type, ir.TensorType) and value.dtype == ir.DataType.FLOAT


def has_graphs(node: ir.Node) -> bool:
    """Whether graphs lie inside the node: If, Loop, Scan."""
    kinds = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    return any(attribute.type in kinds for attribute in node.attributes.values())


def _touches_floats(node: ir.Node) -> bool:
    values = (*node.inputs, *node.outputs)
    unknown = any(value is not None and value.type is None for value in values)
    return unknown or has_graphs(node) or any(is_float(value) for value in values)


def _whole(node: ir.Node) -> str | None:
    if has_graphs(node):
        return f"the graphs inside an {node.op_type} are left as they are"
    if node.op_type in _FROM_INPUT:
        return f"the type of what {node.op_type} makes follows from an input or an attribute"
    strange = [value for value in node.inputs if value is not None and not isinstance(value.type, ir.TensorType)]
    return f"its input {strange[0].name!r} is no tensor of a known type" if strange else None


def _schema(node: ir.Node, opsets: Mapping[str, int]) -> onnx.defs.OpSchema | None:
    domain = "" if node.domain == "ai.onnx" else node.domain
    try:
        return onnx.defs.get_schema(node.op_type, opsets.get(domain, 1), domain)
    except onnx.defs.SchemaError:
        return None


def _fixed(node: ir.Node, reason: str | None = None) -> Signature:
    return Signature((False,) * len(node.inputs), (False,) * len(node.outputs), reason)


def _cast(node: ir.Node) -> Signature:
    """Integers go straight to the other type and back; a Cast between two float types stays what it is."""
    source = node.inputs[0]
    between = source is not None and source.dtype in _CASTS and ir.DataType(node.attributes["to"].as_int()) in _CASTS
    return _fixed(node) if between else Signature(_floats(node.inputs), _floats(node.outputs))


def _floats(values: Sequence[ir.Value | None]) -> tuple[bool, ...]:
    return tuple(is_float(value) for value in values)


def _by_schema(node: ir.Node, schema: onnx.defs.OpSchema, to: Float) -> Signature:
    allowed = {item.type_param_str: item.allowed_type_strs for item in schema.type_constraints}
    inputs = [_formal(schema.inputs, index) for index in range(len(node.inputs))]
    floats = _floats(node.inputs)
    moved = {kind for kind, yes in zip(inputs, floats, strict=True) if yes and kind in allowed}
    if any(_WORDS[to.dtype] not in allowed[kind] for kind in moved):
        return _fixed(node, f"ONNX has no {node.op_type} in {to.title} in the version that this opset has")
    if is_op(node, "DequantizeLinear"):
        moved.add(_formal(schema.outputs, 0))  # from opset 23 on a type of its own, which follows the scale's
    outputs = [_formal(schema.outputs, index) in moved for index in range(len(node.outputs))]
    return Signature(
        tuple(yes and kind in moved for kind, yes in zip(inputs, floats, strict=True)),
        tuple(yes and follows for yes, follows in zip(_floats(node.outputs), outputs, strict=True)),
    )


def _formal(parameters: object, index: int) -> str:
    """The type of the formal parameter at `index`; the last one stands for all that follow."""
    formal = list(parameters)  # type: ignore[call-overload]
    return str(formal[min(index, len(formal) - 1)].type_str)


__all__ = ["Signature", "has_graphs", "is_float", "signature"]
