"""Tiny networks with Q/DQ, as the exporter of this project would write them for TensorRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def prune(weight: np.ndarray) -> np.ndarray:
    """Keep the two largest of each four in a row along axis 1."""
    rows = np.moveaxis(weight, 1, -1)
    fours = rows.reshape(*rows.shape[:-1], -1, 4)
    order = np.abs(fours).argsort(axis=-1).argsort(axis=-1)
    return np.ascontiguousarray(np.moveaxis((fours * (order >= 2)).reshape(rows.shape), -1, 1))


def two_four_network(network: Any, shared: Any) -> Any:
    """The same with its first weight pruned to 2:4, and all activations in INT8."""

    class Signed(shared.Network):
        def onnx(self, quantized: bool = True, dtype: Any = np.int8) -> onnx.ModelProto:
            return super().onnx(quantized, dtype)

    return Signed(prune(network.first), network.second, network.scales)


class _Writer:
    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.stored: list[Any] = []
        self.random = np.random.default_rng(0)

    def store(self, name: str, array: np.ndarray) -> str:
        self.stored.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, name: str | None = None, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name or output, **attributes))
        return output

    def pair(self, name: str, source: str, scale: float = 0.05) -> str:
        rest = [self.store(f"{name}/scale", np.float32(scale)), self.store(f"{name}/zero_point", np.int8(0))]
        codes = self.node("QuantizeLinear", [source, *rest], f"{name}/codes", f"{name}/QuantizeLinear")
        return self.node("DequantizeLinear", [codes, *rest], name, f"{name}/DequantizeLinear")

    def weight(self, layer: str, shape: tuple[int, ...], sparse: bool) -> str:
        values = self.random.standard_normal(shape).astype(np.float32) / np.sqrt(np.prod(shape[1:]))
        values = prune(values) if sparse else values
        scale = np.abs(values).reshape(shape[0], -1).max(axis=1) / np.float32(127)
        codes = np.rint(values / scale.reshape(-1, *[1] * (len(shape) - 1))).astype(np.int8)
        name = f"{layer}.weight_quantizer"
        parts = [self.store(f"{name}/codes", codes), self.store(f"{name}/scale", scale.astype(np.float32)),
                 self.store(f"{name}/zero_point", np.zeros(shape[0], np.int8))]
        return self.node("DequantizeLinear", parts, name, f"{name}/DequantizeLinear", axis=0)

    def conv(self, layer: str, source: str, shape: tuple[int, ...], sparse: bool, group: int = 1) -> str:
        quantized = self.pair(f"{layer}.input_quantizer", source)
        bias = self.store(f"{layer}.bias", self.random.standard_normal(shape[0]).astype(np.float32) / 10)
        inputs = [quantized, self.weight(layer, shape, sparse), bias]
        out = self.node("Conv", inputs, f"{layer}.out", layer, group=group, pads=[shape[2] // 2] * 4,
                        kernel_shape=list(shape[2:]))
        return self.node("Relu", [out], f"{layer}.relu")


def convolutional() -> onnx.ModelProto:
    """x (batch, 3, 8, 8) -> logits (batch, 10); about 20 000 weights.

    `stem` has 3 input channels; `body` is 2:4 and INT8 in and out; `grouped` has 4 groups; `wide` is 2:4 and 1x1, its
    output stays float for the pooling; `head` is a Gemm, 2:4, with float output; `dense` is not 2:4.
    """
    to = _Writer()
    value = to.conv("stem", "x", (16, 3, 3, 3), False)
    value = to.conv("body", value, (32, 16, 3, 3), True)
    value = to.conv("grouped", value, (32, 8, 3, 3), False, group=4)
    value = to.conv("dense", value, (32, 32, 3, 3), False)
    value = to.conv("wide", value, (64, 32, 1, 1), True)
    value = to.node("GlobalAveragePool", [value], "pool")
    value = to.node("Flatten", [value], "flat", axis=1)
    value = to.pair("head.input_quantizer", value)
    bias = to.store("head.bias", np.zeros(10, np.float32))
    to.node("Gemm", [value, to.weight("head", (10, 64), True), bias], "logits", "head", transB=1)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("x", ["batch", 3, 8, 8]), ("logits", ["batch", 10]))]
    graph = helper.make_graph(to.nodes, "convolutional", ends[:1], ends[1:], to.stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    onnx.checker.check_model(model, full_check=True)
    return model
