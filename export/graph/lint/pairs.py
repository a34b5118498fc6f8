"""Q and DQ belong together."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from ..values import input_at, is_op
from .context import Context
from .finding import Finding, Rule

_CARRIERS = ("Clip", "Flatten", "Identity", "Max", "MaxPool", "Min", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_FAR = 64  # operators that a code may pass through before this stops looking

NO_DEQUANTIZE = Rule(
    "QDQ021", "warning", "a QuantizeLinear whose codes no DequantizeLinear reads",
    "TensorRT fuses pairs; codes that go elsewhere are an output or an integer operation of their own.",
    "Put a DequantizeLinear with the same scale behind it, or leave it out.",
)
NO_QUANTIZE = Rule(
    "QDQ022", "warning", "a DequantizeLinear of codes that no QuantizeLinear and no constant gives",
    "TensorRT fuses pairs; codes that come from elsewhere keep the layer in front of them in float.",
    "Let a QuantizeLinear with the same scale make the codes, or store them.",
)
RULES = (NO_DEQUANTIZE, NO_QUANTIZE)


def pairs(node: ir.Node, context: Context) -> Iterator[Finding]:
    """Whether a Q is read by a DQ, and a DQ reads a Q or a constant."""
    if is_op(node, "QuantizeLinear"):
        readers = _readers(node.outputs[0])
        if not any(is_op(reader, "DequantizeLinear") for reader in readers):
            names = ", ".join(sorted({reader.op_type for reader in readers})) or "nothing"
            yield NO_DEQUANTIZE.at(node, f"no DequantizeLinear reads its codes, but {names}")
    elif is_op(node, "DequantizeLinear") and not context.is_still(node.inputs[0]):
        maker = _maker(input_at(node, 0))
        if not is_op(maker, "QuantizeLinear"):
            source = "an input of the network" if maker is None else maker.op_type
            yield NO_QUANTIZE.at(node, f"its codes come from {source}")


def _readers(codes: ir.Value) -> list[ir.Node]:
    pending, found, seen = [codes], [], {codes}
    while pending and len(seen) < _FAR:
        for reader in pending.pop().consumers():
            if not is_op(reader, *_CARRIERS):
                found.append(reader)
            elif reader.outputs and reader.outputs[0] not in seen:
                seen.add(reader.outputs[0])
                pending.append(reader.outputs[0])
    return found


def _maker(value: ir.Value | None) -> ir.Node | None:
    for _ in range(_FAR):
        node = None if value is None else value.producer()
        if node is None or not is_op(node, *_CARRIERS):
            return node
        value = node.inputs[0]
    return None


__all__ = ["RULES", "pairs"]
