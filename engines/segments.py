"""A network cut at its activation quantizers, so that each piece can be run on recorded inputs.

A boundary is a `QuantizeLinear` -> `DequantizeLinear` pair whose output tensor carries the quantizer's name in PyTorch.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

Array = np.ndarray[Any, Any]
_COMPUTED, _FED = "/computed", "/fed"


@dataclass(frozen=True)
class Boundary:
    """One activation quantizer of a graph.

    Attributes:
        name: the quantizer's name, which is its DQ node's output.
        codes: the Q node's output, integer codes.
        scale: of the tensor, one number.
        zero_point: of the tensor.
        low: least code that its integer type holds.
        high: largest code.
    """

    name: str
    codes: str
    scale: float
    zero_point: int
    low: int
    high: int

    @property
    def fed(self) -> str:
        """In a cut graph: the float input that takes this boundary's value."""
        return self.name + _FED

    @property
    def computed(self) -> str:
        """In a cut graph: the codes that the piece before this boundary computes."""
        return self.codes + _COMPUTED

    def quantize(self, values: Array) -> Array:
        """Codes of float values without the zero point, saturated as the Q node does."""
        codes = np.rint(np.asarray(values, np.float64) / self.scale)
        return np.clip(codes, self.low - self.zero_point, self.high - self.zero_point)


def boundaries(model: onnx.ModelProto, names: Collection[str]) -> list[Boundary]:
    """Those of `names` that the graph has, in its order; with one scale for the whole tensor, stored as a constant."""
    makers = {output: node for node in model.graph.node for output in node.output}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    constants |= {
        node.output[0]: attribute.t
        for node in model.graph.node if node.op_type == "Constant"
        for attribute in node.attribute if attribute.name == "value"
    }
    found = []
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.output[0] in names:
            quantizer = makers.get(node.input[0])
            if quantizer is not None and quantizer.op_type == "QuantizeLinear":
                found += _boundary(node.output[0], quantizer, constants)
    return found


def _boundary(name: str, quantizer: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> list[Boundary]:
    values = [constants.get(constant) for constant in quantizer.input[1:]]
    if len(values) != 2 or values[0] is None or values[1] is None:
        return []
    scale, zero_point = (onnx.numpy_helper.to_array(value) for value in values if value is not None)
    if scale.size != 1 or zero_point.dtype.kind not in "iu":
        return []
    limits = np.iinfo(zero_point.dtype)
    return [Boundary(name, quantizer.output[0], float(scale.item()), int(zero_point.item()), limits.min, limits.max)]


def with_codes(model: onnx.ModelProto, cuts: list[Boundary]) -> onnx.ModelProto:
    """The whole graph, with the codes at every boundary as further outputs."""
    result = _copy(model)
    result.graph.output.extend(onnx.ValueInfoProto(name=cut.codes) for cut in cuts)
    return result


def cut(model: onnx.ModelProto, cuts: list[Boundary]) -> onnx.ModelProto:
    """All pieces between boundaries side by side in one graph, none fed by another.

    Each boundary's Q node is doubled: one still ends the piece before it, with its codes as an output (`computed`); the
    other takes a float input (`fed`) and begins the piece behind it, its codes and DQ named as before.
    """
    result = _copy(model)
    of = {boundary.codes: boundary for boundary in cuts}
    nodes: list[onnx.NodeProto] = []
    for node in result.graph.node:
        if node.op_type == "QuantizeLinear" and (boundary := of.get(node.output[0])) is not None:
            nodes.append(_begin(node, boundary))
            node.output[0] = boundary.computed
        nodes.append(node)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    result.graph.input.extend(onnx.helper.make_tensor_value_info(b.fed, onnx.TensorProto.FLOAT, None) for b in cuts)
    result.graph.output.extend(onnx.ValueInfoProto(name=boundary.computed) for boundary in cuts)
    return result


def _begin(node: onnx.NodeProto, boundary: Boundary) -> onnx.NodeProto:
    begin = onnx.NodeProto()
    begin.CopyFrom(node)
    begin.input[0] = boundary.fed
    begin.name = node.name + _FED
    return begin


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    return result


__all__ = ["Boundary", "boundaries", "cut", "with_codes"]
