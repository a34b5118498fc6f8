from __future__ import annotations

import numpy as np
import pytest

from twofour.engines.onnxruntime.sign import non_negative


def proven(tools, make):
    graph = tools.Graph()
    make(graph)
    model = tools.ir(graph.model((8,)))
    return model.graph.outputs[0] in non_negative(model.graph)


def clip(low, high, source="x"):
    def make(graph):
        x = graph.op("Relu", ["x"], "relu") if source == "relu" else "x"
        bounds = [graph.const("low", np.float32(low)), graph.const("high", np.float32(high))]
        graph.op("Clip", [x, *bounds], "y")

    return make


@pytest.mark.parametrize(
    ("low", "high", "source", "expected"),
    [(0, 6, "x", True), (-1, 6, "x", False), (-1, 1, "relu", True), (-2, -1, "relu", False)],
)
def test_clip(tools, low, high, source, expected):
    assert proven(tools, clip(low, high, source)) is expected


@pytest.mark.parametrize(("kind", "expected"), [("Add", True), ("Mul", True), ("Max", True), ("Sub", False)])
def test_two_inputs_that_are_both_positive(tools, kind, expected):
    def make(graph):
        graph.op(kind, [graph.op("Relu", ["x"], "a"), graph.op("Sigmoid", ["x"], "b")], "y")

    assert proven(tools, make) is expected


@pytest.mark.parametrize(("kind", "expected"), [("Add", False), ("Mul", False), ("Max", True), ("Min", False)])
def test_two_inputs_of_which_one_is_positive(tools, kind, expected):
    assert proven(tools, lambda graph: graph.op(kind, ["x", graph.op("Relu", ["x"], "a")], "y")) is expected


@pytest.mark.parametrize(("value", "expected"), [(1.0, True), (-1.0, False)])
def test_a_constant_counts_by_its_sign(tools, value, expected):
    def make(graph):
        constant = graph.const("c", np.full(8, value, np.float32))
        graph.op("Add", [graph.op("Relu", ["x"], "a"), constant], "y")

    assert proven(tools, make) is expected


def test_a_quantizer_keeps_the_sign(tools):
    def make(graph):
        graph.op("Identity", [graph.quantize(graph.op("Relu", ["x"], "a"), "q", 0.1)], "y")

    assert proven(tools, make)
    assert not proven(tools, lambda graph: graph.op("Identity", [graph.quantize("x", "q", 0.1)], "y"))
