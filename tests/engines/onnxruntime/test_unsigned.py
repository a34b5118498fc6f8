from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofour.engines.onnxruntime.unsigned import store_unsigned
from twofour.export.graph.int8_weights import store_int8_weights

BEHIND = {
    "Relu": [("Relu", {})],
    "Sigmoid": [("Sigmoid", {})],
    "Softmax": [("Softmax", {"axis": -1})],
    "MaxPool": [("Relu", {}), ("MaxPool", {"kernel_shape": [2, 2]})],
    "AveragePool": [("Relu", {}), ("AveragePool", {"kernel_shape": [2, 2]})],
    "GlobalAveragePool": [("Relu", {}), ("GlobalAveragePool", {})],
    "Flatten": [("Relu", {}), ("Flatten", {})],
    "Transpose": [("Relu", {}), ("Transpose", {"perm": [0, 2, 3, 1]})],
}
SIGNED = {
    "nothing": [],
    "Neg": [("Relu", {}), ("Neg", {})],
    "Gelu": [("Gelu", {})],
    "LeakyRelu": [("LeakyRelu", {"alpha": 0.1})],
}


def chain(tools, ops, scale=0.1):
    graph, x, rank = tools.Graph(), "x", 4
    for index, (kind, attributes) in enumerate(ops):
        x = graph.op(kind, [x], f"t{index}", **attributes)
        rank = 2 if kind == "Flatten" else rank
    graph.op("Neg", [graph.quantize(x, "q", scale)], "y")
    return tools.ir(graph.model((2, 6, 6), rank=rank))


def beyond(seed, scale, size=(3, 2, 6, 6)):
    """Values of both signs, many of them beyond the range, some exactly between two codes."""
    random = np.random.default_rng(seed)
    x = (random.standard_normal(size) * 127 * scale).astype(np.float32)
    halves = ((random.integers(-300, 300, size) + np.float32(0.5)) * np.float32(scale)).astype(np.float32)
    return np.where(random.random(size) < 0.3, halves, x)


@pytest.mark.parametrize("ops", BEHIND.values(), ids=BEHIND)
def test_equal_bit_for_bit_behind(tools, ops):
    before, after = chain(tools, ops), chain(tools, ops)
    assert store_unsigned(after) == 1
    x = beyond(0, 0.1)
    assert np.array_equal(tools.answer(before, x), tools.answer(after, x))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(2.0**-20, 2.0**20, width=32))
def test_equal_bit_for_bit_for_any_scale_beyond_the_range(tools, seed, scale):
    before, after = (chain(tools, BEHIND["Relu"], scale) for _ in range(2))
    assert store_unsigned(after) == 1
    x = beyond(seed, scale)
    assert np.array_equal(tools.answer(before, x), tools.answer(after, x))


@pytest.mark.parametrize("ops", SIGNED.values(), ids=SIGNED)
def test_leaves_what_may_be_negative(tools, ops):
    model = chain(tools, ops)
    assert store_unsigned(model) == 0


def test_concat_needs_every_part(tools):
    def concat(second):
        graph = tools.Graph()
        parts = [graph.op("Relu", ["x"], "a"), graph.op(second, ["x"], "b")]
        graph.op("Neg", [graph.quantize(graph.op("Concat", parts, "c", axis=1), "q", 0.1)], "y")
        return tools.ir(graph.model((2, 6, 6), rank=4))

    assert store_unsigned(concat("Sigmoid")) == 1
    assert store_unsigned(concat("Tanh")) == 0


def test_codes_are_uint8_up_to_127_and_keep_their_name(tools):
    model = chain(tools, BEHIND["Relu"])
    store_unsigned(model)
    codes = next(value for node in model.graph for value in node.outputs if value.name == "q/codes")
    model.graph.outputs[0] = codes
    x = beyond(0, 0.1)
    found = tools.answer(model, x)
    assert found.dtype == np.uint8
    assert np.array_equal(found, np.clip(np.rint(x / np.float32(0.1)), 0, 127))
    assert found.max() == 127


def test_a_second_time_changes_nothing(tools):
    model = chain(tools, BEHIND["Relu"])
    assert (store_unsigned(model), store_unsigned(model)) == (1, 0)


def test_conv_relu_and_quantizer_become_one_integer_kernel(tools, tmp_path):
    graph = tools.Graph()
    x = graph.op("Relu", [graph.conv("x", "one", 16, 16)], "r1")
    x = graph.op("Relu", [graph.conv(x, "two", 16, 16)], "r2")
    graph.op("Neg", [graph.quantize(x, "last", 0.1)], "y")
    model = tools.ir(graph.model((16, "h", "w"), rank=4))
    store_int8_weights(model)
    assert store_unsigned(model) == 2
    kernels = tools.kernels(model, tmp_path)
    assert kernels["QLinearConv"] == 2
    assert not kernels.keys() & {"Conv", "FusedConv", "Relu"}
