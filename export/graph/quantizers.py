"""Put a QuantizeLinear/DequantizeLinear pair where an exporter left the marker of a quantizer.

The marker is an operator that no exporter knows (`twofour::Quantizer`, attribute `name`): nothing folds, merges or
drops it, and it carries the quantizer's name through any exporter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...common.errors import TwofourError
from .passes import Pass
from .pieces import pieces
from .values import Array, add_initializer, constant, drop_unused, replace_node, set_initializer

DOMAIN, MARKER = "twofour", "Quantizer"
SMALLEST = 2.0**-24


@dataclass(frozen=True)
class Quantizer:
    """A symmetric INT8 quantizer.

    Attributes:
        amax: largest magnitude that is represented, float32, not negative: a scalar, or one per channel.
        axis: the channels' axis, or None for one range per tensor.
        narrow: codes -127 to 127 instead of -128 to 127. Weights are always narrow.
    """

    amax: Array
    axis: int | None
    narrow: bool


def insert_quantizers(quantizers: Mapping[str, Quantizer]) -> Pass:
    """The pass that replaces every marker.

    Quantizer `NAME` becomes the nodes `NAME/QuantizeLinear` and `NAME/DequantizeLinear`, the values `NAME/codes` and
    `NAME` and the initializers `NAME/scale` and `NAME/zero_point`. Used on a second tensor it is `NAME#1`; a second
    use on the same tensor reads the pair that is there.

    Args:
        quantizers: by the name that their markers carry.
    """

    def insert(model: ir.Model) -> int:
        markers = [node for node in model.graph if node.domain == DOMAIN and node.op_type == MARKER]
        uses: Counter[str] = Counter()
        done: dict[tuple[str, ir.Value | None], ir.Value] = {}
        for marker in markers:
            name = marker.attributes["name"].as_string()
            if name not in quantizers:
                raise TwofourError(f"The graph asks for a quantizer {name!r} that is not known.")
            source = marker.inputs[0]
            if (name, source) in done:
                replace_node(marker, done[name, source])
                continue
            done[name, source] = _expand(marker, quantizers[name], name + (f"#{uses[name]}" if uses[name] else ""))
            uses[name] += 1
        model.graph.opset_imports.pop(DOMAIN, None)
        model.opset_imports.pop(DOMAIN, None)
        return len(markers)

    return Pass("insert_quantizers", insert, "added")


def _expand(marker: ir.Node, quantizer: Quantizer, name: str) -> ir.Value:
    graph, source = marker.graph, marker.inputs[0]
    assert isinstance(graph, ir.Graph)
    assert source is not None
    weight = constant(source)
    if weight is None:
        scale = scale_of(quantizer.amax)
        source = _clip(marker, source, scale, name) if quantizer.narrow else source
    else:
        weight, scale = pin(weight, quantizer)
        source = _store(graph, marker, source, weight)
    pair = _pair(marker, source, scale, quantizer.axis, name)
    replace_node(marker, pair)
    return pair


def scale_of(amax: Array) -> Array:
    """The step between two codes, amax / 127 in float32, always above zero."""
    step: Array = np.maximum(amax, SMALLEST).astype(np.float32) / np.float32(127)
    return step


def pin(weight: Array, quantizer: Quantizer) -> tuple[Array, Array]:
    """Clamp a weight to its range, and make its codes those that PyTorch's fake quantization computes.

    PyTorch rounds `w * (127 / amax)`, ONNX rounds `w / (amax / 127)`: where the two part, the weight moves onto the
    centre of PyTorch's code. A channel whose amax is 0 gets zeros and the middle scale of the other channels.

    Returns:
        The weight (float32, its own shape) and the scale (a scalar, or one per channel).
    """
    amax = quantizer.amax.astype(np.float32)
    alive = amax > SMALLEST
    middle = np.median(amax[alive]) if alive.any() else np.float32(1)
    scale = scale_of(np.where(alive, amax, middle))
    factor = np.where(alive, np.float32(127) / np.where(alive, amax, 1), 0).astype(np.float32)
    limit = np.where(alive, amax, 0).astype(np.float32)
    factors, steps, limits = (np.broadcast_to(along(values, quantizer.axis, weight.ndim), weight.shape)
                              for values in (factor, scale, limit))
    pinned = np.empty(weight.shape, np.float32)
    for piece in pieces(weight.shape):
        part = weight[piece].astype(np.float32)
        codes = np.clip(np.rint(part * factors[piece]), -127, 127)
        pinned[piece] = settle(np.clip(part, -limits[piece], limits[piece]), codes, steps[piece])
    return pinned, scale


def settle(weight: Array, codes: Array, scale: Array) -> Array:
    """`weight`, moved onto `codes * scale` wherever it would not be quantized to `codes`."""
    centres = (codes * scale).astype(np.float32)
    return np.where(np.rint(weight / scale) == codes, weight, centres).astype(np.float32)


def along(values: Array, axis: int | None, ndim: int) -> Array:
    """A scalar as it is; one value per channel shaped to broadcast over an array of `ndim` axes."""
    if axis is None or values.ndim == 0 or values.size == 1:
        return values.reshape(())
    shape = [1] * ndim
    shape[axis] = -1
    return values.reshape(shape)


def _store(graph: ir.Graph, marker: ir.Node, source: ir.Value, weight: Array) -> ir.Value:
    if source.is_initializer() and len(source.uses()) == 1 and not source.is_graph_output():
        set_initializer(source, weight)
        return source
    copy = add_initializer(graph, str(source.name), weight)
    marker.replace_input_with(0, copy)
    drop_unused(graph, [source])
    return copy


def _clip(marker: ir.Node, source: ir.Value, scale: Array, name: str) -> ir.Value:
    graph = marker.graph
    assert isinstance(graph, ir.Graph)
    if scale.size != 1:
        raise TwofourError("An activation's quantizer has ranges per channel; it must have one.", where=name)
    limit = np.float32(127) * scale.reshape(())
    bounds = [add_initializer(graph, f"{name}/{end}", value) for end, value in (("low", -limit), ("high", limit))]
    clip = ir.node("Clip", [source, *bounds], name=f"{name}/Clip")
    clip.outputs[0].name, clip.outputs[0].type, clip.outputs[0].shape = f"{name}/clipped", source.type, source.shape
    graph.insert_before(marker, clip)
    return clip.outputs[0]


def _pair(marker: ir.Node, source: ir.Value, scale: Array, axis: int | None, name: str) -> ir.Value:
    graph = marker.graph
    assert isinstance(graph, ir.Graph)
    per_channel = scale.size > 1 and axis is not None
    scale = scale.reshape(-1) if per_channel else scale.reshape(())
    scales = add_initializer(graph, f"{name}/scale", scale)
    zeros = add_initializer(graph, f"{name}/zero_point", np.zeros(scale.shape, np.int8))
    attributes = {"axis": axis} if per_channel else {}
    quantize = ir.node("QuantizeLinear", [source, scales, zeros], attributes, name=f"{name}/QuantizeLinear")
    codes = quantize.outputs[0]
    codes.name, codes.shape, codes.dtype = f"{name}/codes", source.shape, ir.DataType.INT8
    dequantize = ir.node("DequantizeLinear", [codes, scales, zeros], attributes, name=f"{name}/DequantizeLinear")
    result = dequantize.outputs[0]
    result.name, result.shape, result.dtype = name, source.shape, ir.DataType.FLOAT
    graph.insert_before(marker, [quantize, dequantize])
    return result


__all__ = ["DOMAIN", "MARKER", "SMALLEST", "Quantizer", "along", "insert_quantizers", "pin", "scale_of", "settle"]
