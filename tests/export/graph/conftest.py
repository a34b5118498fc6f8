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
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


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


def violations(proto: onnx.ModelProto) -> list[str]:
    """What a strongly typed network would refuse, or couldn't compute in one kernel, in the main graph."""
    proto = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    graph = proto.graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info, *graph.output)}
    constants = {value.name: value.data_type for value in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    found = [f"{node.name}: {fault}" for node in graph.node for fault in _badly_typed(node, kinds | constants)]
    casts = [node for node in graph.node if node.op_type == "Cast"]
    found += [f"{node.name}: behind a constant" for node in casts if node.input[0] in constants]
    found += [f"{node.name}: between a DQ and its layer" for node in casts
              if node.input[0] in makers and makers[node.input[0]].op_type == "DequantizeLinear"]
    for node in graph.node:
        source = makers.get(node.input[0]) if node.op_type == "QuantizeLinear" else None
        if source is not None and source.op_type == "Cast" and _ends_a_layer(source.input[0], graph, makers):
            found.append(f"{node.name}: a Cast between a layer and its Q")
    return found


def _badly_typed(node: onnx.NodeProto, kinds: dict[str, int]) -> list[str]:
    inputs = [kinds.get(name) for name in node.input]
    floats = {kind for kind in inputs if kind in FLOATS}
    found = []
    if node.op_type == "QuantizeLinear" and inputs[0] != inputs[1]:
        found.append("the scale has another type than the input")
    if node.op_type == "DequantizeLinear" and kinds[node.output[0]] != inputs[1]:
        found.append("the output has another type than the scale")
    if len(floats) > 1 and node.op_type != "Resize":
        found.append(f"inputs of {len(floats)} float types")
    if node.op_type == "Cast" and inputs[0] == node.attribute[0].i:
        found.append("a Cast for nothing")
    return found


def _ends_a_layer(value: str, graph: onnx.GraphProto, makers: dict[str, onnx.NodeProto]) -> bool:
    """Whether a value that nothing else reads comes from a DQ's reader, by elementwise operators or none."""
    readers = sum(list(node.input).count(value) for node in graph.node) + sum(out.name == value for out in graph.output)
    node = makers.get(value)
    if readers != 1 or node is None:
        return False
    if any(name in makers and makers[name].op_type == "DequantizeLinear" for name in node.input):
        return True
    return node.op_type in ("Relu", "Add", "Mul", "Gelu") and any(
        _ends_a_layer(name, graph, makers) for name in node.input
    )


def rounding(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in FP32 with every BF16 value rounded to BF16: ONNX Runtime's CPU has no BF16 kernels."""
    kind, full = onnx.TensorProto.BFLOAT16, onnx.TensorProto.FLOAT
    proto = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    narrow = {value.name for value in proto.graph.value_info if value.type.tensor_type.elem_type == kind}
    for value in [value for value in proto.graph.initializer if value.data_type == kind]:
        value.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(value).astype(np.float32), value.name))
    nodes = []
    for node in proto.graph.node:
        if node.op_type == "Cast" and node.attribute[0].i == kind:
            node.attribute[0].i = full
        nodes.append(node)
        for index, name in enumerate(node.output):
            if name in narrow:
                node.output[index] = f"{name}/raw"
                nodes.append(helper.make_node("Cast", [f"{name}/raw"], [f"{name}/16"], to=kind))
                nodes.append(helper.make_node("Cast", [f"{name}/16"], [name], to=full))
    result = helper.make_model(helper.make_graph(nodes, "rounding", proto.graph.input, proto.graph.output,
                                                 proto.graph.initializer), opset_imports=proto.opset_import)
    result.ir_version = proto.ir_version
    return result


def typed_answer(model: ir.Model, **inputs: Array) -> Array:
    """The first output of a typed model, which is checked in full first."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    assert violations(proto) == []
    return answer(ir.from_proto(rounding(proto)), **inputs)


@pytest.fixture
def graphs() -> Any:
    """The helpers of this file, as one object."""
    return type("Graphs", (), {"build": staticmethod(build), "answer": staticmethod(answer), "pair": staticmethod(pair),
                               "scales": staticmethod(scales), "violations": staticmethod(violations),
                               "typed_answer": staticmethod(typed_answer)})


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
