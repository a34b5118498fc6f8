from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper

from twofour.export.graph.fold_constants import fold_constants


def test_constant_work_is_done_once_and_quantizers_stay(graphs: Any, rng: Any) -> None:
    weight = rng.normal(size=(3, 4)).astype(np.float32)
    nodes, constants = graphs.pair("q", "fc.weight", np.array(0.05, np.float32))
    nodes = [
        helper.make_node("Transpose", ["other.weight"], ["turned"], perm=[1, 0]),
        helper.make_node("Add", ["one", "one"], ["two"]),
        *nodes,
        helper.make_node("Gemm", ["x", "q", "two"], ["g"], transB=1),
        helper.make_node("MatMul", ["g", "turned"], ["y"]),
    ]
    constants |= {"fc.weight": weight, "other.weight": weight.T.copy(), "one": np.ones(3, np.float32)}
    constants["other.weight"] = rng.normal(size=(5, 3)).astype(np.float32)
    model = graphs.build(nodes, {"x": ["batch", 4]}, constants)
    x = rng.normal(size=(2, 4)).astype(np.float32)
    expected = graphs.answer(model, x=x)
    assert fold_constants(model) == 2
    assert [node.op_type for node in model.graph] == ["QuantizeLinear", "DequantizeLinear", "Gemm", "MatMul"]
    assert model.graph.initializers["other.weight"].const_value.shape == (3, 5)  # it keeps its name
    np.testing.assert_array_equal(graphs.answer(model, x=x), expected)


def test_the_file_does_not_grow(graphs: Any) -> None:
    constants = {"one": np.ones(1, np.float32), "shape": np.array([1024, 1024], np.int64)}
    nodes = [helper.make_node("Expand", ["one", "shape"], ["big"]), helper.make_node("Add", ["x", "big"], ["y"])]
    model = graphs.build(nodes, {"x": [1]}, constants)
    assert fold_constants(model) == 0


def test_random_numbers_stay_random(graphs: Any) -> None:
    nodes = [helper.make_node("RandomUniformLike", ["one"], ["r"]), helper.make_node("Add", ["x", "r"], ["y"])]
    assert fold_constants(graphs.build(nodes, {"x": [3]}, {"one": np.ones(3, np.float32)})) == 0
