"""What the doubles need to know of an ONNX graph: types, shapes, weights, and which layers fusion would leave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper, shape_inference

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
TYPES = {
    TensorProto.FLOAT: "FLOAT", TensorProto.FLOAT16: "HALF", TensorProto.BFLOAT16: "BF16", TensorProto.INT8: "INT8",
    TensorProto.INT32: "INT32", TensorProto.INT64: "INT64", TensorProto.BOOL: "BOOL", TensorProto.UINT8: "UINT8",
    TensorProto.FLOAT8E4M3FN: "FP8", TensorProto.INT4: "INT4",
}
NUMPY = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "INT8": "int8", "INT32": "int32", "INT64": "int64",
         "BOOL": "bool", "UINT8": "uint8"}


def dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype of a TensorRT type's name; ml_dtypes for bfloat16."""
    if name == "BF16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(NUMPY[name])


@dataclass(frozen=True)
class Tensor:
    """A graph's input or output, or a tensor between: type by TensorRT's name, -1 for dimensions that vary."""

    name: str
    type: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A layer as fusion leaves it: its main ONNX node and those that were fused into it."""

    name: str
    node: onnx.NodeProto
    members: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weight: np.ndarray | None = field(default=None, compare=False)
    int8: bool = False
    int8_out: bool = False


def tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim)
    return Tensor(value.name, TYPES.get(kind.elem_type, "FLOAT"), shape)


class Graph:
    """An ONNX model, looked through."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        inferred = shape_inference.infer_shapes(model).graph
        self.stored = {one.name: one for one in model.graph.initializer}
        self.inputs = [tensor(value) for value in model.graph.input if value.name not in self.stored]
        self.outputs = [tensor(value) for value in inferred.output]
        between = [tensor(value) for value in inferred.value_info]
        self.tensors = {one.name: one for one in (*self.inputs, *between, *self.outputs)}
        self.producer = {name: node for node in model.graph.node for name in node.output}
        self.users: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)

    def constant(self, name: str) -> np.ndarray | None:
        """The weight behind a tensor: stored, or stored and then through Q, DQ, Cast or Transpose; codes stay codes."""
        if name in self.stored:
            return numpy_helper.to_array(self.stored[name])
        node = self.producer.get(name)
        if node is None or node.op_type not in ("QuantizeLinear", "DequantizeLinear", "Cast", "Transpose", "Constant"):
            return None
        if node.op_type == "Constant":
            return numpy_helper.to_array(node.attribute[0].t)
        found = self.constant(node.input[0])
        if found is not None and node.op_type == "Transpose":
            return found.transpose(list(node.attribute[0].ints))
        return found

    def layers(self) -> list[Layer]:
        """One per node that computes; a weighted node takes in the DQ before it and the Relu and Q after it."""
        taken: set[str] = set()
        found = []
        for node in self.model.graph.node:
            if node.op_type in ("DequantizeLinear", "Constant") or node.output[0] in taken or self._of_weight(node):
                continue
            layer = self._fused(node)
            taken |= set(layer.outputs) | {node.output[0]}
            found.append(layer)
        return found

    def _of_weight(self, node: onnx.NodeProto) -> bool:
        return self.constant(node.output[0]) is not None

    def _fused(self, node: onnx.NodeProto) -> Layer:
        members, output = [node], node.output[0]
        if node.op_type in (*WEIGHTED, "Add"):
            followers = ("Relu", "QuantizeLinear")
            for kind in followers if node.op_type == "Add" else ("BatchNormalization", *followers):
                users = self.users.get(output, [])
                if len(users) == 1 and users[0].op_type == kind:
                    members.append(users[0])
                    output = users[0].output[0]
        feeds = [self._before_dq(name) for name in node.input if name and self.constant(name) is None]
        outputs = tuple(dict.fromkeys([*(member.output[0] for member in members[:-1]), output]))
        weight = self._weight(node)
        quantized = [name for name in node.input if self._dq(name)]
        names = tuple(member.name or member.output[0] for member in members)
        return Layer(" + ".join(names), node, names, tuple(feeds), outputs, weight,
                     bool(weight is not None and len(quantized) >= 2), members[-1].op_type == "QuantizeLinear")

    def _dq(self, name: str) -> bool:
        return name in self.producer and self.producer[name].op_type == "DequantizeLinear"

    def _before_dq(self, name: str) -> str:
        return self.producer[name].input[0] if self._dq(name) else name

    def _weight(self, node: onnx.NodeProto) -> np.ndarray | None:
        """As (outputs, inputs per group, ...)."""
        if node.op_type not in WEIGHTED:
            return None
        weight = self.constant(node.input[1])
        if weight is None or node.op_type in ("Conv", "ConvTranspose"):
            return weight
        transposed = any(one.name == "transB" and one.i for one in node.attribute)
        return weight if transposed else np.swapaxes(weight, -1, -2)


def groups(node: onnx.NodeProto) -> int:
    return next((one.i for one in node.attribute if one.name == "group"), 1)


def two_four(weight: np.ndarray) -> bool:
    """At most two of each four in a row along axis 1 are not zero."""
    if weight.ndim < 2 or weight.shape[1] % 4:
        return False
    rows = np.moveaxis(weight != 0, 1, -1)
    return bool((rows.reshape(*rows.shape[:-1], -1, 4).sum(-1) <= 2).all())
