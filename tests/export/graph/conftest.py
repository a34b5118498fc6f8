from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper

Array = np.ndarray[Any, Any]


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Sequence[int | str]],
    initializers: dict[str, Array],
    outputs: Sequence[str] = ("y",),
    opset: int = 21,
) -> ir.Model:
    """A checked model with float inputs."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in initializers.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    proto = onnx.shape_inference.infer_shapes(proto, strict_mode=True)
    onnx.checker.check_model(proto)
    return ir.from_proto(proto)


def answer(model: ir.Model, **inputs: Array) -> Array:
    """The first output by ONNX Runtime, with its own optimizations off."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    ir.external_data.load_to_model(model)
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    session = ort.InferenceSession(proto.SerializeToString(), options)
    return session.run(None, inputs)[0]


def pair(
    name: str, source: str, scale: Array, axis: int | None = None
) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """Q and DQ of `source` into `name`, as the exporter writes them."""
    extra = {} if axis is None else {"axis": axis}
    scales = [f"{name}/scale", f"{name}/zero_point"]
    nodes = [
        helper.make_node("QuantizeLinear", [source, *scales], [f"{name}/codes"], f"{name}/QuantizeLinear", **extra),
        helper.make_node("DequantizeLinear", [f"{name}/codes", *scales], [name], f"{name}/DequantizeLinear", **extra),
    ]
    return nodes, {scales[0]: scale, scales[1]: np.zeros(scale.shape, np.int8)}


def scales(weight: Array, axis: int) -> Array:
    """amax / 127 per channel."""
    others = tuple(index for index in range(weight.ndim) if index != axis)
    return (np.abs(weight).max(axis=others) / 127).astype(np.float32)


@pytest.fixture
def graphs() -> Any:
    """The helpers of this file, as one object."""
    return type("Graphs", (), {"build": staticmethod(build), "answer": staticmethod(answer), "pair": staticmethod(pair),
                               "scales": staticmethod(scales)})


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def conv_net(rng: np.random.Generator) -> Callable[..., ir.Model]:
    """x -> Q/DQ -> Conv (quantized weight) -> BatchNormalization -> Relu -> y, with gammas given."""

    def make(gamma: Array, *, per_tensor: bool = False, bias: bool = False, quantized: bool = True) -> ir.Model:
        channels = len(gamma)
        weight = rng.normal(size=(channels, 8, 3, 3)).astype(np.float32)
        scale = scales(weight, 0).max().reshape(()) if per_tensor else scales(weight, 0)
        initializers: dict[str, Array] = {
            "conv.weight": weight,
            "gamma": gamma.astype(np.float32),
            "mean": rng.normal(size=channels).astype(np.float32),
            "beta": rng.normal(size=channels).astype(np.float32),
            "var": rng.uniform(0.5, 2, channels).astype(np.float32),
        }
        nodes: list[onnx.NodeProto] = []
        operands = ["x", "conv.weight"]
        if quantized:
            for name, source, step, axis in (
                ("conv.input_quantizer", "x", np.array(0.02, np.float32), None),
                ("conv.weight_quantizer", "conv.weight", scale, None if per_tensor else 0),
            ):
                more, constants = pair(name, source, step, axis)
                nodes += more
                initializers |= constants
            operands = ["conv.input_quantizer", "conv.weight_quantizer"]
        if bias:
            operands.append("conv.bias")
            initializers["conv.bias"] = rng.normal(size=channels).astype(np.float32)
        nodes += [
            helper.make_node("Conv", operands, ["c"], "node_1", pads=[1, 1, 1, 1]),
            helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["b"], "node_2"),
            helper.make_node("Relu", ["b"], ["y"], "node_3"),
        ]
        return build(nodes, {"x": ["batch", 8, 6, 6]}, initializers)

    return make
