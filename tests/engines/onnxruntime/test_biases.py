from __future__ import annotations

import numpy as np
import pytest

from twofour.engines.onnxruntime.biases import split_biases
from twofour.export.graph.int8_weights import store_int8_weights


def gemm(tools, *, scale=2.0**-4, beta=1.0, quantized=True, behind=False):
    """Scales are powers of two, so that every sum is exact in float32."""
    graph = tools.Graph()
    weight = np.ldexp(graph.random.integers(-127, 128, (16, 64)).astype(np.float32), -7)
    weight[:, 0] = 127 / 128
    x, w = "x", graph.const("w", weight)
    if quantized:
        x, w = graph.quantize("x", "fc.input_quantizer", scale), graph.weight(weight, "fc")
    bias = graph.const("bias", np.ldexp(graph.random.integers(-99, 99, 16).astype(np.float32), -3))
    out = graph.op("Gemm", [x, w, bias], "out" if behind else "y", "fc", transB=1, beta=beta)
    if behind:
        graph.op("Neg", [graph.quantize(out, "q", 1)], "y")
    model = tools.ir(graph.model((64,)))
    store_int8_weights(model)
    return model


def test_the_same_answer_on_an_integer_kernel(tools, tmp_path):
    before, after = gemm(tools), gemm(tools)
    assert split_biases(after) == 1
    x = np.random.default_rng(1).standard_normal((5, 64)).astype(np.float32) * 4
    expected = tools.answer(before, x)
    assert np.array_equal(expected, tools.answer(after, x))
    kernels = tools.kernels(after, tmp_path)
    assert kernels["QGemm"] == 1
    assert "Gemm" not in kernels
    assert after.graph.outputs[0].name == "y"


def test_with_any_scale_only_the_last_bits_differ(tools):
    before, after = gemm(tools, scale=0.0371), gemm(tools, scale=0.0371)
    split_biases(after)
    x = np.random.default_rng(1).standard_normal((5, 64)).astype(np.float32) * 4
    np.testing.assert_allclose(tools.answer(before, x), tools.answer(after, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("other", [{"beta": 0.5}, {"quantized": False}, {"behind": True}], ids=str)
def test_leaves_other_layers(tools, other):
    assert split_biases(gemm(tools, **other)) == 0
