from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from twofour.export.graph.int8_weights import store_int8_weights
from twofour.export.graph.strip_qdq import strip_qdq


def float_answer(graphs: Any, model: Any, x: Any, weight: Any) -> Any:
    constants = {name: model.graph.initializers[name].const_value.numpy() for name in ("gamma", "beta", "mean", "var")}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["b"]),
        helper.make_node("Relu", ["b"], ["y"]),
    ]
    return graphs.answer(graphs.build(nodes, {"x": ["batch", 8, 6, 6]}, constants | {"w": weight}), x=x)


@pytest.mark.parametrize("stored", [False, True])
def test_what_is_left_is_the_float_network(conv_net: Any, graphs: Any, rng: Any, stored: bool) -> None:
    model = conv_net(np.ones(4))
    x = rng.normal(size=(2, 8, 6, 6)).astype(np.float32)
    weight = model.graph.initializers["conv.weight"].const_value.numpy().copy()
    if stored:
        scale = model.graph.initializers["conv.weight_quantizer/scale"].const_value.numpy().reshape(-1, 1, 1, 1)
        weight = (np.rint(weight / scale) * scale).astype(np.float32)
        store_int8_weights(model)
    expected = float_answer(graphs, model, x, weight)
    assert strip_qdq(model) == 2
    assert [node.op_type for node in model.graph] == ["Conv", "BatchNormalization", "Relu"]
    assert not any("quantizer/scale" in name for name in model.graph.initializers)
    np.testing.assert_allclose(graphs.answer(model, x=x), expected, rtol=1e-6, atol=1e-6)


def test_integer_biases_become_floats(graphs: Any) -> None:
    nodes = [helper.make_node("DequantizeLinear", ["b", "s"], ["d"]), helper.make_node("Add", ["x", "d"], ["y"])]
    constants = {"b": np.array([10, -20], np.int32), "s": np.array(0.5, np.float32)}
    model = graphs.build(nodes, {"x": [2]}, constants)
    assert strip_qdq(model) == 1
    np.testing.assert_array_equal(graphs.answer(model, x=np.zeros(2, np.float32)), [5, -10])
