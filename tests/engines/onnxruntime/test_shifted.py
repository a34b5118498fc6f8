from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofour.engines.onnxruntime.shifted import store_shifted
from twofour.export.graph.int8_weights import store_int8_weights

SHAPES = {"Gemm": (64,), "MatMul": (5, 64), "Conv": (64, 6, 6)}


def layer(tools, kind, weight):
    """x -> Q/DQ (scale 1) -> layer with `weight` (outputs, 64) -> y; an integer answer behind a Conv."""
    graph = tools.Graph()
    x = graph.quantize("x", "fc.input_quantizer", 1)
    if kind == "Gemm":
        graph.op("Gemm", [x, graph.weight(weight, "fc")], "y", "fc", transB=1)
    elif kind == "MatMul":
        graph.op("MatMul", [x, graph.weight(weight.T, "fc", axis=1)], "y", "fc")
    else:
        out = graph.op("Conv", [x, graph.weight(weight[:, :, None, None], "fc")], "out", "fc", kernel_shape=[1, 1])
        graph.op("Neg", [graph.quantize(out, "last", 10000)], "y")
    model = tools.ir(graph.model(SHAPES[kind], rank=len(SHAPES[kind]) + 1))
    store_int8_weights(model)
    return model


def extremes(seed, size):
    """Codes at both ends of their range, where 16-bit sums overflow first."""
    return np.random.default_rng(seed).choice(np.float32([-128, -127, 0, 127]), size, p=[0.2, 0.2, 0.2, 0.4])


@pytest.mark.parametrize("kind", SHAPES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_optimized_integers_are_exact_at_the_ends_of_the_range(tools, kind, seed):
    weight = np.clip(extremes(seed, (16, 64)), -127, 127)
    weight[:, 0] = 127
    before, after = layer(tools, kind, weight), layer(tools, kind, weight)
    assert store_shifted(after) == (2 if kind == "Conv" else 1)
    x = extremes(seed + 1, (2, *SHAPES[kind]))
    expected = tools.answer(before, x)
    assert np.array_equal(expected, tools.answer(after, x))
    assert np.array_equal(expected, tools.answer(after, x, optimized=True))


KERNELS = {"Gemm": "QGemm", "MatMul": "MatMulIntegerToFloat", "Conv": "QLinearConv"}


@pytest.mark.parametrize(("kind", "kernel"), KERNELS.items())
def test_layers_stay_on_integers(tools, tmp_path, kind, kernel):
    model = layer(tools, kind, extremes(0, (16, 64)))
    store_shifted(model)
    assert tools.kernels(model, tmp_path)[kernel] == 1


def test_a_weight_that_two_layers_share_is_shifted_once(tools):
    graph = tools.Graph()
    weight = graph.weight(graph.random.standard_normal((8, 8)), "tied")
    a = graph.op("Gemm", [graph.quantize("x", "one", 0.1), weight], "a", transB=1)
    graph.op("Gemm", [graph.quantize(a, "two", 0.1), weight], "y", transB=1)
    proto = graph.model((8,))
    before, after = tools.ir(proto), tools.ir(proto)
    store_int8_weights(after)
    assert store_shifted(after) == 2
    x = graph.random.standard_normal((4, 8)).astype(np.float32)
    assert np.array_equal(tools.answer(before, x), tools.answer(after, x))
