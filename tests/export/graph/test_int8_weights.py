from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from twofour.export.graph.int8_weights import store_int8_weights
from twofour.export.graph.passes import count


@pytest.mark.parametrize("per_tensor", [False, True])
def test_answers_are_equal_bit_for_bit_and_the_file_is_smaller(
    conv_net: Any, graphs: Any, rng: Any, per_tensor: bool
) -> None:
    model = conv_net(np.ones(64), per_tensor=per_tensor)
    x = rng.normal(size=(2, 8, 6, 6)).astype(np.float32)
    expected, before = graphs.answer(model, x=x), len(ir.to_proto(model).SerializeToString())
    assert store_int8_weights(model) == 1
    np.testing.assert_array_equal(graphs.answer(model, x=x), expected)
    assert len(ir.to_proto(model).SerializeToString()) < before * 0.35
    assert (count(model).quantize, count(model).dequantize) == (1, 2)
    assert model.graph.initializers["conv.weight_quantizer/codes"].dtype == ir.DataType.INT8
    assert "conv.weight" not in model.graph.initializers


def test_ties_and_values_beyond_the_range(graphs: Any) -> None:
    from onnx import helper

    weight = np.array([[0.5, 1.5, 2.5, -0.5, -1.5, 300, -300, 127.4]], np.float32)
    nodes, constants = graphs.pair("q", "w", np.array(1, np.float32))
    nodes.append(helper.make_node("Add", ["x", "q"], ["y"]))
    model = graphs.build(nodes, {"x": [1, 8]}, constants | {"w": weight})
    x = np.zeros((1, 8), np.float32)
    expected = graphs.answer(model, x=x)
    store_int8_weights(model)
    np.testing.assert_array_equal(graphs.answer(model, x=x), expected)
    np.testing.assert_array_equal(expected, [[0, 2, 2, 0, -2, 127, -128, 127]])


def test_a_weight_that_is_a_lone_number(graphs: Any) -> None:
    from onnx import helper

    nodes, constants = graphs.pair("q", "w", np.array(0.1, np.float32))
    nodes.append(helper.make_node("Mul", ["x", "q"], ["y"]))
    model = graphs.build(nodes, {"x": [1, 8]}, constants | {"w": np.array(2.04, np.float32)})
    x = np.ones((1, 8), np.float32)
    expected = graphs.answer(model, x=x)
    assert store_int8_weights(model) == 1
    np.testing.assert_array_equal(graphs.answer(model, x=x), expected)
