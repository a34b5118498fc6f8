"""Small random graphs: whatever they hold, the typed one is valid, keeps every rule, and answers as the master."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from twofour.common.agreement import snr_db
from twofour.export.graph.int8_weights import weight_codes
from twofour.export.graph.passes import count
from twofour.export.graph.precision import type_rest
from twofour.export.graph.two_four import check
from twofour.export.graph.values import is_op

WIDTH = 8
ONE = ("Relu", "Sigmoid", "Tanh", "Gelu", "Softmax", "LayerNormalization", "ReduceMean", "Reshape", "Transpose")
STEPS = (*ONE, "Add", "Mul", "Concat", "scale up and down", "layer", "layer, tiny scale", "quantized Add")


class Writer:
    """Adds steps, each on tensors of (n, 8) that are there already."""

    def __init__(self, graphs: Any, seed: int) -> None:
        self.graphs, self.rng, self.nodes, self.constants = graphs, np.random.default_rng(seed), [], {}
        self.tensors = ["x"]

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], f"n{len(self.nodes)}", **attributes))
        return name

    def constant(self, array: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def normal(self, *shape: int) -> str:
        return self.constant(self.rng.normal(size=shape).astype(np.float32))

    def quantized(self, source: str, scale: Any, axis: int | None = None) -> str:
        nodes, constants = self.graphs.pair(f"q{len(self.nodes)}", source, np.asarray(scale, np.float32), axis)
        self.nodes += nodes
        self.constants |= constants
        return nodes[1].output[0]

    def layer(self, source: str, factor: float = 1.0) -> str:
        weight = (self.rng.normal(size=(WIDTH, WIDTH)) * factor).astype(np.float32)
        weight[::4] = weight[1::4] = 0
        weight = self.quantized(self.constant(weight), self.graphs.scales(weight, 1), 1)
        product = self.node("MatMul", self.quantized(source, 0.03), weight)
        return self.node("Add", product, self.normal(WIDTH)) if self.rng.random() < 0.5 else product

    def step(self, kind: str, a: str, b: str) -> None:
        self.tensors.append(self._step(kind, a, b))

    def _step(self, kind: str, a: str, b: str) -> str:
        parts = {
            "Add": lambda: self.node(kind, a, b), "Mul": lambda: self.node(kind, a, b),
            "Concat": lambda: self.node("MatMul", self.node(kind, a, b, axis=1), self.normal(2 * WIDTH, WIDTH)),
            "scale up and down": lambda: self.times(self.times(a, 1e5), 1e-5),
            "layer": lambda: self.layer(a, 0.4), "layer, tiny scale": lambda: self.layer(a, 1e-3),
            "quantized Add": lambda: self.node("Add", self.quantized(a, 0.02), self.quantized(b, 0.05)),
            "LayerNormalization": lambda: self.node(kind, a, self.normal(WIDTH)),
            "Reshape": lambda: self.reshape(self.reshape(a, [-1, 2, 4]), [-1, WIDTH]),
            "Transpose": lambda: self.node(kind, self.node(kind, a, perm=[1, 0]), perm=[1, 0]),
            "ReduceMean": lambda: self.node("Add", a, self.node(kind, a, self.constant(np.array([1])), keepdims=1)),
        }
        return parts.get(kind, lambda: self.node(kind, a))()

    def times(self, source: str, factor: float) -> str:
        return self.node("Mul", source, self.constant(np.float32(factor)))

    def reshape(self, source: str, shape: list[int]) -> str:
        return self.node("Reshape", source, self.constant(np.array(shape)))

    def model(self) -> ir.Model:
        self.nodes.append(helper.make_node("Identity", [self.tensors[-1]], ["y"], "last"))
        return self.graphs.build(self.nodes, {"x": ["n", WIDTH]}, self.constants)


def measured(model: ir.Model, x: Any) -> dict[str, float]:
    proto = ir.to_proto(model)
    names = [name for node in proto.graph.node if node.op_type != "QuantizeLinear" for name in node.output]
    del proto.graph.output[:]
    proto.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    answers = ort.InferenceSession(proto.SerializeToString()).run(names, {"x": x})
    return {name: float(np.abs(value).max()) for name, value in zip(names, answers, strict=True)}


def codes(model: ir.Model) -> list[Any]:
    quantizers = [node for node in model.graph if is_op(node, "QuantizeLinear")]
    return [found for node in quantizers if (found := weight_codes(node)) is not None]


@pytest.mark.parametrize(
    ("rest", "scales", "least"), [("fp16", "auto", 25), ("fp16", "fp32", 25), ("bf16", "auto", 15)]
)
def test_random_graphs(graphs: Any, rest: Any, scales: Any, least: float) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        writer = Writer(graphs, data.draw(st.integers(0, 99)))
        for kind in data.draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=8)):
            writer.step(kind, *(data.draw(st.sampled_from(writer.tensors[-3:])) for _ in range(2)))
        model = writer.model()
        x = np.random.default_rng(1).normal(size=(32, WIDTH)).astype(np.float32)
        expected, largest = graphs.answer(model, x=x), measured(model, x)
        before = codes(model), count(model), check(model), [node.name for node in model.graph]
        typing = type_rest(model, rest, largest, scales)
        assert typing.casts == sum(is_op(node, "Cast") for node in model.graph)
        for old, new in zip(before[0], codes(model), strict=True):
            np.testing.assert_array_equal(old, new)
        assert before[1:3] == (count(model), list(check(model)))
        assert before[3] == [node.name for node in model.graph if not is_op(node, "Cast")]
        answer = graphs.typed_answer(model, x=x)
        assert np.isfinite(answer).all()
        ratio = snr_db(expected, answer)
        assert ratio is None or ratio > least

    holds()
