"""The integer codes of Q and DQ: their type, and a zero point that must be zero."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from ..naming import WEIGHTED
from ..values import constant, input_at, is_op
from .context import Context
from .finding import Finding, Rule
from .types import code_type

_SYMMETRIC = "TensorRT quantizes symmetrically: real zero is code 0."
_RETRY = ("Quantize again with signed symmetric ranges (ONNX Runtime: `activation_type=QuantType.QInt8`, "
          "`extra_options={'ActivationSymmetric': True, 'WeightSymmetric': True}`).")

ASYMMETRIC = Rule("QDQ001", "error", "signed codes with a zero point that is not 0",
                  f"{_SYMMETRIC} The parser refuses any other zero point.", _RETRY)
UNSIGNED = Rule(
    "QDQ002", "error", "unsigned codes (uint8)",
    f"{_SYMMETRIC} The parser refuses uint8 codes, or reads them as int8, which cuts off everything above code 127.",
    _RETRY,
)
NO_ZERO_POINT = Rule(
    "QDQ003", "warning", "a QuantizeLinear without zero point and output type",
    "ONNX says uint8, TensorRT takes int8: the two compute different things with the same file.",
    "Give it a zero point: an int8 constant of zeros.",
)
COMPUTED_ZERO_POINT = Rule(
    "QDQ004", "error", "a zero point that is computed at run time",
    f"{_SYMMETRIC} The zero point must be a constant of zeros for the parser to see that.",
    "Quantize statically, with calibrated ranges and an int8 zero point of 0.",
)
UNKNOWN_CODES = Rule(
    "QDQ005", "error", "codes of a type that TensorRT doesn't dequantize",
    "TensorRT dequantizes INT8, FP8 (E4M3), INT4 and FP4 (E2M1) only.",
    "Quantize to INT8.",
)
INTEGER_BIAS = Rule(
    "QDQ006", "error", "a bias stored as int32 codes",
    "TensorRT has no int32 codes: it wants biases in float, and adds them before it quantizes.",
    "Keep biases in float (ONNX Runtime: `extra_options={'QuantizeBias': False}`).",
)
INT4 = Rule(
    "QDQ007", "note", "INT4 codes of a weight",
    "TensorRT takes INT4 for weights of matrix products only, which then compute in float: no integer kernel, and no "
    "sparse one, is chosen for them.",
    "Use INT8 where speed is wanted and memory is not short.",
)
INT4_WRONG = Rule(
    "QDQ008", "error", "INT4 codes where TensorRT can't have them",
    "INT4 is for the weights of matrix products, with an even number of codes in the last axis.",
    "Use INT8 here.",
)
FP8 = Rule(
    "QDQ009", "note", "FP8 or FP4 codes",
    "FP8 kernels need compute capability 8.9 (Ada, Hopper) or newer, FP4 kernels 10.0; whether they use 2:4 weights is "
    "not known.",
    "Use INT8 for older GPUs, and where 2:4 is to pay.",
)
RULES = (ASYMMETRIC, UNSIGNED, NO_ZERO_POINT, COMPUTED_ZERO_POINT, UNKNOWN_CODES, INTEGER_BIAS, INT4, INT4_WRONG, FP8)

_SMALL = (ir.DataType.INT4,)
_FLOAT = (ir.DataType.FLOAT8E4M3FN, ir.DataType.FLOAT4E2M1)


def codes(node: ir.Node, context: Context) -> Iterator[Finding]:
    """The codes of one Q or DQ."""
    if not is_op(node, "QuantizeLinear", "DequantizeLinear"):
        return
    kind = code_type(node, context.types)
    if kind == ir.DataType.UINT8:
        yield _unsigned(node)
    else:
        yield from _type(node, kind, context)
        yield from _zero_point(node, context)


def _type(node: ir.Node, kind: ir.DataType | None, context: Context) -> Iterator[Finding]:
    if kind in (None, ir.DataType.INT8):
        return
    assert kind is not None
    if kind == ir.DataType.INT32 and is_op(node, "DequantizeLinear"):
        yield INTEGER_BIAS.at(node, f"its codes are int32{_of_bias(node)}")
    elif kind in _SMALL:
        yield _int4(node, context)
    elif kind in _FLOAT:
        yield FP8.at(node, f"its codes are {kind.name.lower()}")
    else:
        yield UNKNOWN_CODES.at(node, f"its codes are {kind.name.lower()}")


def _unsigned(node: ir.Node) -> Finding:
    if is_op(node, "QuantizeLinear") and input_at(node, 2) is None:
        return NO_ZERO_POINT.at(node, "it has no zero point and no output type")
    zero = constant(input_at(node, 2))
    if zero is not None and np.all(zero == 128):
        return UNSIGNED.at(node, "its codes are uint8 around 128",
                           "The same as int8 around 0: take 128 from the stored codes and the zero points.")
    shown = "" if zero is None or not np.any(zero) else f" with zero point {_few(zero)}"
    return UNSIGNED.at(node, f"its codes are uint8{shown}")


def _zero_point(node: ir.Node, context: Context) -> Iterator[Finding]:
    value = input_at(node, 2)
    if value is None:
        return
    zero = constant(value)
    if zero is None and context.is_derived(value):
        yield COMPUTED_ZERO_POINT.at(node, "its zero point is computed at run time")
    elif zero is not None and np.any(zero.astype(np.float32)):
        yield ASYMMETRIC.at(node, f"its zero point is {_few(zero)}, not 0")


def _int4(node: ir.Node, context: Context) -> Finding:
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    last = shape[-1] if shape is not None and len(shape) else None
    if not context.is_still(node.inputs[0]):
        return INT4_WRONG.at(node, "it quantizes an activation to INT4")
    if isinstance(last, int) and last % 2:
        return INT4_WRONG.at(node, f"its last axis holds {last} INT4 codes, an odd number")
    readers = [use.node.op_type for value in node.outputs for use in value.uses()]
    if any(reader in ("Conv", "ConvTranspose") for reader in readers):
        return INT4_WRONG.at(node, "a convolution reads INT4 weights")
    return INT4.at(node, "its codes are INT4")


def _of_bias(node: ir.Node) -> str:
    readers = [use.node for use in node.outputs[0].uses() if use.idx == 2 and is_op(use.node, *WEIGHTED)]
    return f", the bias of {readers[0].name or readers[0].op_type}" if readers else ""


def _few(zero: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    values = sorted({int(value) for value in np.nan_to_num(zero.reshape(-1)[:1000].astype(np.float64))})
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


__all__ = ["RULES", "codes"]
