from __future__ import annotations

import numpy as np

from twofour.engines.onnxruntime.shared import merge_shared


def twice(tools, first, second):
    graph = tools.Graph()
    a, b = graph.quantize("x", "a", first), graph.quantize("x", "b", second)
    graph.op("Sub", [graph.op("Neg", [a], "n"), b], "y")
    return tools.ir(graph.model((8,)))


def quantizers(model):
    return sum(node.op_type == "QuantizeLinear" for node in model.graph)


def test_equal_quantizers_of_a_tensor_become_one(tools):
    before, after = twice(tools, 0.1, 0.1), twice(tools, 0.1, 0.1)
    assert merge_shared(after) == 1
    assert quantizers(after) == 1
    x = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32) * 10
    assert np.array_equal(tools.answer(before, x), tools.answer(after, x))


def test_different_scales_stay_apart(tools):
    model = twice(tools, 0.1, np.nextafter(np.float32(0.1), np.float32(1)))
    assert merge_shared(model) == 0
    assert quantizers(model) == 2


def test_both_quantizers_names_stay_readable(tools):
    model = twice(tools, 0.1, 0.1)
    merge_shared(model)
    names = {value.name for node in model.graph for value in node.outputs}
    assert {"a", "b"} <= names


def test_equal_quantizers_of_different_tensors_stay_apart(tools):
    graph = tools.Graph()
    a = graph.quantize("x", "a", 0.1)
    graph.op("Neg", [graph.quantize(graph.op("Relu", [a], "r"), "b", 0.1)], "y")
    assert merge_shared(tools.ir(graph.model((8,)))) == 0
