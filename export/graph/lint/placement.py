"""Where Q and DQ stand: what TensorRT would compute in one kernel must not be parted by them."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from ..naming import WEIGHTED
from ..values import input_at, is_op
from .context import Context
from .finding import Finding, Rule, name_of

_ACTIVATIONS = (
    "Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu", "Selu", "Sigmoid",
    "Softplus", "Swish", "Tanh",
)
_BEHIND = ("Add", "BatchNormalization", "Identity", "Mul", "Reshape", "Squeeze", "Transpose", "Unsqueeze")

BEFORE_NORM = Rule(
    "FUSE001", "warning", "Q/DQ between a layer and its BatchNormalization",
    "TensorRT folds the normalization into the layer, but not through a Q/DQ pair: two kernels and a float between.",
    "Take the pair out; quantize behind the normalization and its activation.",
)
BEFORE_ACTIVATION = Rule(
    "FUSE002", "warning", "Q/DQ between a layer and its activation",
    "TensorRT computes the activation in the layer's kernel, but not through a Q/DQ pair.",
    "Take the pair out; quantize the output of the activation.",
)
HALF = Rule(
    "FUSE003", "warning", "a layer of which only one input is quantized",
    "Integer kernels need both: it runs in floating point, and its Q/DQ pair is work for nothing.",
    "Quantize the other input too, or neither.",
)
MAIN_BRANCH = Rule(
    "FUSE004", "warning", "Q/DQ between a layer and the addition of its residual",
    "TensorRT adds in the layer's kernel if the layer's own output comes as it is; the pair parts the two.",
    "Take the pair out of this branch and leave it on the other (the skip) branch.",
)
FLOAT_SKIP = Rule(
    "FUSE005", "warning", "a residual addition whose other input is float",
    "The kernel that adds writes what the other input is: float comes out, and the Q behind it is a kernel of its own.",
    "Quantize the skip branch.",
)
CONCAT_SCALES = Rule(
    "FUSE006", "warning", "a Concat of tensors with different scales",
    "Codes can be put side by side only if they share a scale; otherwise each input is quantized once more.",
    "Let the quantizers in front of a Concat share one range.",
)
CONCAT_FLOAT = Rule(
    "FUSE007", "warning", "a Concat of quantized and float tensors",
    "It runs in floating point, and so does what carries the quantized inputs there.",
    "Quantize all of its inputs with one scale, or none.",
)
RULES = (BEFORE_NORM, BEFORE_ACTIVATION, HALF, MAIN_BRANCH, FLOAT_SKIP, CONCAT_SCALES, CONCAT_FLOAT)


def parted(node: ir.Node, context: Context) -> Iterator[Finding]:
    """Q/DQ pairs between a layer and what belongs into its kernel."""
    if not is_op(node, "BatchNormalization", *_ACTIVATIONS) or not node.inputs or _is_narrow(node):
        return
    layer = _quantized_layer(node.inputs[0], context)
    if layer is not None:
        rule = BEFORE_NORM if is_op(node, "BatchNormalization") else BEFORE_ACTIVATION
        yield rule.at(node, f"a Q/DQ pair parts {name_of(layer)} from this {node.op_type}")


def half_quantized(node: ir.Node, context: Context) -> Iterator[Finding]:
    """Layers that have one integer input and one float."""
    if not is_op(node, *WEIGHTED):
        return
    first, second = (context.dequantizer(input_at(node, index)) is not None for index in (0, 1))
    if first == second:
        return
    sides = ("input", "weight") if context.is_still(input_at(node, 1)) else ("first input", "second input")
    if not context.is_still(input_at(node, 1)) and context.is_still(input_at(node, 0)):
        sides = ("weight", "input")
    quantized, other = sides if first else sides[::-1]
    yield HALF.at(node, f"its {quantized} is quantized but not its {other}: it runs in floating point")


def residual(node: ir.Node, context: Context) -> Iterator[Finding]:
    """Additions of two branches."""
    if not is_op(node, "Add") or len(node.inputs) != 2 or any(context.is_still(value) for value in node.inputs):
        return
    layers = [layer_behind(value, context) for value in node.inputs]
    parted_layers = [_quantized_layer(value, context) for value in node.inputs]
    pairs = [context.dequantizer(value) is not None for value in node.inputs]
    if all(pairs):
        first = next((layer for layer in parted_layers if layer is not None), None)
        if first is not None:
            yield MAIN_BRANCH.at(node, f"both inputs are quantized, also that from {name_of(first)}")
        return
    for index, layer in enumerate(layers):
        other = node.inputs[1 - index]
        if layer is None or pairs[1 - index] or not _computes_codes(layer, context):
            continue
        if _leaves_as_codes(node, context):
            source = context.origin(other)
            by = "an input of the network" if source is None else f"{source.op_type} {name_of(source)!r}"
            yield FLOAT_SKIP.at(node, f"it adds the output of {name_of(layer)} to a float from {by}")
            return


def concat(node: ir.Node, context: Context) -> Iterator[Finding]:
    """The scales of what is put side by side."""
    if not is_op(node, "Concat"):
        return
    moving = [value for value in node.inputs if value is not None and not context.is_still(value)]
    makers = [context.dequantizer(value) for value in moving]
    quantized = [maker for maker in makers if maker is not None]
    if len(quantized) < 1 or len(moving) < 2:
        return
    if len(quantized) < len(moving):
        yield CONCAT_FLOAT.at(node, f"{len(quantized)} of its {len(moving)} inputs are quantized")
        return
    steps = sorted({step for maker in quantized if (step := context.scale_of(maker)) is not None})
    if len(steps) > 1:
        yield CONCAT_SCALES.at(node, f"its {len(moving)} inputs have {len(steps)} different scales, "
                                     f"{steps[0]:.4g} to {steps[-1]:.4g}")


def layer_behind(value: ir.Value | None, context: Context) -> ir.Node | None:
    """The layer that computes `value`, behind what its kernel takes in on the way and nothing else reads."""
    while value is not None and (node := value.producer()) is not None:
        if is_op(node, *WEIGHTED):
            return node
        if len(value.uses()) != 1 or not is_op(node, *_BEHIND):
            return None
        if is_op(node, "Add", "Mul"):
            moving = [given for given in node.inputs if not context.is_still(given)]
            if len(moving) != 1:
                return None
            value = moving[0]
        else:
            value = node.inputs[0]
    return None


def _quantized_layer(value: ir.Value | None, context: Context) -> ir.Node | None:
    """The layer whose output a Q/DQ pair quantizes into `value`."""
    dequantize = context.dequantizer(value)
    quantize = None if dequantize is None else context.origin(dequantize.inputs[0])
    if quantize is None or not is_op(quantize, "QuantizeLinear") or context.is_still(quantize.inputs[0]):
        return None
    return layer_behind(_unclipped(quantize.inputs[0]), context)


def _unclipped(value: ir.Value | None) -> ir.Value | None:
    """The value before what a quantizer of a narrow range cuts off in front of its Q."""
    node = None if value is None else value.producer()
    return node.inputs[0] if node is not None and _is_narrow(node) else value


def _is_narrow(node: ir.Node) -> bool:
    """Whether a Clip is part of a quantizer and no activation; `insert_quantizers` names it so."""
    return is_op(node, "Clip") and str(node.outputs[0].name).endswith("/clipped")


def _computes_codes(layer: ir.Node, context: Context) -> bool:
    return all(context.dequantizer(value) is not None for value in layer.inputs[:2])


def _leaves_as_codes(node: ir.Node, context: Context) -> bool:
    value = node.outputs[0]
    return bool(value.uses()) and context.float_readers[value] is None


__all__ = ["RULES", "concat", "half_quantized", "layer_behind", "parted", "residual"]
