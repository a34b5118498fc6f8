from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from twofour.export.graph.transposes import fold_weight_transposes


@pytest.mark.parametrize("axis", [0, None])
def test_the_weight_is_turned_before_q(graphs: Any, rng: Any, axis: int | None) -> None:
    weight = rng.normal(size=(6, 4)).astype(np.float32)
    scale = np.array(0.02, np.float32) if axis is None else graphs.scales(weight, 0)
    nodes, constants = graphs.pair("fc.weight_quantizer", "fc.weight", scale, axis)
    nodes += [
        helper.make_node("Transpose", ["fc.weight_quantizer"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "t"], ["y"]),
    ]
    model = graphs.build(nodes, {"x": ["batch", 3, 4]}, constants | {"fc.weight": weight})
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    expected = graphs.answer(model, x=x)
    assert fold_weight_transposes(model) == 1
    assert [node.op_type for node in model.graph] == ["QuantizeLinear", "DequantizeLinear", "MatMul"]
    np.testing.assert_array_equal(graphs.answer(model, x=x), expected)


def test_an_axis_that_is_not_written_out(graphs: Any, rng: Any) -> None:
    weight = rng.normal(size=(6, 4)).astype(np.float32)
    nodes, constants = graphs.pair("fc.weight_quantizer", "fc.weight", graphs.scales(weight, 1), 1)
    for node in nodes:
        del node.attribute[:]  # 1 is the default
    nodes += [
        helper.make_node("Transpose", ["fc.weight_quantizer"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "t"], ["y"]),
    ]
    model = graphs.build(nodes, {"x": ["batch", 4]}, constants | {"fc.weight": weight})
    x = rng.normal(size=(2, 4)).astype(np.float32)
    expected = graphs.answer(model, x=x)
    assert fold_weight_transposes(model) == 1
    np.testing.assert_array_equal(graphs.answer(model, x=x), expected)


def test_a_shared_weight_is_left(graphs: Any, rng: Any) -> None:
    nodes, constants = graphs.pair("q", "w", np.array(0.02, np.float32))
    nodes += [
        helper.make_node("Transpose", ["q"], ["t"]),
        helper.make_node("MatMul", ["x", "t"], ["a"]),
        helper.make_node("MatMul", ["a", "q"], ["y"]),
    ]
    model = graphs.build(nodes, {"x": ["batch", 4]}, constants | {"w": rng.normal(size=(6, 4)).astype(np.float32)})
    assert fold_weight_transposes(model) == 0
