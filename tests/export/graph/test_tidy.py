from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper

from twofour.export.graph.tidy import tidy


def test_only_what_computes_is_left(graphs: Any, rng: Any) -> None:
    nodes = [
        helper.make_node("Constant", [], ["two"], value=helper.make_tensor("t", 1, [], [2.0])),
        helper.make_node("Identity", ["x"], ["a"]),
        helper.make_node("Cast", ["a"], ["b"], to=1),
        helper.make_node("Transpose", ["b"], ["c"], perm=[0, 1]),
        helper.make_node("Dropout", ["c"], ["d"]),
        helper.make_node("Neg", ["d"], ["dead"]),
        helper.make_node("Mul", ["d", "two"], ["y"]),
    ]
    model = graphs.build(nodes, {"x": ["batch", 3]}, {"unread": np.ones(3, np.float32)})
    x = rng.normal(size=(2, 3)).astype(np.float32)
    expected = graphs.answer(model, x=x)
    assert tidy(model) > 0
    assert [node.op_type for node in model.graph] == ["Mul"]
    assert list(model.graph.initializers) == ["two"]
    np.testing.assert_array_equal(graphs.answer(model, x=x), expected)
    assert tidy(model) == 0


def test_a_cast_that_changes_the_type_stays(graphs: Any, rng: Any) -> None:
    nodes = [helper.make_node("Cast", ["x"], ["a"], to=10), helper.make_node("Cast", ["a"], ["y"], to=1)]
    model = graphs.build(nodes, {"x": [3]}, {})
    tidy(model)
    assert len(model.graph) == 2


def test_padding_by_nothing_goes_and_padding_by_something_stays(graphs: Any, rng: Any) -> None:
    nodes = [helper.make_node("Pad", ["x", "none"], ["a"]), helper.make_node("Pad", ["a", "some"], ["y"])]
    pads = {"none": np.zeros(4, np.int64), "some": np.array([0, 1, 0, 0])}
    model = graphs.build(nodes, {"x": ["batch", 3]}, pads)
    x = rng.normal(size=(2, 3)).astype(np.float32)
    expected = graphs.answer(model, x=x)
    assert tidy(model) > 0
    assert [node.inputs[1].name for node in model.graph] == ["some"]
    np.testing.assert_array_equal(graphs.answer(model, x=x), expected)
