from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from twofour.engines.onnxruntime.passes import prepare


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(5, 12), loud=st.floats(0.1, 30))
def test_a_residual_network_answers_as_before(tools, seed, size, loud):
    """Bit for bit up to the head, whose bias is added in another order."""
    proto = tools.resnet(seed)
    after = tools.ir(proto)
    prepare(after)
    x = (np.random.default_rng(seed).standard_normal((2, 3, size, size)) * loud).astype(np.float32)
    np.testing.assert_allclose(tools.answer(proto, x), tools.answer(after, x), rtol=1e-5, atol=1e-5)


def test_every_layer_and_inner_add_runs_on_integers(tools, tmp_path):
    model = tools.ir(tools.resnet())
    prepare(model)
    kernels = tools.kernels(model, tmp_path)
    assert (kernels["QLinearConv"], kernels["QGemm"], kernels["QLinearAdd"]) == (6, 1, 1)
    assert not kernels.keys() & {"Conv", "FusedConv", "Gemm"}


def test_says_what_it_did(tools):
    notes = " ".join(prepare(tools.ir(tools.resnet())))
    assert "7 weights stored as 8-bit integers" in notes
    assert "2 quantizers merged" in notes
    assert "never negative stored as uint8" in notes


def test_a_float_network_is_left_alone(tools):
    graph = tools.Graph()
    w = graph.const("w", np.ones((8, 8), np.float32))
    graph.op("Relu", [graph.op("Gemm", ["x", w, graph.const("b", np.ones(8, np.float32))], "g")], "y")
    model = tools.ir(graph.model((8,)))
    prepare(model)
    assert [node.op_type for node in model.graph] == ["Gemm", "Relu"]
