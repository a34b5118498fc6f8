from __future__ import annotations

import numpy as np
import pytest

from twofour.engines.onnxruntime.passes import prepare
from twofour.engines.onnxruntime.unmet import store_unmet
from twofour.export.graph.int8_weights import store_int8_weights


def layers(tools, first="x"):
    """Two MatMuls with one weight: of `first` (x itself is float) and of what a Relu makes of that."""
    graph = tools.Graph()
    weight = graph.weight(graph.random.standard_normal((8, 8)), "tied", axis=1)
    x = graph.quantize("x", "fc.input_quantizer", 0.1) if first == "codes" else "x"
    inner = graph.op("Relu", [graph.op("MatMul", [x, weight], "inner")], "relu")
    graph.op("MatMul", [inner, weight], "y")
    model = tools.ir(graph.model((8,)))
    store_int8_weights(model)
    return model


def test_a_weight_with_float_inputs_becomes_what_it_stands_for(tools, tmp_path):
    before, after = layers(tools), layers(tools)
    assert store_unmet(after) == 1
    x = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)
    assert np.array_equal(tools.answer(before, x), tools.answer(after, x))
    assert tools.kernels(before, tmp_path)["DequantizeLinear"] > 0
    assert tools.kernels(after, tmp_path) == {"MatMul": 2, "Relu": 1}


def test_a_weight_that_meets_codes_somewhere_stays(tools):
    assert store_unmet(layers(tools, "codes")) == 0


@pytest.mark.parametrize(("first", "said"), [("x", True), ("codes", False)])
def test_it_is_said(tools, first, said):
    assert any("1 weights stored in FP32" in note for note in prepare(layers(tools, first))) == said
