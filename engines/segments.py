"""A network cut at its activation quantizers, so that each piece can be run on recorded inputs.

A boundary is a `QuantizeLinear` -> `DequantizeLinear` pair whose output tensor carries the quantizer's name in PyTorch.
An engine may have limited the codes on the way (Clip) and may let several DQ nodes read one Q.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

Array = np.ndarray[Any, Any]
_COMPUTED, _FED = "/computed", "/fed"
_LIMITS = ("Clip", "Identity", "Max", "Min")


@dataclass(frozen=True)
class Boundary:
    """One activation quantizer of a graph.

    Attributes:
        name: the quantizer's name, which is its DQ node's output.
        codes: the integer tensor that its DQ node reads.
        steps: outputs of the nodes from Q to `codes`, Q's first.
        scale: of the tensor, one number.
        zero_point: of the tensor.
    """

    name: str
    codes: str
    steps: tuple[str, ...]
    scale: float
    zero_point: int

    @property
    def fed(self) -> str:
        """In a cut graph: the float input that takes this boundary's value."""
        return self.steps[0] + _FED

    @property
    def computed(self) -> str:
        """In a cut graph: the codes that the piece before this boundary computes."""
        return self.codes + _COMPUTED

    def steps_of(self, values: Array) -> Array:
        """Quantized float values as whole steps of the scale, in float64: their codes less the zero point."""
        return np.rint(np.asarray(values, np.float64) / self.scale)


def boundaries(model: onnx.ModelProto, names: Collection[str]) -> list[Boundary]:
    """Those of `names` that the graph has, in its order; with one scale for the whole tensor, stored as a constant."""
    makers = {output: node for node in model.graph.node for output in node.output}
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found = []
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.output[0] in names:
            found += _boundary(node, makers, constants)
    return found


def _boundary(
    node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto], constants: Mapping[str, Array]
) -> list[Boundary]:
    steps = [node.input[0]]
    while (maker := makers.get(steps[0])) is not None and maker.op_type in _LIMITS:
        steps.insert(0, maker.input[0])
    parameters = [constants.get(name) for name in node.input[1:3]]
    if maker is None or maker.op_type != "QuantizeLinear" or len(parameters) != 2:
        return []
    scale, zero_point = parameters
    if scale is None or zero_point is None or scale.size != 1:
        return []
    return [Boundary(node.output[0], node.input[0], tuple(steps), float(scale.item()), int(zero_point.item()))]


def with_codes(model: onnx.ModelProto, cuts: list[Boundary]) -> onnx.ModelProto:
    """The whole graph, with the codes at every boundary as further outputs."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    _add_outputs(result, [boundary.codes for boundary in cuts])
    return result


def cut(model: onnx.ModelProto, cuts: list[Boundary]) -> onnx.ModelProto:
    """All pieces between boundaries side by side in one graph, none fed by another.

    The nodes from Q to the codes of each boundary are doubled: one set still ends the piece before it, with its codes
    as an output (`computed`); the other takes a float input (`fed`) and begins the piece behind, named as before.
    """
    steps = {step for boundary in cuts for step in boundary.steps}
    fed = {boundary.steps[0]: boundary.fed for boundary in cuts}
    result = onnx.ModelProto()
    result.CopyFrom(model)
    nodes: list[onnx.NodeProto] = []
    for node in result.graph.node:
        nodes += [_begin(node, fed), _end(node, steps)] if node.output[0] in steps else [node]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    inputs = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in fed.values()]
    result.graph.input.extend(inputs)
    _add_outputs(result, [boundary.computed for boundary in cuts])
    return result


def _add_outputs(model: onnx.ModelProto, names: list[str]) -> None:
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names))


def _begin(node: onnx.NodeProto, fed: Mapping[str, str]) -> onnx.NodeProto:
    begin = onnx.NodeProto()
    begin.CopyFrom(node)
    begin.name = node.name + _FED
    if node.output[0] in fed:
        begin.input[0] = fed[node.output[0]]
    return begin


def _end(node: onnx.NodeProto, steps: set[str]) -> onnx.NodeProto:
    end = onnx.NodeProto()
    end.CopyFrom(node)
    end.output[0] = node.output[0] + _COMPUTED
    if node.input[0] in steps:
        end.input[0] = node.input[0] + _COMPUTED
    return end


__all__ = ["Boundary", "boundaries", "cut", "with_codes"]
