from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

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


def moved(tools, before, behind=None):
    """x -> Q/DQ -> `before` -> MatMul with W -> DQ -> `behind`: operators with attributes and constants."""
    graph = tools.Graph()
    x, weight = graph.quantize("x", "fc.input_quantizer", 1), np.clip(extremes(0, (16, 64)), -127, 127)
    weight[:, 0] = 127
    if behind:
        w = graph.op("Transpose", [graph.weight(weight, "fc")], "turned", perm=[1, 0])
    else:
        w = graph.weight(weight.T, "fc", axis=1)
    for index, (kind, constants, attributes) in enumerate(before):
        inputs = [graph.const(f"c{index}{place}", array) for place, array in enumerate(constants)]
        x = graph.op(kind, [x, *inputs], f"moved{index}", **attributes)
    graph.op("MatMul", [x, w], "y", "fc")
    model = tools.ir(graph.model((3, 64), rank=2 if before and before[0][0] == "Reshape" else 3))
    store_int8_weights(model)
    return model


MOVES = {
    "nothing": [],
    "Reshape": [("Reshape", [np.array([-1, 64])], {})],
    "Transpose": [("Transpose", [], {"perm": [1, 0, 2]})],
    "Slice": [("Slice", [np.array([0]), np.array([2]), np.array([1])], {})],
    "MaxPool": [("MaxPool", [], {"kernel_shape": [1]})],
    "Unsqueeze, Squeeze": [("Unsqueeze", [np.array([0])], {}), ("Squeeze", [np.array([0])], {})],
}


@pytest.mark.parametrize("turned", [False, True], ids=["W", "turned W"])
@pytest.mark.parametrize("before", MOVES.values(), ids=MOVES)
def test_codes_that_are_moved_before_they_meet_are_exact_too(tools, tmp_path, before, turned):
    plain, model = moved(tools, before, turned), moved(tools, before, turned)
    assert store_shifted(model) == 1
    used = [value for value in model.graph.initializers.values() if value.uses()]
    assert ir.DataType.INT8 not in {value.dtype for value in used}
    x = extremes(1, (2, 3, 64))
    expected = tools.answer(plain, x)
    assert np.array_equal(expected, tools.answer(model, x))
    assert np.array_equal(expected, tools.answer(model, x, optimized=True))
    assert tools.kernels(model, tmp_path)["MatMulIntegerToFloat"] == 1


def test_a_layer_inside_a_branch_is_found(tools):
    inner = [helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["w"], axis=1),
             helper.make_node("MatMul", ["fc.input_quantizer", "w"], ["inner"], "fc")]
    result = helper.make_tensor_value_info("inner", TensorProto.FLOAT, ["n", 16])
    weight = np.clip(extremes(0, (64, 16)), -127, 127).astype(np.int8)
    graph = tools.Graph()
    graph.quantize("x", "fc.input_quantizer", 1)
    for name, array in (("codes", weight), ("scale", np.ones(16, np.float32)), ("zero", np.zeros(16, np.int8))):
        graph.const(name, array)
    branch = helper.make_graph(inner, "branch", [], [result])
    graph.op("If", [graph.const("yes", np.array(True))], "y", then_branch=branch, else_branch=branch)
    before, after = tools.ir(graph.model((64,))), tools.ir(graph.model((64,)))
    assert store_shifted(after) == 1
    x = extremes(1, (2, 64))
    assert np.array_equal(tools.answer(before, x), tools.answer(after, x, optimized=True))


def test_the_type_that_a_quantizer_also_names_itself_is_changed_too(tools):
    graph = tools.Graph()
    graph.op("Neg", [graph.quantize("x", "q", 1)], "y")
    graph.nodes[0].attribute.append(helper.make_attribute("output_dtype", TensorProto.INT8))
    before, after = tools.ir(graph.model((8,))), tools.ir(graph.model((8,)))
    assert store_shifted(after) == 1
    x = extremes(0, (4, 8)) * 2
    assert np.array_equal(tools.answer(before, x), tools.answer(after, x))


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
